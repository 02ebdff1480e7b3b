"""``mrc-sagemaker local``: what it says before anything runs, and the files that SageMaker would give."""

import json
import os
from pathlib import Path

import pytest
from mrc_sagemaker import local_hosts
from mrc_sagemaker.ack import Resource
from mrc_sagemaker.local_job import lay_out
from sagemaker_tool import VALUES, run, write


def job(hosts: int, **request: object) -> Resource:
    resources = {"InstanceCount": hosts, "InstanceType": "ml.p4d.24xlarge", "VolumeSizeInGB": 1}
    members = {"HyperParameters": {"TRAIN.BASE_LR": "0.01"}, "ResourceConfig": resources, **request}
    return Resource("TrainingJob", {"TrainingJobName": "demo", **members})


def test_each_host_has_the_files_that_sagemaker_gives_it(tmp_path: Path) -> None:
    """The names are those of SageMaker's developer guide, "Distributed training configuration"."""
    (tmp_path / "coco").mkdir()
    (tmp_path / "r50").mkdir()
    channels = {"train": tmp_path / "coco", "weights": tmp_path / "r50"}
    layouts = lay_out(tmp_path / "ml", job(2, CheckpointConfig={"S3Uri": "s3://b/c"}), channels)
    assert list(layouts) == ["algo-1", "algo-2"]
    root = tmp_path / "ml" / "algo-2"
    resources = json.loads((root / "input/config/resourceconfig.json").read_text())
    assert resources == {
        "current_host": "algo-2",
        "hosts": ["algo-1", "algo-2"],
        "network_interface_name": "eth0",
    }
    given = json.loads((root / "input/config/hyperparameters.json").read_text())
    assert given == {"TRAIN.BASE_LR": "0.01"}
    assert sorted(json.loads((root / "input/config/inputdataconfig.json").read_text())) == [
        "train",
        "weights",
    ]
    assert (root / "input/data/train").resolve() == tmp_path / "coco"
    assert sorted(path.name for path in root.iterdir()) == ["checkpoints", "input", "model", "output"]


def test_the_only_host_has_the_directory_itself(tmp_path: Path) -> None:
    layouts = lay_out(tmp_path / "ml", job(1), {"train": tmp_path})
    assert {name: layout.root for name, layout in layouts.items()} == {"algo-1": tmp_path / "ml"}


def test_several_hosts_need_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert local_hosts.unavailable() == "making hosts here needs root; run the command with sudo"


def test_several_hosts_need_an_ssh_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for name in ("unshare", "ip", "ssh"):
        (tmp_path / name).symlink_to("/bin/true")
    monkeypatch.setattr(local_hosts, "_SYSTEM", "")
    expected = "making hosts here needs sshd; apt-get install openssh-server"
    assert local_hosts.unavailable(str(tmp_path)) == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["serve", "--directory", "{here}"], "{here}/model: no model there. Train one: mrc-sagemaker local"),
        (["predict", "{here}/a.jpg", "--port", "9"], "127.0.0.1:9: no server answers "),
        (["predict", "{here}/gone.jpg"], "{here}/gone.jpg: No such file or directory"),
        (["predict", "{here}/a.gif"], "{here}/a.gif: not an image that an endpoint takes; use .jpg"),
        (
            ["train", "demo", "-f", "{here}/values.yaml", "--data", "{here}/no"],
            "{here}/no: no such directory",
        ),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], expected: str, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    write(tmp_path / "values.yaml", VALUES)
    done = run("local", *(argument.format(here=tmp_path) for argument in arguments))
    assert done.returncode == 1
    assert done.stderr.startswith(f"mrc-sagemaker: {expected.format(here=tmp_path)}")
    assert done.stderr.count("\n") == 1
