"""The node-group catalogue: its numbers, and that a job of each row fits the row's nodes."""

import gzip
import json
import re
from importlib.resources import files
from typing import Any

import pytest
import yaml
from maskrcnn_chart import check_job, run
from rendering import CHARTS

CATALOGUE: dict[str, dict[str, Any]] = yaml.safe_load(
    (CHARTS / "common" / "files" / "node-groups.yaml").read_text()
)
FIELDS: dict[str, Any] = {
    "instance_type": str,
    "gpu": str,
    "gpus": int,
    "gpu_memory_mib": int,
    "vcpus": int,
    "memory_gib": int,
    "allocatable": dict,
    "efa": int,
    "efa_rdma": bool,
    "nvme_gb": int,
    "network_gbps": (int, float),
    "labels": dict,
    "taints": list,
    "env": dict,
}
every_row = pytest.mark.parametrize("name", CATALOGUE)


@every_row
def test_a_row_has_every_field(name: str) -> None:
    row = CATALOGUE[name]
    assert set(row) - {"retired"} == set(FIELDS)
    assert row.get("retired", True) is True
    assert all(isinstance(row[field], kind) for field, kind in FIELDS.items())


@every_row
def test_allocatable_is_what_karpenter_computes(name: str) -> None:
    # https://karpenter.sh/docs/reference/instance-types/ and its settings: 7.5 % of the memory for the
    # virtual machine, 100 MiB for eviction, 255 MiB and 11 MiB a pod for the kubelet; the kubelet's share
    # of each core.
    row = CATALOGUE[name]
    allocatable = row["allocatable"]
    memory = row["memory_gib"] * 1024 * 0.925 - 100 - (255 + 11 * allocatable["pods"])
    shares = [0.06, 0.01, 0.005, 0.005] + [0.0025] * (row["vcpus"] - 4)
    assert allocatable["memory_mib"] == int(memory)
    assert allocatable["cpu_millis"] == int(row["vcpus"] * 1000 - 1000 * sum(shares[: row["vcpus"]]))


@every_row
def test_a_job_on_whole_nodes_fits_them(name: str) -> None:
    row = CATALOGUE[name]
    rendered = run(node_group=name, gpus=2 * row["gpus"], gpus_per_node=row["gpus"])
    check_job(rendered.job)
    assert_fits(rendered.worker["resources"], row, pods=1)


@every_row
def test_workers_of_one_gpu_fit_a_node_together(name: str) -> None:
    row = CATALOGUE[name]
    rendered = run(node_group=name, gpus=2 * row["gpus"], gpus_per_node=1)
    assert_fits(rendered.worker["resources"], row, pods=row["gpus"])


@every_row
def test_efa_is_asked_for_only_where_it_exists(name: str) -> None:
    row = CATALOGUE[name]
    rendered = run(node_group=name, gpus=row["gpus"], gpus_per_node=row["gpus"])
    assert rendered.worker["resources"]["limits"].get("vpc.amazonaws.com/efa", 0) == row["efa"]
    assert ("FI_PROVIDER" in rendered.env) == (row["efa"] > 0)


@every_row
def test_the_pods_tolerate_and_select_the_row(name: str) -> None:
    row = CATALOGUE[name]
    pod = run(node_group=name, gpus=row["gpus"], gpus_per_node=row["gpus"]).pod("Worker")
    assert pod["nodeSelector"] == row["labels"]
    assert {toleration["key"] for toleration in pod["tolerations"]} == {
        taint["key"] for taint in row["taints"]
    }


@every_row
def test_a_row_agrees_with_what_ec2_describes(name: str) -> None:
    """The data that moto answers DescribeInstanceTypes with was read from EC2; it has no p3."""
    row = CATALOGUE[name]
    data = (files("moto") / "ec2" / "resources" / "instance_types.json.gz").read_bytes()
    described = json.loads(gzip.decompress(data)).get(row["instance_type"])
    if described is None:
        pytest.skip(f"no data of {row['instance_type']}")
    (gpu,) = described["GpuInfo"]["Gpus"]
    assert (gpu["Name"], gpu["Count"], gpu["MemoryInfo"]["SizeInMiB"]) == (
        row["gpu"],
        row["gpus"],
        row["gpu_memory_mib"],
    )
    assert described["MemoryInfo"]["SizeInMiB"] == row["memory_gib"] * 1024
    assert described["VCpuInfo"]["DefaultVCpus"] == row["vcpus"]
    assert described["InstanceStorageInfo"]["TotalSizeInGB"] == row["nvme_gb"]
    network = described["NetworkInfo"]
    assert network.get("EfaInfo", {}).get("MaximumEfaInterfaces", 0) == row["efa"]
    # "400 Gigabit", "4x 100 Gigabit", or "Up to 10 Gigabit", of which the row has the lower baseline.
    speed = re.fullmatch(r"(?:Up to |(\d+)x )?(\d+) Gigabit", network["NetworkPerformance"])
    assert speed
    if network["NetworkPerformance"].startswith("Up to"):
        (card,) = network["NetworkCards"]
        assert row["network_gbps"] == card["BaselineBandwidthInGbps"]
    else:
        assert row["network_gbps"] == int(speed[1] or 1) * int(speed[2])


def assert_fits(resources: dict[str, Any], row: dict[str, Any], pods: int) -> None:
    """``pods`` such pods on one node leave at least 5 % of CPU and memory to its daemon sets."""
    for kind in ("requests", "limits"):
        wanted = resources[kind]
        assert pods * mebibytes(wanted["memory"]) <= 0.95 * row["allocatable"]["memory_mib"]
        assert pods * int(wanted["nvidia.com/gpu"]) <= row["gpus"]
        assert pods * int(wanted.get("vpc.amazonaws.com/efa", 0)) <= row["efa"]
    cpu = resources["requests"]["cpu"]
    assert pods * int(cpu.removesuffix("m")) <= 0.95 * row["allocatable"]["cpu_millis"]


def mebibytes(quantity: str) -> int:
    match = re.fullmatch(r"(\d+)Mi", quantity)
    assert match, quantity
    return int(match[1])
