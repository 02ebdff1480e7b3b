"""mrc-values plan --from-terraform: what follows from the outputs of Terraform, and what does not fit."""

import json
import os
import subprocess
import sys
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from mrc_cli.errors import UserError
from mrc_values.ecr_images import newest_digest
from mrc_values.terraform_outputs import parse
from values_files import CHART

PROGRAM = Path(sys.executable).with_name("mrc-values")
ZONE_A, ZONE_B = "subnet-0aaaaaaaaaaaaaaaa", "subnet-0bbbbbbbbbbbbbbbb"

# Written by hand after terraform/aws-eks-cluster-and-nodegroup/outputs.tf.
OUTPUT: dict[str, Any] = {
    "schema": 1,
    "region": "us-west-2",
    "cluster": {
        "name": "my-eks-cluster",
        "version": "1.34",
        "endpoint": "https://0123456789ABCDEF.gr7.us-west-2.eks.amazonaws.com",
        "vpc_id": "vpc-0123456789abcdef0",
    },
    "node_groups": {
        "inference": {
            "name": "inference",
            "node_group": "g4dn",
            "instance_type": "g4dn.xlarge",
            "max_size": 2,
            "subnet_ids": [ZONE_A, ZONE_B],
        },
        "training": {
            "name": "training",
            "node_group": "p4d",
            "instance_type": "p4d.24xlarge",
            "max_size": 4,
            "subnet_ids": [ZONE_A],
        },
    },
    "file_systems": {
        "efs": {"id": "fs-0123456789abcdef0"},
        "fsx": {
            "id": "fs-0fedcba9876543210",
            "dns_name": "fs-0fedcba9876543210.fsx.us-west-2.amazonaws.com",
            "mount_name": "abcdefgh",
            "capacity": 1200,
            "subnet_id": ZONE_A,
        },
    },
    "repositories": {"mask-rcnn": "123456789012.dkr.ecr.us-west-2.amazonaws.com/mask-rcnn"},
    "bucket": "my-eks-cluster-data",
}
IMAGE = "123456789012.dkr.ecr.us-west-2.amazonaws.com/mask-rcnn:v1"


def outputs(**changes: Any) -> str:
    """What terraform output -json prints, with some keys of mrc_values changed (None: without them)."""
    value = {key: part for key, part in (deepcopy(OUTPUT) | changes).items() if part is not None}
    return json.dumps({"mrc_values": {"sensitive": False, "type": "dynamic", "value": value}})


def node_group(**changes: Any) -> dict[str, Any]:
    return {"training": OUTPUT["node_groups"]["training"] | changes}


def call(directory: Path, *arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    # No credentials, and nothing outside this machine is asked for them.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return subprocess.run(
        [PROGRAM, "plan", CHART, *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=120,
        input=stdin,
        env=clean | {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(directory)},
    )


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "values.yaml").write_text(f"maskrcnn:\n  image: {IMAGE}\n")
    (tmp_path / "built.json").write_text(outputs())
    return tmp_path


def test_values_and_claims_follow_from_the_outputs_and_are_valid(directory: Path) -> None:
    done = call(directory, "--from-terraform", "built.json", "--nodes", "4", "-f", "values.yaml", "--write")
    assert (done.returncode, done.stderr) == (
        0,
        "values.yaml: written.\nclaims.yaml: written. Then: kubectl apply -f claims.yaml\n",
    )
    values = yaml.safe_load((directory / "values.yaml").read_text())
    planned = values["maskrcnn"]
    assert (planned["node_group"], planned["gpus"], planned["data_fs"]) == ("p4d", 32, "fsx")
    validated = subprocess.run(
        [PROGRAM, "validate", CHART, "-f", directory / "values.yaml"], capture_output=True, text=True
    )
    assert validated.returncode == 0, validated.stdout

    volumes = {
        item["metadata"]["name"]: item for item in yaml.safe_load_all((directory / "claims.yaml").read_text())
    }
    assert volumes["kubeflow-tensorpack-fsx"]["spec"] == {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "",
        "capacity": {"storage": "1200Gi"},
        "persistentVolumeReclaimPolicy": "Retain",
        "claimRef": {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "namespace": "kubeflow",
            "name": "tensorpack-fsx",
        },
        "mountOptions": ["flock"],
        "csi": {
            "driver": "fsx.csi.aws.com",
            "volumeHandle": "fs-0fedcba9876543210",
            "volumeAttributes": {
                "dnsname": "fs-0fedcba9876543210.fsx.us-west-2.amazonaws.com",
                "mountname": "abcdefgh",
            },
        },
    }
    assert volumes["kubeflow-tensorpack-efs-gp-bursting"]["spec"]["csi"] == {
        "driver": "efs.csi.aws.com",
        "volumeHandle": "fs-0123456789abcdef0",
    }


