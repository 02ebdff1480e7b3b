"""An upgrade of a release with an existing run is rejected or does not change the run."""

import pytest
from releases import install, upgrade
from testcluster.client import Client, CommandFailed, Object

P4D = "maskrcnn.node_group=p4d"
REJECTED = "set maskrcnn[.]run for a new run, or delete and install to resume with other settings"


def identity(job: Object) -> tuple[str, int, Object]:
    """Returns fields that differ when a job has been replaced or changed."""
    return job["metadata"]["uid"], job["metadata"]["generation"], job["spec"]


def launcher_args(job: Object) -> list[str]:
    container = job["spec"]["mpiReplicaSpecs"]["Launcher"]["template"]["spec"]["containers"][0]
    return list(container["args"])


def log_directory(job: Object) -> str:
    container = job["spec"]["mpiReplicaSpecs"]["Launcher"]["template"]["spec"]["containers"][0]
    return next(str(entry["value"]) for entry in container["env"] if entry["name"] == "RUN_DIR")


def test_changed_settings_of_an_existing_run_are_rejected_and_nothing_changes(user: Client) -> None:
    install(user, "demo", "maskrcnn", P4D)
    before = identity(user.get("mpijob", "demo"))
    for change in ("steps_per_epoch=100", "image=trainer:2", "gpus=8", "base_lr=0.02"):
        with pytest.raises(CommandFailed, match=REJECTED):
            upgrade(user, "demo", "maskrcnn", P4D, f"maskrcnn.{change}")
    assert identity(user.get("mpijob", "demo")) == before
    assert '"revision":"1"' in user.helm("list", "--output=json")


def test_both_helm_versions_reject_changed_settings(user: Client, helm: str) -> None:
    user = user.with_program(helm)
    install(user, "demo", "maskrcnn", P4D)
    with pytest.raises(
        CommandFailed, match=f"the run {user.namespace}/demo already exists with other settings"
    ):
        upgrade(user, "demo", "maskrcnn", P4D, "maskrcnn.steps_per_epoch=100")


def test_a_new_run_replaces_the_old_one_and_has_its_own_directory(user: Client) -> None:
    install(user, "demo", "maskrcnn", P4D)
    user.running("demo")
    old = log_directory(user.get("mpijob", "demo"))
    upgrade(user, "demo", "maskrcnn", P4D, "maskrcnn.steps_per_epoch=100", "maskrcnn.run=b")
    user.running("demo-b")
    assert old == f"$(SHARED_FS)/{user.namespace}/demo"
    assert log_directory(user.get("mpijob", "demo-b")) == f"$(SHARED_FS)/{user.namespace}/demo-b"
    assert user.names("mpijob") == {"mpijob.kubeflow.org/demo-b"}


@pytest.mark.parametrize(
    "change", ["tensorboard.port=8080", "tensorboard.enabled=false", "jupyter.enabled=true"]
)
def test_an_upgrade_of_the_servers_does_not_change_the_run(user: Client, helm: str, change: str) -> None:
    user = user.with_program(helm)
    image = "jupyter.image=notebook:1"
    install(user, "demo", "maskrcnn", P4D, image)
    before = identity(user.get("mpijob", "demo"))
    upgrade(user, "demo", "maskrcnn", P4D, image, change)
    assert identity(user.get("mpijob", "demo")) == before


def test_delete_and_install_uses_changed_settings_in_the_same_directory(user: Client) -> None:
    install(user, "demo", "maskrcnn", P4D)
    old = log_directory(user.get("mpijob", "demo"))
    user.helm("delete", "demo", "--wait")
    install(user, "demo", "maskrcnn", P4D, "maskrcnn.steps_per_epoch=100")
    assert log_directory(user.get("mpijob", "demo")) == old


def test_a_rollback_to_another_run_restarts_that_run_in_its_directory(user: Client, helm: str) -> None:
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


def test_a_rollback_of_the_servers_does_not_change_the_run(user: Client, helm: str) -> None:
    user = user.with_program(helm)
    install(user, "demo", "maskrcnn", P4D)
    before = identity(user.get("mpijob", "demo"))
    upgrade(user, "demo", "maskrcnn", P4D, "tensorboard.port=8080")
    user.helm("rollback", "demo", "1")
    assert identity(user.get("mpijob", "demo")) == before


def test_after_a_rollback_settings_are_compared_with_the_running_launcher(user: Client) -> None:
    """Helm renders nothing on a rollback, so the chart cannot reject it; the operator ignores the change."""
    install(user, "demo", "maskrcnn", P4D)
    upgrade(user, "demo", "maskrcnn", P4D, "maskrcnn.run=b")
    upgrade(user, "demo", "maskrcnn", P4D, "maskrcnn.steps_per_epoch=100")
    user.running("demo")
    (launcher,) = user.pods("demo", "launcher")
    user.helm("rollback", "demo", "1")
    (after,) = user.pods("demo", "launcher")
    assert after["metadata"]["uid"] == launcher["metadata"]["uid"]
    assert "TRAIN.STEPS_PER_EPOCH=100" in after["spec"]["containers"][0]["args"]
    assert "TRAIN.STEPS_PER_EPOCH=7500" in launcher_args(user.get("mpijob", "demo"))
    with pytest.raises(CommandFailed, match="already exists with other settings"):
        upgrade(user, "demo", "maskrcnn", P4D)
    upgrade(user, "demo", "maskrcnn", P4D, "maskrcnn.steps_per_epoch=100")
