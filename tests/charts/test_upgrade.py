"""An upgrade never changes an existing run. Helm asks the cluster, here a stand-in for its API server."""

from typing import Any

import helm_python
import pytest
from cluster_lookup import owned, render_live
from maskrcnn_chart import CHART, run
from rendering import Object, only


def upgrade(*live: Object, release: str = "demo", **maskrcnn: Any) -> Object:
    """The job that Helm renders while the cluster has the objects ``live``."""
    values = {"maskrcnn": {"image": "trainer:1", **maskrcnn}}
    return only(render_live(list(live), CHART, values, release), "MPIJob")


def live(release: str = "demo", **maskrcnn: Any) -> Object:
    """The job of an installed release."""
    return owned(run(release=release, **maskrcnn).job, release)


def launcher(job: Object) -> Object:
    """The Job that the operator makes of a job's launcher."""
    name = f"{job['metadata']['name']}-launcher"
    template = job["spec"]["mpiReplicaSpecs"]["Launcher"]["template"]
    meta = {"name": name, "namespace": job["metadata"]["namespace"]}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {"template": template}}


@pytest.mark.parametrize(
    "change",
    [{"steps_per_epoch": 100}, {"image": "trainer:2"}, {"gpus": 32}, {"env": {"NCCL_DEBUG": "WARN"}}],
    ids=str,
)
def test_changed_settings_of_a_run_that_exists_are_rejected(change: dict[str, Any]) -> None:
    with pytest.raises(helm_python.HelmError) as error:
        upgrade(live(), **change)
    assert (
        "the run kubeflow/demo already exists with other settings, and an existing job cannot be changed: "
        "set maskrcnn.run for a new run, or delete and install to resume with other settings"
    ) in str(error.value)


def test_an_upgrade_that_changes_nothing_of_the_job_passes() -> None:
    before = live(mode_mask="True")
    after = upgrade(before, mode_mask=True)
    assert after["spec"] == before["spec"]


def test_changed_settings_pass_with_a_new_run() -> None:
    assert upgrade(live(), steps_per_epoch=100, run="b")["metadata"]["name"] == "demo-b"


def test_changed_settings_pass_when_the_run_is_gone() -> None:
    assert upgrade(steps_per_epoch=100)["metadata"]["name"] == "demo"


def test_settings_are_compared_with_the_launcher_not_with_a_rolled_back_job() -> None:
    rolled_back = live()
    running = launcher(live(steps_per_epoch=100))
    with pytest.raises(helm_python.HelmError, match="exists with other settings"):
        upgrade(rolled_back, running)
    assert upgrade(rolled_back, running, steps_per_epoch=100)


def test_a_job_of_another_release_is_left_to_helm_which_rejects_it() -> None:
    assert upgrade(live("other", name="maskrcnn"), name="maskrcnn", steps_per_epoch=100)


def test_the_hash_depends_only_on_the_settings() -> None:
    def digest(**values: Any) -> str:
        return str(run(**values).job["metadata"]["annotations"]["mask-rcnn/settings-sha256"])

    assert digest() == digest()
    assert digest() == digest(queue="gpu")
    assert digest() != digest(base_lr=0.02)


def test_rendered_without_a_cluster_a_changed_job_differs_in_the_hash_of_job_and_launcher() -> None:
    # What a GitOps tool applies: the operator ignores the new spec, and only the hashes show that it does.
    hashes = set()
    for image in ("trainer:1", "trainer:2"):
        job = run(image=image).job
        launcher = job["spec"]["mpiReplicaSpecs"]["Launcher"]["template"]["metadata"]["annotations"]
        assert (
            launcher["mask-rcnn/settings-sha256"]
            == job["metadata"]["annotations"]["mask-rcnn/settings-sha256"]
        )
        hashes.add(launcher["mask-rcnn/settings-sha256"])
    assert len(hashes) == 2