@pytest.mark.parametrize(
    ("file_system", "changes"),
    [
        ("efs", {"fs-FILL-IN": "fs-0123456789abcdef0"}),
        (
            "fsx",
            {
                "fs-FILL-IN.fsx.FILL-IN.amazonaws.com": "fs-0fedcba9876543210.fsx.us-west-2.amazonaws.com",
                "fs-FILL-IN": "fs-0fedcba9876543210",
                "FILL-IN": "abcdefgh",
            },
        ),
    ],
)
def test_the_claims_are_those_of_the_examples(
    file_system: str, changes: dict[str, str], directory: Path
) -> None:
    """The examples are what real drivers were tested with."""
    example = (CHART / "examples" / "claims" / f"{file_system}.yaml").read_text()
    for before, after in changes.items():
        example = example.replace(before, after)
    done = call(
        directory, "--from-terraform", "built.json", "--nodes", "1", "--fs", file_system,
        "--claims", "c.yaml", "-f", "values.yaml", "--write",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    written = list(yaml.safe_load_all((directory / "c.yaml").read_text()))
    for item in yaml.safe_load_all(example):
        assert item in written


def test_a_second_call_changes_nothing(directory: Path) -> None:
    flags = ("--from-terraform", "built.json", "--nodes", "4", "-f", "values.yaml", "--write")
    call(directory, *flags)
    again = call(directory, *flags)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "values.yaml: no changes.\n")


def test_claims_have_the_names_in_the_values(directory: Path) -> None:
    (directory / "values.yaml").write_text(
        f"global: {{shared_pvc: pv-efs, namespace: team}}\nmaskrcnn: {{image: {IMAGE}, data_fs: efs}}\n"
    )
    call(
        directory,
        "--from-terraform",
        "built.json",
        "--nodes",
        "1",
        "--fs",
        "efs",
        "-f",
        "values.yaml",
        "--write",
    )
    volume, claim = yaml.safe_load_all((directory / "claims.yaml").read_text())
    assert (volume["metadata"]["name"], claim["metadata"]) == (
        "team-pv-efs",
        {"name": "pv-efs", "namespace": "team"},
    )


