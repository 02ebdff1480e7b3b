"""mrc-values plan: the values derived from nodes and file systems, and how they are written to a file."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from mrc_values import catalogue, values
from mrc_values.planning import FileSystems, edited, new_file, plan
from values_files import CHART

PROGRAM = Path(sys.executable).with_name("mrc-values")
OPTIMIZED = CHART.with_name("maskrcnn-optimized")
EFS = FileSystems("efs", "efs")


def planned(
    group: str,
    nodes: int,
    *sets: str,
    chart: Path = CHART,
    file_systems: FileSystems = EFS,
) -> dict[str, Any]:
    """Planned values by dotted name."""
    loaded, _ = values.load(chart, (), sets)
    planned_values = plan(catalogue.load(chart).node_groups[group], nodes, file_systems, loaded)
    return {".".join(map(str, value.path)): value.value for value in planned_values}


@pytest.mark.parametrize(
    ("group", "nodes", "gpus", "per_node", "steps"),
    [
        # The tutorial: 120000 / gpus.
        ("p3", 1, 8, 8, 15000),
        ("p3dn", 2, 16, 8, 7500),
        ("p4d", 4, 32, 8, 3750),
        ("p4d", 64, 512, 8, 234),
        ("g5-xlarge", 3, 3, 1, 40000),
    ],
)
def test_gpus_and_steps_per_epoch_follow_from_the_nodes(
    group: str, nodes: int, gpus: int, per_node: int, steps: int
) -> None:
    by_name = planned(group, nodes)
    assert by_name["maskrcnn.node_group"] == group
    assert (by_name["maskrcnn.gpus"], by_name["maskrcnn.gpus_per_node"]) == (gpus, per_node)
    assert (by_name["maskrcnn.gpu_nodes"], by_name["maskrcnn.steps_per_epoch"]) == (
        nodes,
        steps,
    )


def test_steps_per_epoch_depend_on_the_batch_size_per_gpu() -> None:
    assert planned("p4d", 4, "maskrcnn.batch_size_per_gpu=4")["maskrcnn.steps_per_epoch"] == 938


def test_the_optimized_chart_takes_its_steps_from_images_per_epoch() -> None:
    assert "maskrcnn.steps_per_epoch" not in planned("p4d", 4, chart=OPTIMIZED)


def test_the_steps_for_a_data_set_of_unknown_size_are_unchanged() -> None:
    assert "maskrcnn.steps_per_epoch" not in planned("p4d", 4, 'maskrcnn.data_train=["mine"]')


def test_a_retired_node_group_is_planned_with_a_warning(tmp_path: Path) -> None:
    done = call("--node-group", "p3", "--nodes", "1", directory=tmp_path)
    assert (done.returncode, done.stderr) == (
        0,
        "p3: AWS no longer offers p3.16xlarge. Use another node group, unless it runs.\n",
    )


def test_the_learning_rate_is_unchanged_because_the_trainer_scales_it() -> None:
    assert not {name for name in planned("p4d", 4, "maskrcnn.base_lr=0.02") if "lr" in name}


def test_values_that_the_node_group_sets_are_reset() -> None:
    by_name = planned("p4d", 4, "maskrcnn.efa=1", "maskrcnn.gpu_instance_type=p3.16xlarge")
    assert (by_name["maskrcnn.efa"], by_name["maskrcnn.gpu_instance_type"]) == (None, None)
    assert not {"maskrcnn.efa", "maskrcnn.gpu_instance_type"} & planned("p4d", 4).keys()


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        ([], {"global.shared_fs": "efs", "maskrcnn.data_fs": "fsx"}),
        (
            ["maskrcnn.data_pvc=pv-efs"],
            {"global.shared_fs": "efs", "maskrcnn.data_fs": "fsx", "maskrcnn.data_pvc": ""},
        ),
        (
            ["maskrcnn.data_fs=fsx", "maskrcnn.data_pvc=pv-fsx"],
            {"global.shared_fs": "efs", "maskrcnn.data_fs": "fsx"},
        ),
    ],
)
def test_the_claim_of_another_file_system_is_reset(sets: list[str], expected: dict[str, str]) -> None:
    by_name = planned("p4d", 1, *sets, file_systems=FileSystems("fsx", "efs"))
    places = {name: value for name, value in by_name.items() if name.endswith(("_fs", "_pvc"))}
    assert places == expected


def test_a_new_file_explains_each_value() -> None:
    loaded, _ = values.load(CHART)
    text = new_file(plan(catalogue.load(CHART).node_groups["p4d"], 4, EFS, loaded))
    assert "  gpus: 32  # 4 x 8\n" in text
    assert "  steps_per_epoch: 3750  # 120000 images / a total batch of 32\n" in text
    assert yaml.safe_load(text)["maskrcnn"]["gpu_nodes"] == 4


def edit(text: str) -> str:
    loaded, _ = values.load(CHART)
    wanted = plan(catalogue.load(CHART).node_groups["p4d"], 4, EFS, loaded)
    return edited(text, [value for value in wanted if value.path[-1] in ("gpus", "gpu_nodes")])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            "# mine\nmaskrcnn:\n  image: 'a/b:1'   # monday\n  gpus: 16  # two\n",
            "# mine\nmaskrcnn:\n  image: 'a/b:1'   # monday\n  gpus: 32  # two\n  gpu_nodes: 4  # workers\n",
            id="comments and quotes",
        ),
        pytest.param(
            "maskrcnn:\n    gpus: 16\n    extra_config:\n    - A.B=1\n",
            "maskrcnn:\n    gpus: 32\n    gpu_nodes: 4  # workers\n    extra_config:\n    - A.B=1\n",
            id="four spaces and a list that is not indented",
        ),
        pytest.param(
            "maskrcnn:\n  gpus: 16\n  extra_config:\n    - A.B=1\n",
            "maskrcnn:\n  gpus: 32\n  gpu_nodes: 4  # workers\n  extra_config:\n    - A.B=1\n",
            id="a list that is indented",
        ),
        pytest.param(
            "x: &many 16\nmaskrcnn: {gpus: *many, name: a}\n",
            "x: &many 16\nmaskrcnn: {gpus: 32, gpu_nodes: 4, name: a}\n",
            id="an anchor and a section in braces",
        ),
        pytest.param(
            "# nothing yet\n",
            "# nothing yet\nmaskrcnn:\n  gpus: 32  # 4 x 8\n  gpu_nodes: 4  # workers\n",
            id="comments only",
        ),
        pytest.param("", "maskrcnn:\n  gpus: 32  # 4 x 8\n  gpu_nodes: 4  # workers\n", id="an empty file"),
        pytest.param(
            "maskrcnn:\r\n  gpus: 16\r\n",
            "maskrcnn:\r\n  gpus: 32\r\n  gpu_nodes: 4  # workers\r\n",
            id="Windows line endings",
        ),
        pytest.param(
            "maskrcnn:\n  gpus: 16\n  lr: null\n  off: no\n  big: 67108864\n  text: |\n    a\n    b\n",
            "maskrcnn:\n  gpus: 32\n  gpu_nodes: 4  # workers\n  lr: null\n  off: no\n  big: 67108864\n"
            "  text: |\n    a\n    b\n",
            id="values as they are written",
        ),
    ],
)
def test_only_the_planned_lines_of_a_file_change(before: str, after: str) -> None:
    assert edit(before) == after


def call(*arguments: str | Path, directory: Path) -> subprocess.CompletedProcess[str]:
    argv = [PROGRAM, "plan", CHART, *arguments]
    return subprocess.run(
        argv, cwd=directory, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
    )


def test_plan_shows_a_diff_and_writes_only_with_write(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    before = "maskrcnn:\n  image: a/b:1\n  gpus: 16\n"
    file.write_text(before)
    flags = ("--node-group", "p4d", "--nodes", "4", "-f", "values.yaml")
    shown = call(*flags, directory=tmp_path)
    assert "-  gpus: 16\n+  gpus: 32\n" in shown.stdout
    assert shown.stderr == "values.yaml: not written. Use --write to write it.\n"
    assert file.read_text() == before
    written = call(*flags, "--write", directory=tmp_path)
    assert (written.returncode, written.stderr) == (0, "values.yaml: written.\n")
    assert yaml.safe_load(file.read_text())["maskrcnn"]["steps_per_epoch"] == 3750
    again = call(*flags, "--write", directory=tmp_path)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "values.yaml: no changes.\n")


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--node-group", "p4e", "--nodes", "1"], "not in the catalogue of "),
        (["--node-group", "p4d", "--nodes", "0"], "Invalid value for '--nodes'"),
        (["--node-group", "p4d", "--nodes", "1", "--fs", "ebs"], "Invalid value for '--fs'"),
        (["--node-group", "p4d", "--nodes", "1", "-f", "none.yaml"], "none.yaml: no such file or directory"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(flags: list[str], line: str, tmp_path: Path) -> None:
    result = call(*flags, directory=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert line in result.stderr.splitlines()[-1]
