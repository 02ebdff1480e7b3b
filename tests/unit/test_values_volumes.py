"""Rules about the user's volumes, mounts and arguments, at the item that is wrong."""

from pathlib import Path

import pytest
from values_files import checked, lines

VOLUMES = "maskrcnn:\n  extra_volumes: [{name: scratch, emptyDir: {}}]\n  "


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        (
            VOLUMES + "extra_volume_mounts: [{name: scratch, mountPath: /a}, {name: scrtch, mountPath: /b}]",
            "3:57: error MRC036 maskrcnn.extra_volume_mounts[1]: there is no volume scrtch. Add it to "
            "extra_volumes, or mount one of efs, scratch.",
        ),
        (
            VOLUMES + "init_containers: [{name: i, image: 'x:1', "
            "volumeMounts: [{name: scratch, mountPath: /a}, {name: b, mountPath: /b}]}]",
            "3:92: error MRC036 maskrcnn.init_containers[0].volumeMounts[1]: there is no volume b. Add it to "
            "extra_volumes, or mount one of efs, scratch.",
        ),
        (
            "maskrcnn: {extra_volumes: [{name: shm, emptyDir: {}}]}",
            "1:35: error MRC036 maskrcnn.extra_volumes[0].name: the name shm is already in use. Rename the "
            "volume and its mounts.",
        ),
        (
            "maskrcnn: {extra_volumes: [{name: scratch, emptyDir: {}}]}",
            "1:28: warning MRC036 maskrcnn.extra_volumes[0]: the volume scratch is not mounted. Add "
            "{name: scratch, mountPath: /scratch} to extra_volume_mounts, or remove it.",
        ),
        (
            VOLUMES + "extra_volume_mounts: [{name: scratch, mountPath: /dev}]",
            "3:52: error MRC037 maskrcnn.extra_volume_mounts[0].mountPath: it would hide /dev/shm. Choose "
            "another mountPath.",
        ),
        (
            VOLUMES + "extra_volume_mounts: [{name: scratch, mountPath: /root/.ssh/}]",
            "3:52: error MRC037 maskrcnn.extra_volume_mounts[0].mountPath: /root/.ssh is mounted twice. "
            "Choose another mountPath.",
        ),
        (
            "maskrcnn: {mpirun_args: [-np, 4]}",
            "1:26: error MRC038 maskrcnn.mpirun_args[0]: -np is set by the chart and the MPI Operator. "
            "Remove it; gpus and gpus_per_node decide on the ranks.",
        ),
    ],
)
def test_a_mistake_is_reported_at_its_item(text: str, finding: str, tmp_path: Path) -> None:
    assert lines(checked(tmp_path, text)) == [f"values.yaml:{finding}"]


@pytest.mark.parametrize("path", ["/root", "/root/.ssh"])
def test_pods_of_another_user_leave_the_home_of_root_free(path: str, tmp_path: Path) -> None:
    mounts = f"extra_volume_mounts: [{{name: scratch, mountPath: {path}}}]\n  run_as_user: 1000"
    assert lines(checked(tmp_path, VOLUMES + mounts)) == []


def test_a_volume_for_an_init_container_alone_is_mounted(tmp_path: Path) -> None:
    mount = "volumeMounts: [{name: scratch, mountPath: /a}]"
    assert lines(checked(tmp_path, f"{VOLUMES}init_containers: [{{name: i, image: 'x:1', {mount}}}]")) == []
