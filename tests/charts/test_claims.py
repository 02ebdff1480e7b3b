"""The manifests of claims: valid, bound only to each other, and matching the charts' defaults."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from maskrcnn_chart import CHART, run

DIRECTORY = CHART / "examples" / "claims"

# Drivers and what they read (aws-efs-csi-driver and aws-fsx-csi-driver, examples of static provisioning).
DRIVERS: dict[str, tuple[str, set[str]]] = {
    "efs": ("efs.csi.aws.com", set()),
    "fsx": ("fsx.csi.aws.com", {"dnsname", "mountname"}),
}


def manifest(fs: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The volume and the claim of a file system."""
    volume, claim = yaml.safe_load_all((DIRECTORY / f"{fs}.yaml").read_text())
    return volume, claim


def test_every_manifest_is_tested() -> None:
    assert {file.stem for file in DIRECTORY.iterdir()} == set(DRIVERS)


@pytest.mark.parametrize("fs", DRIVERS)
@pytest.mark.parametrize("version", ["1.27", "1.34"])
def test_kubernetes_accepts_the_manifests(fs: str, version: str) -> None:
    for item in manifest(fs):
        kubernetes_validate.validate(item, version, strict=True)


@pytest.mark.parametrize("fs", DRIVERS)
def test_a_job_without_a_claim_of_its_own_mounts_this_one(fs: str) -> None:
    _, claim = manifest(fs)
    job = run(global_={"shared_fs": fs})
    (mounted,) = (v for v in job.pod("Worker")["volumes"] if "persistentVolumeClaim" in v)
    assert mounted["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert job.job["metadata"]["namespace"] == claim["metadata"]["namespace"]


@pytest.mark.parametrize("fs", DRIVERS)
def test_volume_and_claim_name_each_other_and_no_class_interferes(fs: str) -> None:
    volume, claim = manifest(fs)
    assert volume["spec"]["claimRef"] == {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": claim["metadata"]["namespace"],
        "name": claim["metadata"]["name"],
    }
    assert claim["spec"]["volumeName"] == volume["metadata"]["name"]
    assert volume["spec"]["storageClassName"] == claim["spec"]["storageClassName"] == ""
    assert volume["spec"]["capacity"] == claim["spec"]["resources"]["requests"]


@pytest.mark.parametrize("fs", DRIVERS)
def test_all_workers_may_write_and_data_outlives_the_claim(fs: str) -> None:
    volume, claim = manifest(fs)
    assert volume["spec"]["accessModes"] == claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"


@pytest.mark.parametrize("fs", DRIVERS)
def test_the_drivers_fields_are_set_or_marked_to_fill_in(fs: str) -> None:
    driver, attributes = DRIVERS[fs]
    source = manifest(fs)[0]["spec"]["csi"]
    assert source["driver"] == driver
    assert set(source.get("volumeAttributes", {})) == attributes
    assert all(
        "FILL-IN" in text for text in [source["volumeHandle"], *source.get("volumeAttributes", {}).values()]
    )


def test_the_page_names_every_manifest() -> None:
    page = (Path(__file__).parents[2] / "docs" / "claims.md").read_text()
    for fs, (driver, _) in DRIVERS.items():
        assert f"claims/{fs}.yaml" in page
        assert driver in page
        assert f"`{manifest(fs)[1]['metadata']['name']}`" in page
