"""An upgrade over a run that exists: refused, or it leaves the run alone."""

import pytest
from releases import install, upgrade
from testcluster.client import Client, CommandFailed, Object

P4D = "maskrcnn.node_group=p4d"
REFUSED = "set maskrcnn[.]run for a new run, or delete and install to resume with other settings"


def identity(job: Object) -> tuple[str, int, Object]:
    """What changes when a job is replaced or changed."""
    return job["metadata"]["uid"], job["metadata"]["generation"], job["spec"]


def launcher_args(job: Object) -> list[str]:
    container = job["spec"]["mpiReplicaSpecs"]["Launcher"]["template"]["spec"]["containers"][0]
    return list(container["args"])


def log_folder(job: Object) -> str:
    container = job["spec"]["mpiReplicaSpecs"]["Launcher"]["template"]["spec"]["containers"][0]
    return next(str(entry["value"]) for entry in container["env"] if entry["name"] == "RUN_DIR")


def test_changed_settings_of_a_run_that_exists_are_refused_and_change_nothing(user: Client) -> None:
    install(user, "demo", "maskrcnn", P4D)
    before = identity(user.get("mpijob", "demo"))
    for change in ("steps_per_epoch=100", "image=trainer:2", "gpus=8", "base_lr=0.02"):
        with pytest.raises(CommandFailed, match=REFUSED):
            upgrade(user, "demo", "maskrcnn", P4D, f"maskrcnn.{change}")
    assert identity(user.get("mpijob", "demo")) == before
    assert '"revision":"1"' in user.helm("list", "--output=json")


def test_helm_refuses_them_with_either_program(user: Client, helm: str) -> None:
    user = user.with_program(helm)
    install(user, "demo", "maskrcnn", P4D)
    with pytest.raises(CommandFailed, match=f"the run {user.namespace}/demo exists with other settings"):
        upgrade(user, "demo", "maskrcnn", P4D, "maskrcnn.steps_per_epoch=100")


def test_a_new_run_takes_the_place_of_the_old_one_and_has_a_folder_of_its_own(user: Client) -> None:
    install(user, "demo", "maskrcnn", P4D)
    user.running("demo")
    old = log_folder(user.get("mpijob", "demo"))
    upgrade(user, "demo", "maskrcnn", P4D, "maskrcnn.steps_per_epoch=100", "maskrcnn.run=b")
    user.running("demo-b")
    assert old == f"$(SHARED_FS)/{user.namespace}/demo"
    assert log_folder(user.get("mpijob", "demo-b")) == f"$(SHARED_FS)/{user.namespace}/demo-b"
    assert user.names("mpijob") == {"mpijob.kubeflow.org/demo-b"}


@pytest.mark.parametrize(
    "change", ["tensorboard.port=8080", "tensorboard.enabled=false", "jupyter.enabled=true"]
)
def test_an_upgrade_of_the_servers_alone_leaves_the_run_as_it_is(
    user: Client, helm: str, change: str
) -> None:
    user = user.with_program(helm)
    image = "jupyter.image=notebook:1"
    install(user, "demo", "maskrcnn", P4D, image)
    before = identity(user.get("mpijob", "demo"))
    upgrade(user, "demo", "maskrcnn", P4D, image, change)
    assert identity(user.get("mpijob", "demo")) == before


def test_delete_and_install_takes_changed_settings_into_the_same_folder(user: Client) -> None:
    install(user, "demo", "maskrcnn", P4D)
    old = log_folder(user.get("mpijob", "demo"))
    user.helm("delete", "demo", "--wait")
    install(user, "demo", "maskrcnn", P4D, "maskrcnn.steps_per_epoch=100")
    assert log_folder(user.get("mpijob", "demo")) == old


def test_a_rollback_to_another_run_starts_that_run_again_in_its_folder(user: Client, helm: str) -> None:
    user = user.with_program(helm)
    install(user, "demo", "maskrcnn", P4D)
    before = user.get("mpijob", "demo")
    upgrade(user, "demo", "maskrcnn", P4D, "maskrcnn.run=b")
    user.helm("rollback", "demo", "1")
    user.running("demo")
    after = user.get("mpijob", "demo")
    assert after["spec"] == before["spec"]
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert user.names("mpijob") == {"mpijob.kubeflow.org/demo"}


def test_a_rollback_of_the_servers_alone_leaves_the_run_as_it_is(user: Client, helm: str) -> None:
    user = user.with_program(helm)
    install(user, "demo", "maskrcnn", P4D)
    before = identity(user.get("mpijob", "demo"))
    upgrade(user, "demo", "maskrcnn", P4D, "tensorboard.port=8080")
    user.helm("rollback", "demo", "1")
    assert identity(user.get("mpijob", "demo")) == before


def test_after_a_rollback_the_guard_goes_by_what_the_launcher_runs_with(user: Client) -> None:
    """Helm renders nothing on a rollback, so the chart cannot refuse it; the operator ignores the change."""
    install(user, "demo", "maskrcnn", P4D)
    upgrade(user, "demo", "maskrcnn", P4D, "maskrcnn.run=b")
    upgrade(user, "demo", "maskrcnn", P4D, "maskrcnn.steps_per_epoch=100")
    user.running("demo")
    (launcher,) = user.pods("demo", "launcher")
    user.helm("rollback", "demo", "1")
    (still,) = user.pods("demo", "launcher")
    assert still["metadata"]["uid"] == launcher["metadata"]["uid"]
    assert "TRAIN.STEPS_PER_EPOCH=100" in still["spec"]["containers"][0]["args"]
    assert "TRAIN.STEPS_PER_EPOCH=7500" in launcher_args(user.get("mpijob", "demo"))
    with pytest.raises(CommandFailed, match="exists with other settings"):
        upgrade(user, "demo", "maskrcnn", P4D)
    upgrade(user, "demo", "maskrcnn", P4D, "maskrcnn.steps_per_epoch=100")
