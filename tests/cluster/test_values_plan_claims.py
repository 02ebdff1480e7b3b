"""mrc-values plan --fs auto: the file systems by the claims of a real cluster."""

from pathlib import Path

import yaml
from testcluster.charts import CHARTS
from testcluster.client import Client
from values_tool import command


def plan(user: Client, directory: Path) -> tuple[dict[str, str], str]:
    """The file systems that are chosen, and the messages about the claims."""
    file = directory / "values.yaml"
    file.write_text(f"global: {{namespace: {user.namespace}}}\n")
    flags = ("--node-group", "p4d", "--nodes", "2", "--fs", "auto", "-f", str(file), "--write")
    done = command(user, "plan", str(CHARTS / "maskrcnn"), *flags)
    assert done.returncode == 0, done.stderr
    values = yaml.safe_load(file.read_text())
    chosen = {
        "shared_fs": values["global"].get("shared_fs", "efs"),
        "data_fs": values["maskrcnn"].get("data_fs", "efs"),
    }
    return chosen, done.stderr


def test_fsx_has_the_data_and_efs_the_logs_when_both_claims_can_be_used(user: Client, tmp_path: Path) -> None:
    chosen, explanation = plan(user, tmp_path)
    assert chosen == {"shared_fs": "efs", "data_fs": "fsx"}
    assert explanation.splitlines()[:3] == [
        f"FSx: the claim {user.namespace}/tensorpack-fsx is bound.",
        f"EFS: the claim {user.namespace}/tensorpack-efs-gp-bursting is bound.",
        "The data is read from FSx, which is made for that. Whether it contains the data set can only "
        "be checked from inside a pod.",
    ]


def test_efs_has_both_when_there_is_no_fsx(user: Client, tmp_path: Path) -> None:
    user.kubectl("delete", "pvc", "tensorpack-fsx")
    chosen, explanation = plan(user, tmp_path)
    assert chosen == {"shared_fs": "efs", "data_fs": "efs"}
    assert f"FSx: the claim {user.namespace}/tensorpack-fsx does not exist." in explanation
    assert "The data is read from EFS, as FSx cannot be used." in explanation


def test_fsx_has_both_when_there_is_no_efs(user: Client, tmp_path: Path) -> None:
    user.kubectl("delete", "pvc", "tensorpack-efs-gp-bursting")
    chosen, _ = plan(user, tmp_path)
    assert chosen == {"shared_fs": "fsx", "data_fs": "fsx"}