def test_outputs_of_both_roots_of_the_advanced_option_are_one_cluster(directory: Path) -> None:
    (directory / "cluster.json").write_text(outputs(node_groups={}))
    nodes = outputs(node_groups=node_group(name="training-1"), file_systems=None, repositories=None)
    done = call(
        directory, "--from-terraform", "cluster.json", "--from-terraform", "-", "--nodes", "2",
        "-f", "values.yaml", stdin=nodes,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "+  gpu_nodes: 2  # workers\n" in done.stdout
    assert "+  data_fs: fsx" in done.stdout


def test_without_credentials_the_image_is_left_to_the_user(directory: Path) -> None:
    (directory / "values.yaml").write_text("maskrcnn: {}\n")
    done = call(directory, "--from-terraform", "built.json", "--nodes", "1", "-f", "values.yaml")
    assert done.returncode == 0
    assert done.stderr.startswith(
        "maskrcnn.image: not looked up: ecr:DescribeImages: no AWS credentials were found."
    )


def test_the_newest_image_for_gpus_is_taken() -> None:
    def pushed(digest: str, tags: list[str], day: int) -> dict[str, Any]:
        return {
            "imageDigest": digest,
            "imageTags": tags,
            "imagePushedAt": datetime(2026, 11, day, tzinfo=UTC),
        }

    details = [
        pushed("sha256:1", ["v1-gpu"], 1),
        pushed("sha256:3", ["v3-gpu"], 3),
        pushed("sha256:2", ["v2-gpu"], 2),
        pushed("sha256:4", ["v4"], 4),
        {"imageDigest": "sha256:5", "imagePushedAt": datetime(2026, 11, 5, tzinfo=UTC)},
    ]
    assert newest_digest(details, "-gpu") == "sha256:3"
    assert newest_digest(details[3:], "-gpu") == ""


FSX_ELSEWHERE = OUTPUT["file_systems"] | {"fsx": OUTPUT["file_systems"]["fsx"] | {"subnet_id": ZONE_B}}


@pytest.mark.parametrize(
    ("changes", "flags", "line", "code"),
    [
        ({}, ["--nodes", "5"], "--nodes 5: node group training has at most 4.", 1),
        (
            {"file_systems": FSX_ELSEWHERE},
            ["--nodes", "1"],
            f"fs-0fedcba9876543210: FSx is in {ZONE_B}, but the nodes of training in {ZONE_A}, another zone",
            1,
        ),
        ({"schema": 2}, ["--nodes", "1"], "built.json: mrc_values has schema 2, but this mrc-values", 1),
        ({"schema": None}, ["--nodes", "1"], "built.json: no output mrc_values.", 1),
        ({"region": None}, ["--nodes", "1"], "built.json: mrc_values is incomplete: no 'region'.", 1),
        ({"node_groups": {}}, ["--nodes", "1"], "--from-terraform: no node groups. Add the directory of", 1),
        ({"file_systems": None}, ["--nodes", "1"], "--from-terraform: no file systems. Add the directory", 1),
        (
            {"file_systems": OUTPUT["file_systems"] | {"fsx": None}},
            ["--nodes", "1", "--fs", "fsx"],
            "--fs fsx: Terraform built efs only.",
            1,
        ),
        (
            {"node_groups": node_group(node_group="p9")},
            ["--nodes", "1"],
            "training: Terraform built p4d.24xlarge for p9, but the chart has no such row.",
            1,
        ),
        (
            {"node_groups": node_group(instance_type="p4de.24xlarge")},
            ["--nodes", "1"],
            "training: Terraform built p4de.24xlarge for p4d, but the chart has p4d.24xlarge.",
            1,
        ),
        (
            {},
            ["--nodes", "1", "--node-group", "p5"],
            "--node-group p5: not one of the node groups of my-eks-cluster: inference (g4dn), tr",
            2,
        ),
        ({}, ["--nodes", "1", "--fs", "auto"], "--fs auto: with --from-terraform, leave it out", 2),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_rejected_in_one_line(
    changes: dict[str, Any], flags: list[str], line: str, code: int, directory: Path
) -> None:
    (directory / "built.json").write_text(outputs(**changes))
    done = call(directory, "--from-terraform", "built.json", *flags, "-f", "values.yaml", "--write")
    assert (done.returncode, done.stdout) == (code, "")
    assert line in done.stderr
    assert "Traceback" not in done.stderr
    assert not (directory / "claims.yaml").exists()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{}", "here: Terraform has no outputs yet. Run terraform apply there first."),
        ("[]", "here: not the JSON of terraform output -json: no object."),
        ("no", "here: not the JSON of terraform output -json: Expecting value"),
        ('{"vpc_id": {"value": "vpc-1"}}', "here: no output mrc_values."),
    ],
)
def test_other_files_are_rejected_in_one_line(text: str, line: str) -> None:
    with pytest.raises(UserError) as raised:
        parse(text, "here")
    assert str(raised.value).startswith(line)


def test_the_output_alone_is_accepted_as_well() -> None:
    assert parse(json.dumps(OUTPUT), "-") == parse(outputs(), "-")


def test_a_missing_source_is_wrong_usage(directory: Path) -> None:
    done = call(directory, "--from-terraform", "none.json", "--nodes", "1")
    assert (done.returncode, done.stderr) == (
        2,
        "mrc-values: --from-terraform none.json: no such file or directory\n",
    )


def test_a_directory_needs_the_program_terraform(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    done = call(directory, "--from-terraform", ".", "--nodes", "1")
    assert done.returncode == 1
    assert done.stderr.startswith("mrc-values: terraform: not found. Install it, or give the output of")


def test_one_of_both_options_is_needed(directory: Path) -> None:
    done = call(directory, "--nodes", "1")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "mrc-values: --node-group: missing. Give it, or --from-terraform."
    )
