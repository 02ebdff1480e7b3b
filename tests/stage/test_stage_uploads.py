"""Uploads of prepare: which unfinished ones are continued, what two runs at once do, and single objects."""

from pathlib import Path

import pytest
from data_sets import data_set, tree
from mrc_cli.errors import UserError
from mrc_stage import preparing, sources, staging, unpacked
from mrc_stage.errors import WrongData
from mrc_stage.objects import Bucket
from mrc_stage.uploading import NOTE, Multipart

KEY = "data.zip"


def content(bucket: Bucket) -> bytes:
    version = bucket.find(KEY)
    assert version
    return bucket.read(KEY, version, 0, version.size)


def test_an_upload_from_another_source_is_not_continued(bucket: Bucket) -> None:
    old = Multipart(bucket, KEY, "old source")
    old.send(1, b"old")
    new = Multipart(bucket, KEY, "new source")
    assert not new.has(1, 3), "the parts of an upload of the old source"
    new.send(1, b"new")
    new.complete(3)
    assert content(bucket) == b"new"


def test_two_runs_with_the_same_source_at_once_both_succeed(bucket: Bucket) -> None:
    first, second = (Multipart(bucket, KEY, "source") for _ in range(2))
    for upload in (first, second):
        upload.send(1, b"same")
    assert first.complete(4) == second.complete(4)
    assert content(bucket) == b"same"
    assert [key for key, _ in bucket.objects()] == [KEY], "no note is left"


def test_a_bucket_whose_prepare_has_not_finished_is_not_staged_as_loose_objects(
    bucket: Bucket, tmp_path: Path
) -> None:
    Multipart(bucket, KEY, "source").send(1, b"part")
    assert [key for key, _ in bucket.objects()] == [f"{NOTE}{KEY}.json"]
    with pytest.raises(WrongData, match=r"prepare has not finished\. Run it again"):
        staging.stage(bucket, tmp_path / "out", 0, 1, replace=False)


def test_unpacked_files_are_objects_of_their_own_and_only_changed_ones_are_sent_again(
    bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    original = data_set(tmp_path / "original", 30)
    unpacked.prepare_directory(bucket, original, dry_run=False)
    assert {key: bucket.read(key, version, 0, version.size) for key, version in bucket.objects()} == tree(
        original
    )
    image = original / "train2017" / f"{29:012}.jpg"
    image.write_bytes(bytes(len(image.read_bytes())))
    capsys.readouterr()
    unpacked.prepare_directory(bucket, original, dry_run=False)
    assert capsys.readouterr().err.splitlines()[-1] == f"{bucket.where}: 31 objects, 1 of them sent"
    staging.stage(bucket, tmp_path / "out", 0, 1, replace=False)
    assert tree(tmp_path / "out") == tree(original)


def test_unpacked_files_do_not_go_beside_archives(bucket: Bucket, tmp_path: Path) -> None:
    original = data_set(tmp_path / "original", 3)
    preparing.prepare(bucket, sources.local(original))
    with pytest.raises(UserError, match="Name another prefix"):
        unpacked.prepare_directory(bucket, original, dry_run=False)
