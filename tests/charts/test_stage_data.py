"""The chart stage-data: the job, its claim and its service account."""

from typing import Any

import pytest
import stage_manifests
import yaml
from mrc_values.helm import render
from rendering import CHARTS

CHART = CHARTS / "stage-data"
VALUES: dict[str, Any] = {"image": "stage:1", "s3_uri": "s3://my-bucket/coco"}


def objects(**values: Any) -> dict[str, dict[str, Any]]:
    """The rendered objects by kind."""
    texts = render(CHART, VALUES | values, "demo", "kubeflow")
    documents = [yaml.safe_load_all(text) for path, text in texts.items() if path.endswith(".yaml")]
    return {item["kind"]: item for document in documents for item in document if item}


def pod(**values: Any) -> dict[str, Any]:
    spec: dict[str, Any] = objects(**values)["Job"]["spec"]["template"]["spec"]
    return spec


def test_each_pod_stages_its_shard() -> None:
    job = objects(shards=3)["Job"]["spec"]
    container = job["template"]["spec"]["containers"][0]

    assert (job["completionMode"], job["completions"], job["parallelism"]) == ("Indexed", 3, 3)
    assert container["args"] == [
        *("stage", "s3://my-bucket/coco", "$(SHARED_FS)/data"),
        *("--shard", "$(JOB_COMPLETION_INDEX)/3"),
    ]
    assert {"name": "SHARED_FS", "value": "/efs"} in container["env"]


def test_errors_that_a_retry_cannot_correct_end_the_job_and_a_completed_one_stays() -> None:
    job = objects()["Job"]["spec"]

    assert job["podFailurePolicy"]["rules"][0] == {
        "action": "FailJob",
        "onExitCodes": {"containerName": "stage", "operator": "In", "values": [2, 4]},
    }
    assert "ttlSecondsAfterFinished" not in job
    assert job["template"]["spec"]["restartPolicy"] == "Never"


def test_options_become_arguments() -> None:
    assert pod(replace=True, requester_pays=True)["containers"][0]["args"][-2:] == [
        "--replace",
        "--requester-pays",
    ]


def test_an_existing_file_system_gets_a_volume_that_is_retained_and_a_claim_that_is_kept() -> None:
    claim = {"create": True, "volume_handle": "fs-0123::fsap-0123"}
    rendered = objects(claim=claim)
    volume, bound = rendered["PersistentVolume"], rendered["PersistentVolumeClaim"]

    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert volume["spec"]["csi"] == {"driver": "efs.csi.aws.com", "volumeHandle": "fs-0123::fsap-0123"}
    assert volume["spec"]["claimRef"]["name"] == bound["metadata"]["name"] == "tensorpack-efs-gp-bursting"
    assert bound["spec"]["volumeName"] == volume["metadata"]["name"]
    assert {part["metadata"]["annotations"]["helm.sh/resource-policy"] for part in (volume, bound)} == {
        "keep"
    }


def test_an_fsx_volume_has_its_address_and_locks() -> None:
    claim = {"create": True, "volume_handle": "fs-0123", "dns_name": "fs.example.com", "mount_name": "abc"}
    volume = objects(claim=claim, **{"global": {"shared_fs": "fsx"}})["PersistentVolume"]["spec"]

    assert volume["csi"]["volumeAttributes"] == {"dnsname": "fs.example.com", "mountname": "abc"}
    assert volume["mountOptions"] == ["flock"]


def test_a_storage_class_makes_the_volume() -> None:
    rendered = objects(claim={"create": True, "storage_class": "efs-retain"})

    assert "PersistentVolume" not in rendered
    assert rendered["PersistentVolumeClaim"]["spec"]["storageClassName"] == "efs-retain"
    assert "volumeName" not in rendered["PersistentVolumeClaim"]["spec"]


def test_a_role_is_annotated_and_an_existing_account_used() -> None:
    role = "arn:aws:iam::123456789012:role/stage-data"
    account = objects(service_account={"role_arn": role})["ServiceAccount"]["metadata"]
    assert account["annotations"] == {"eks.amazonaws.com/role-arn": role}
    assert account["name"] == pod()["serviceAccountName"] == "demo"

    rendered = objects(service_account={"create": False, "name": "mine"})
    assert "ServiceAccount" not in rendered
    assert rendered["Job"]["spec"]["template"]["spec"]["serviceAccountName"] == "mine"


def test_another_user_than_root_may_get_its_directory_from_an_init_container() -> None:
    spec = pod(run_as_user=1000, run_as_group=100, own_folder=True)

    assert (spec["securityContext"]["runAsUser"], spec["securityContext"]["runAsGroup"]) == (1000, 100)
    (init,) = spec["initContainers"]
    assert init["args"] == ['mkdir -p "$DIRECTORY" && chown 1000:100 "$DIRECTORY"']
    assert {"name": "DIRECTORY", "value": "$(SHARED_FS)/data"} in init["env"]
    assert "initContainers" not in pod(run_as_user=1000)


def test_nothing_changes_owners_by_default() -> None:
    """aws-efs-csi-driver 300: on an access point chown fails. MRC171 rejects own_folder there."""
    text = "".join(render(CHART, VALUES | {"run_as_user": 1000}, "demo", "kubeflow").values())
    assert "chown" not in text and "fsGroup" not in text


@pytest.mark.parametrize("name", stage_manifests.FILES)
def test_the_tutorials_manifest_has_just_bucket_and_image_to_fill_in(name: str) -> None:
    text = (CHARTS.parent / "stage-data" / name).read_text()
    body = text.partition("---\n")[2]

    assert (body.count("S3_BUCKET"), body.count("STAGE_IMAGE")) == (1, 1)
    assert {part["kind"] for part in yaml.safe_load_all(body)} == {"ServiceAccount", "Job"}
