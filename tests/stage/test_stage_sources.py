"""prepare from public servers, and staging of single objects."""

import hashlib
import io
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from data_sets import data_set, tree
from file_server import FileServer
from mrc_cli.errors import ServiceError, UsageError
from mrc_stage import archive, manifest, preparing, remote, sources, staging, unpacked, uploading
from mrc_stage.errors import WrongData
from mrc_stage.objects import Bucket
from mrc_stage.ranged_file import Ranged
from mrc_stage.remote import Remote

CHARTS = Path(__file__).parents[2] / "charts"

IMAGES = {f"val2017/{number:012}.jpg": random.Random(number).randbytes(90_000) for number in range(150)}


def packed(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
    return buffer.getvalue()


ZIP = packed(IMAGES)
WEIGHTS = packed({"conv0/W.npy": bytes(5000)})


@pytest.fixture
def public() -> Iterator[FileServer]:
    running = FileServer({"/zips/val2017.zip": ZIP, "/R50.npz": WEIGHTS})
    yield running
    running.stop()


def coco(
    public: FileServer, *, digest: str = hashlib.sha256(ZIP).hexdigest(), size: int = len(ZIP)
) -> Remote:
    mirrors = ["http://127.0.0.1:9/down.zip", f"{public.url}/zips/val2017.zip"]
    return Remote("val2017.zip", mirrors, size, digest)


def weights(public: FileServer, content: bytes = WEIGHTS) -> sources.Source:
    return sources.weights(f"{public.url}/R50.npz#sha256={hashlib.sha256(content).hexdigest()}")


def test_coco_and_weights_go_from_a_mirror_through_the_bucket_to_the_paths_of_the_tutorial(
    bucket: Bucket, tmp_path: Path, public: FileServer
) -> None:
    preparing.prepare(bucket, [sources.public(coco(public), is_archive=True), weights(public)])
    staging.stage(bucket, tmp_path, 0, 1, replace=False)

    assert tree(tmp_path) == IMAGES | {"pretrained-models/R50.npz": WEIGHTS}
    entries = manifest.read(bucket)
    assert entries and entries.entries[0].sha256 == hashlib.sha256(ZIP).hexdigest()


def test_a_download_that_was_cut_off_continues_with_the_parts_that_are_missing(
    bucket: Bucket, tmp_path: Path, public: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploading, "PART_BYTES", 5 << 20)
    read = remote.Mirrors.read

    def breaks_at_the_end(self: remote.Mirrors, start: int, end: int) -> bytes:
        if start >= 10 << 20:
            raise ServiceError("down")
        return read(self, start, end)

    monkeypatch.setattr(remote.Mirrors, "read", breaks_at_the_end)
    source = sources.public(coco(public), is_archive=True)
    with pytest.raises(ServiceError, match="down"):
        preparing.prepare(bucket, [source])
    assert manifest.read(bucket) is None
    monkeypatch.setattr(remote.Mirrors, "read", read)
    public.requests.clear()

    preparing.prepare(bucket, [source])

    assert public.requests == ["0-0", f"{10 << 20}-{len(ZIP) - 1}"]
    assert manifest.read(bucket)


def test_an_object_that_was_finished_before_the_manifest_is_not_sent_again(
    bucket: Bucket, public: FileServer
) -> None:
    source = sources.public(coco(public), is_archive=True)
    source.upload(bucket, lambda count: None)
    public.requests.clear()

    preparing.prepare(bucket, [source])

    assert public.requests == []
    assert manifest.read(bucket)


def test_another_digest_names_file_both_digests_and_the_next_step(bucket: Bucket, public: FileServer) -> None:
    with pytest.raises(WrongData) as raised:
        preparing.prepare(bucket, [sources.public(coco(public, digest="0" * 64), is_archive=True)])

    digest = hashlib.sha256(ZIP).hexdigest()
    assert str(raised.value).startswith(
        f"{bucket.where}val2017.zip: SHA-256 {digest}, but {'0' * 64} was expected. "
        "It was removed; run again."
    )
    assert bucket.find("val2017.zip") is None


def test_mirrors_that_fail_are_named_with_their_reasons(bucket: Bucket, public: FileServer) -> None:
    with pytest.raises(ServiceError) as raised:
        preparing.prepare(bucket, [sources.public(coco(public, size=7), is_archive=True)])

    assert "http://127.0.0.1:9/down.zip: " in str(raised.value)
    assert f"{public.url}/zips/val2017.zip: {len(ZIP)} bytes instead of 7" in str(raised.value)


def test_a_page_instead_of_weights_is_rejected(bucket: Bucket, public: FileServer) -> None:
    page = b"<html>moved</html>" * 200
    public.files["/R50.npz"] = page

    with pytest.raises(WrongData, match="not a complete zip archive"):
        preparing.prepare(bucket, [weights(public, page)])


def test_members_of_a_public_archive_become_objects_and_a_second_run_fetches_only_what_is_missing(
    bucket: Bucket, public: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "RANGE_BYTES", 1 << 20)
    large = {"annotations/large.json": random.Random(1).randbytes(3 << 20)}
    content = packed(IMAGES | large)
    public.files["/zips/val2017.zip"] = content
    mirrors = remote.Mirrors(coco(public, size=len(content)))
    source = Ranged("val2017.zip", len(content), mirrors.read)

    unpacked.prepare_archives(bucket, [source], dry_run=False)

    assert {key: bucket.read(key, version, 0, version.size) for key, version in bucket.objects()} == (
        IMAGES | large
    )
    public.requests.clear()
    lost = list(IMAGES)[7]
    bucket.client.delete_object(Bucket=bucket.where.bucket, Key=bucket.where.prefix + lost)
    unpacked.prepare_archives(bucket, [source], dry_run=False)
    assert bucket.find(lost)
    _, member = public.requests
    first, last = map(int, member.split("-"))
    assert IMAGES[lost] in content[first : last + 1] and last - first < 91_000


def test_a_damaged_member_of_a_public_archive_does_not_become_an_object(
    bucket: Bucket, public: FileServer
) -> None:
    content = bytearray(ZIP)
    content[len(content) // 2] ^= 1
    public.files["/zips/val2017.zip"] = bytes(content)
    source = Ranged("val2017.zip", len(content), remote.Mirrors(coco(public)).read)

    with pytest.raises(
        WrongData, match=r"val2017\.zip: .*: size or CRC-32 is not the announced one, in 4 reads"
    ):
        unpacked.prepare_archives(bucket, [source], dry_run=False)
    assert len(dict(bucket.objects())) < len(IMAGES)


def test_members_of_public_archives_come_only_from_servers_that_prove_who_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The digest of an archive cannot be compared when its members are taken one by one."""
    asked: list[str] = []

    class Probe(remote.Mirrors):
        def _probe(self, url: str) -> str:
            asked.append(url)
            return ""

    monkeypatch.setattr(sources, "Mirrors", Probe)
    sources.coco_2017_members()
    assert len(asked) == 3 and all(url.startswith("https://") for url in asked)


@pytest.mark.parametrize("chart", ["maskrcnn", "maskrcnn-optimized", "sagemaker"])
def test_the_weights_are_staged_where_the_charts_read_them(chart: str) -> None:
    values = yaml.safe_load((CHARTS / chart / "values.yaml").read_text())["maskrcnn"]
    assert values["backbone_weights"] == f"data/{sources.weights(remote.WEIGHTS_URL).key}"


@pytest.mark.parametrize(
    "url", ["http://example.com/R50.npz", "https://example.com/", "https://example.com/a.npz#md5=1"]
)
def test_weights_come_by_https_or_with_a_digest(url: str) -> None:
    with pytest.raises(UsageError):
        sources.weights(url)


def test_a_bucket_of_loose_objects_is_staged_by_its_list(bucket: Bucket, tmp_path: Path) -> None:
    original = data_set(tmp_path / "original", 30)
    (original / "train2017" / "a name, ü.jpg").write_bytes(b"x")
    for name, content in tree(original).items():
        bucket.client.put_object(Bucket=bucket.where.bucket, Key=bucket.where.prefix + name, Body=content)
    bucket.client.put_object(Bucket=bucket.where.bucket, Key=bucket.where.prefix + "empty/", Body=b"")
    (tmp_path / "out").mkdir()

    assert staging.stage(bucket, tmp_path / "out", 0, 1, replace=False)

    assert tree(tmp_path / "out") == tree(original)
    assert (tmp_path / "out" / "empty").is_dir()


def test_an_empty_bucket_says_what_to_do(bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(WrongData, match="Run mrc-stage prepare"):
        staging.stage(bucket, tmp_path, 0, 1, replace=False)
