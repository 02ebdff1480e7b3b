"""prepare and stage through a real S3 server."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from data_sets import data_set, tree
from mrc_cli.errors import UsageError
from mrc_stage import archive, objects, preparing, publishing, sources, staging
from mrc_stage.errors import WrongData
from mrc_stage.objects import Bucket


def times(root: Path) -> dict[Path, tuple[int, int]]:
    """When each file and its metadata were last changed."""
    return {path: (path.stat().st_mtime_ns, path.stat().st_ctime_ns) for path in root.rglob("*")}


def command(bucket: Bucket, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mrc_stage.cli", *map(str, arguments)], capture_output=True, text=True
    )


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_archive_arrives_byte_for_byte(bucket: Bucket, tmp_path: Path, method: int) -> None:
    original = data_set(tmp_path / "original", 200)
    with zipfile.ZipFile(tmp_path / "data.zip", "w", method) as packed:
        packed.mkdir("empty")
        for path in sorted(original.rglob("*")):
            packed.write(path, path.relative_to(original).as_posix())
    (tmp_path / "out").mkdir()

    prepared = command(bucket, "prepare", bucket.where, "--from", tmp_path / "data.zip")
    staged = command(bucket, "stage", bucket.where, tmp_path / "out")

    assert (prepared.returncode, staged.returncode) == (0, 0), prepared.stderr + staged.stderr
    assert tree(tmp_path / "out") == tree(original)
    assert (tmp_path / "out" / "empty").is_dir()
    marker = publishing.read_marker(tmp_path / "out")
    assert marker and marker.files == 201
    assert not (tmp_path / "out" / ".mrc-stage").exists()


def test_members_of_a_local_archive_and_weights_become_objects(bucket: Bucket, tmp_path: Path) -> None:
    original = data_set(tmp_path / "original", 10)
    with zipfile.ZipFile(tmp_path / "R50.npz", "w") as packed:
        packed.writestr("W.npy", b"weights")
    with zipfile.ZipFile(tmp_path / "data.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for name in tree(original):
            packed.write(original / name, name)
    source = ("--from", tmp_path / "data.zip", "--weights", tmp_path / "R50.npz")
    arguments = ("prepare", bucket.where, "--unpacked", *source)

    planned = command(bucket, *arguments, "--dry-run")
    assert planned.returncode == 0 and "11 of 11 objects to be sent" in planned.stdout
    assert not dict(bucket.objects())
    prepared = command(bucket, *arguments)

    assert prepared.returncode == 0, prepared.stderr
    weights = {"pretrained-models/R50.npz": (tmp_path / "R50.npz").read_bytes()}
    stored = {key: bucket.read(key, version, 0, version.size) for key, version in bucket.objects()}
    assert stored == tree(original) | weights


def test_a_data_set_appears_when_the_last_of_three_shards_is_done(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "RANGE_BYTES", 1 << 18)
    original = data_set(tmp_path / "original", 200, 20_000)
    (tmp_path / "out").mkdir()
    preparing.prepare(bucket, sources.local(original))

    for shard in (0, 2):
        assert not staging.stage(bucket, tmp_path / "out", shard, 3, replace=False)
        assert not (tmp_path / "out" / "train2017").exists()
    assert staging.stage(bucket, tmp_path / "out", 1, 3, replace=False)

    assert tree(tmp_path / "out") == tree(original)


def test_a_file_is_created_once_and_neither_renamed_nor_changed(bucket: Bucket, tmp_path: Path) -> None:
    """A network file system does each of these operations in the directory of all files, one at a time."""
    if not shutil.which("strace") or subprocess.run(["strace", "-o", os.devnull, "true"]).returncode:
        pytest.skip("needs strace, to count system calls")
    preparing.prepare(bucket, sources.local(data_set(tmp_path / "original", 40)))
    log = tmp_path / "calls"
    calls = "open,openat,creat,/^rename,/chmod,/chown,/utime,/^setxattr"
    program = [sys.executable, "-m", "mrc_stage.cli", "stage", str(bucket.where), str(tmp_path / "out")]
    # -y names the file of a descriptor.
    subprocess.run(["strace", "-f", "-y", "-qq", "-e", calls, "-o", log, *program], check=True)

    of_images = [line for line in log.read_text().splitlines() if ".jpg" in line and "resumed" not in line]
    assert len(of_images) == 40
    assert all("O_CREAT" in line and "/.mrc-stage/tree/train2017/" in line for line in of_images)


def test_a_second_run_moves_nothing(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = data_set(tmp_path / "original", 20)
    (tmp_path / "out").mkdir()
    preparing.prepare(bucket, sources.local(original))
    staging.stage(bucket, tmp_path / "out", 0, 1, replace=False)
    before = times(tmp_path / "out")
    written: list[object] = []
    monkeypatch.setattr("mrc_stage.sources.Upload", lambda *a: written.append(a))
    monkeypatch.setattr("mrc_stage.writing.write_range", lambda *a: written.append(a))

    preparing.prepare(bucket, sources.local(original))
    assert staging.stage(bucket, tmp_path / "out", 0, 1, replace=False)

    assert not written
    assert times(tmp_path / "out") == before


def test_a_gap_in_a_directory_is_filled_and_other_files_stay(bucket: Bucket, tmp_path: Path) -> None:
    original = data_set(tmp_path / "original", 20)
    preparing.prepare(bucket, sources.local(original))
    out = tmp_path / "out"
    staging_copy = {name: content for name, content in tree(original).items() if "29" not in name}
    for name, content in staging_copy.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)
    (out / "train2017" / "mine.txt").write_text("mine")

    assert staging.stage(bucket, out, 0, 1, replace=False)

    assert tree(out) == tree(original) | {"train2017/mine.txt": b"mine"}


def test_a_file_of_another_size_is_replaced_only_on_request(bucket: Bucket, tmp_path: Path) -> None:
    original = data_set(tmp_path / "original", 5)
    preparing.prepare(bucket, sources.local(original))
    half = tmp_path / "out" / "train2017" / f"{0:012}.jpg"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")

    size = (original / "train2017" / half.name).stat().st_size
    rejected = command(bucket, "stage", bucket.where, tmp_path / "out")
    assert rejected.returncode == 4
    assert rejected.stderr.splitlines()[-1] == (
        f"mrc-stage: {half}: 4 bytes, but {size} in the archive. "
        "Remove it, or replace such files by --replace."
    )
    assert half.read_bytes() == b"half"

    assert command(bucket, "stage", bucket.where, tmp_path / "out", "--replace").returncode == 0
    assert tree(tmp_path / "out") == tree(original)


@pytest.mark.parametrize(
    ("names", "finding"),
    [
        (["../up"], "'../up' has an empty component, . or .."),
        (["/etc/cron"], "'/etc/cron' is absolute"),
        (["a\\b"], "'a\\\\b' contains a backslash or a zero byte"),
        (["a/b", "a//b"], "'a//b' has an empty component"),
        (["A.jpg", "a.jpg"], "'a.jpg' and 'A.jpg' differ only in case"),
        (["a", "a/b"], "'a' is a file, and a directory for 'a/b'"),
    ],
)
def test_names_are_rejected_before_anything_is_written(
    bucket: Bucket, tmp_path: Path, names: list[str], finding: str
) -> None:
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as packed:
        for name in names:
            packed.writestr(name, b"content")

    with pytest.raises(WrongData) as raised:
        preparing.prepare(bucket, sources.local(tmp_path / "data.zip"))

    assert finding in str(raised.value)
    assert bucket.find("manifest.json") is None


def test_an_object_that_has_changed_since_prepare_is_named(bucket: Bucket, tmp_path: Path) -> None:
    original = data_set(tmp_path / "original", 20)
    preparing.prepare(bucket, sources.local(original))
    key = bucket.where.prefix + "train2017.zip"
    body = bytearray(bucket.client.get_object(Bucket=bucket.where.bucket, Key=key)["Body"].read())
    body[len(body) // 2] ^= 1
    bucket.client.put_object(Bucket=bucket.where.bucket, Key=key, Body=bytes(body))
    (tmp_path / "out").mkdir()

    staged = command(bucket, "stage", bucket.where, tmp_path / "out")

    assert staged.returncode == 4
    assert "train2017.zip is not what the manifest says" in staged.stderr.splitlines()[-1]
    assert not list((tmp_path / "out").iterdir())


def test_a_place_that_is_no_url_of_s3_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="s3://BUCKET"):
        objects.location("my-bucket/data")
