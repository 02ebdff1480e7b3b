"""What versitygw has not: versions of objects and policies of buckets. Here moto is the server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from aws_in_moto import empty_aws
from data_sets import data_set, tree
from mrc_cli.errors import ServiceError
from mrc_stage import preparing, sources, staging
from mrc_stage.errors import WrongData
from mrc_stage.objects import Bucket, Location

ZIP = "photos/train2017.zip"


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bucket]:
    """A bucket with versions that has a small data set."""
    with empty_aws() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        made = Bucket(Location("bucket", "photos/"))
        made.client.create_bucket(
            Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "us-west-2"}
        )
        made.client.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
        preparing.prepare(made, sources.local(data_set(tmp_path / "original", 20)))
        yield made


def test_a_new_version_of_an_archive_is_named_and_the_restored_one_is_staged(
    prepared: Bucket, tmp_path: Path
) -> None:
    client = prepared.client
    new = client.put_object(Bucket="bucket", Key=ZIP, Body=b"another")
    with pytest.raises(WrongData, match=r"train2017\.zip is not what the manifest says: 7 bytes"):
        staging.stage(prepared, tmp_path / "out", 0, 1, replace=False)
    deleted = client.delete_object(Bucket="bucket", Key=ZIP)
    with pytest.raises(WrongData, match=r"train2017\.zip is in the manifest, but not found"):
        staging.stage(prepared, tmp_path / "out", 0, 1, replace=False)
    for version in (deleted, new):
        client.delete_object(Bucket="bucket", Key=ZIP, VersionId=version["VersionId"])

    assert staging.stage(prepared, tmp_path / "out", 0, 1, replace=False)

    assert tree(tmp_path / "out") == tree(tmp_path / "original")


def test_a_policy_that_denies_reading_is_named_with_the_action(prepared: Bucket, tmp_path: Path) -> None:
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::bucket/{ZIP}",
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    prepared.client.put_bucket_policy(Bucket="bucket", Policy=json.dumps(policy))

    with pytest.raises(
        ServiceError, match=r"s3:GetObject of s3://bucket/photos/train2017\.zip: AWS denies it"
    ):
        staging.stage(prepared, tmp_path / "out", 0, 1, replace=False)
    assert not (tmp_path / "out" / "train2017").exists()
