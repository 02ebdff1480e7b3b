"""What `helm test` says of a release: the rendered command, run by the system's shell."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from maskrcnn_chart import CHART, expand
from mrc_cli.staged import MARKER
from mrc_stage import publishing
from rendering import only, render_objects

WEIGHTS = "data/pretrained-models/ImageNet-R50-AlignPadding.npz"


@pytest.fixture
def file_system(tmp_path: Path) -> Path:
    """A file system with all that the default values name."""
    for name in ("data/annotations/instances_train2017.json", WEIGHTS):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def ask(directory: Path, **maskrcnn: Any) -> subprocess.CompletedProcess[str]:
    """The test of a release whose file system is this directory."""
    pod = only(render_objects(CHART, {"maskrcnn": {"image": "trainer:1", **maskrcnn}}), "Pod")
    (container,) = pod["spec"]["containers"]
    env = {"SHARED_FS": str(directory), "DATA_FS": str(directory), "PATH": "/usr/bin:/bin"}
    env |= {item["name"]: expand(item["value"], env) for item in container["env"] if item["name"] not in env}
    return subprocess.run(container["command"], env=env, capture_output=True, text=True)


def test_it_succeeds_with_a_line_for_each_prerequisite(file_system: Path) -> None:
    done = ask(file_system)
    assert done.returncode == 0
    assert [line[:3] for line in done.stdout.splitlines()] == ["ok:"] * 3
    assert done.stderr == ""


def test_all_missing_data_and_weights_are_named(file_system: Path) -> None:
    done = ask(file_system, data_dir="other", backbone_weights="none.npz")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"missing: {file_system}/other/annotations holds the data set's annotations. "
        "Put the data there, in COCO's layout, or set maskrcnn.data_fs and maskrcnn.data_dir",
        f"missing: {file_system}/none.npz holds the backbone's weights. "
        "Put them there, or set maskrcnn.backbone_weights; '' trains from scratch",
    ]


def test_a_directory_that_is_not_writable_is_named_with_the_fix(file_system: Path) -> None:
    (file_system / "kubeflow").touch()
    done = ask(file_system)
    assert done.returncode == 1
    assert f"mkdir -p {file_system}/kubeflow/demo && chown " in done.stderr


def test_a_model_from_scratch_needs_no_weights(file_system: Path) -> None:
    (file_system / WEIGHTS).unlink()
    assert ask(file_system, backbone_weights="").returncode == 0


def test_a_data_set_that_is_being_staged_is_named_with_the_way_to_resume(file_system: Path) -> None:
    (file_system / "data" / ".mrc-stage").mkdir()
    done = ask(file_system)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"incomplete: {file_system}/data is not completely staged. "
        "Run its stage-data job again, which fetches only what is missing"
    ]


def test_what_was_staged_is_printed(file_system: Path) -> None:
    marker = publishing.Marker(source="s3://my-bucket/coco/", digest="0", archives={}, files=123287, bytes=1)
    (file_system / "data" / MARKER).write_text(marker.model_dump_json(indent=2))
    done = ask(file_system)
    assert done.returncode == 0, done.stderr
    assert f"ok: {file_system}/data is complete: 123287 files from s3://my-bucket/coco/" in done.stdout
