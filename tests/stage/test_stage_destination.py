"""The directory that is staged into: rights, room, repairs, verify and status."""

import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
from data_sets import data_set, tree
from mrc_cli.errors import UserError
from mrc_cli.staged import incomplete
from mrc_stage import destination, preparing, publishing, sources, staging, unpacked, verifying
from mrc_stage.errors import WrongData
from mrc_stage.objects import Bucket

FAULTY_STAGE = Path(__file__).with_name("faulty_stage.py")


@pytest.fixture
def original(bucket: Bucket, tmp_path: Path) -> Path:
    """A small data set that is in the bucket."""
    made = data_set(tmp_path / "original", 40)
    preparing.prepare(bucket, sources.local(made))
    return made


@pytest.fixture
def staged(bucket: Bucket, original: Path, tmp_path: Path) -> Path:
    """Where it was staged."""
    assert staging.stage(bucket, tmp_path / "out", 0, 1, replace=False)
    return tmp_path / "out"


def image(number: int) -> str:
    return f"train2017/{number * 29:012}.jpg"


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become another user")
def test_a_directory_that_may_not_be_written_is_named_with_the_command_that_helps(
    bucket: Bucket, original: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir(mode=0o755)
    # Only root may enter pytest's directories.
    directories = [path for path in (tmp_path, *tmp_path.parents) if not path.stat().st_mode & 0o001]
    modes = [directory.stat().st_mode for directory in directories]
    for directory in directories:
        directory.chmod(0o755)
    os.setegid(4242)
    os.seteuid(4242)
    try:
        with pytest.raises(UserError) as raised:
            staging.stage(bucket, out, 0, 1, replace=False)
    finally:
        os.seteuid(0)
        os.setegid(0)
        for directory, mode in zip(directories, modes, strict=True):
            directory.chmod(mode)

    assert str(raised.value).startswith(
        f"{out} is not writable for user 4242, group 4242. Run this once on any "
    )
    assert f"mkdir -p {out} && chown 4242:4242 {out}" in str(raised.value)


def test_a_file_system_that_is_full_ends_in_one_line_and_the_next_run_completes(
    bucket: Bucket, original: Path, tmp_path: Path
) -> None:
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    arguments = [sys.executable, "-m", "mrc_stage.cli", "stage", str(bucket.where), str(tmp_path / "out")]
    done = subprocess.run(arguments, capture_output=True, text=True, preexec_fn=small_files)

    assert done.returncode == 1, done.stderr
    assert (
        "file too large. Correct that, and run again; what is complete is kept."
        in done.stderr.splitlines()[-1]
    )
    assert "Traceback" not in done.stderr
    assert subprocess.run(arguments).returncode == 0
    assert tree(tmp_path / "out") == tree(original)


def test_what_cannot_be_written_is_named_in_one_line_and_the_next_run_completes(
    bucket: Bucket, original: Path, tmp_path: Path, faulty_files: Path
) -> None:
    done = subprocess.run(
        [sys.executable, FAULTY_STAGE, str(bucket.where), tmp_path / "out"],
        capture_output=True,
        text=True,
        env=os.environ | {"LD_PRELOAD": str(faulty_files), "PYTHONPATH": str(Path(tiny.__file__).parent)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) == 12
    for output, number, out, code, stderr in results:
        *_, line = stderr.splitlines()
        assert code == 1, stderr
        named = rf"mrc-stage: {out}/\S*{output.split()[-1]}\S*: {os.strerror(number).lower()}"
        assert re.match(named, line), line
        assert "Traceback" not in stderr
        assert tree(Path(out)) == tree(original)
        assert publishing.read_marker(Path(out))
        assert not Path(out, ".mrc-stage").exists()


def test_too_little_room_is_reported_before_anything_is_fetched(
    bucket: Bucket, original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    actual = os.statvfs(tmp_path)
    full = os.statvfs_result([*actual[:3], 0, 0, *actual[5:]])
    monkeypatch.setattr(os, "statvfs", lambda path: full)

    with pytest.raises(UserError, match=r"only 0\.0 GB are free"):
        staging.stage(bucket, tmp_path / "out", 0, 1, replace=False)


def test_a_file_system_that_is_not_mounted_is_not_made() -> None:
    with pytest.raises(UserError, match="Is the file system mounted"):
        destination.make(Path("/no-such-file-system/data"))


def test_files_that_a_published_data_set_has_lost_come_back(
    bucket: Bucket, original: Path, staged: Path
) -> None:
    (staged / image(3)).unlink()
    (staged / "annotations" / "instances_train2017.json").unlink()
    (staged / "annotations").rmdir()

    for shard in range(2):
        assert staging.stage(bucket, staged, shard, 2, replace=False)

    assert tree(staged) == tree(original)
    assert not (staged / ".mrc-stage").exists()


def test_a_file_in_the_place_of_a_directory_is_named(bucket: Bucket, original: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "train2017").write_text("mine")

    with pytest.raises(WrongData, match="is a file, but a directory in the archive"):
        staging.stage(bucket, tmp_path / "out", 0, 1, replace=False)
    assert (tmp_path / "out" / "train2017").read_text() == "mine"


def test_verify_names_what_is_missing_short_or_different(
    bucket: Bucket, staged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verifying.verify(bucket, staged, deep=True)
    (staged / image(1)).unlink()
    (staged / image(2)).write_bytes(b"half")
    content = bytearray((staged / image(5)).read_bytes())
    content[100] ^= 1
    (staged / image(5)).write_bytes(content)

    with pytest.raises(WrongData, match="2 of 41 files are missing or wrong"):
        verifying.verify(bucket, staged, deep=False)
    capsys.readouterr()
    with pytest.raises(WrongData, match="3 of 41 files are missing or wrong"):
        verifying.verify(bucket, staged, deep=True)

    missing, short, different = capsys.readouterr().out.splitlines()
    assert missing == f"{staged / image(1)}: missing"
    assert short.startswith(f"{staged / image(2)}: 4 bytes, but ")
    assert different == f"{staged / image(5)}: other content than in the bucket"


def test_verify_names_files_that_an_association_has_not_loaded(
    bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """aws-parallelcluster 2393, 6799. Lustre shows such a file with its size and without blocks."""
    original = data_set(tmp_path / "original", 20)
    unpacked.prepare_directory(bucket, original, dry_run=False)
    released = original / image(3)
    size = released.stat().st_size
    with released.open("wb") as file:
        file.truncate(size)
    (original / image(5)).unlink()

    with pytest.raises(WrongData, match="1 of 21 files are missing or wrong"):
        verifying.verify(bucket, original, deep=False)
    assert capsys.readouterr().out.splitlines() == [
        f"{original / image(5)}: missing",
        f"{released}: not loaded",
    ]
    staging.stage(bucket, original, 0, 1, replace=False)
    with pytest.raises(UserError, match=r"1 of 21 files are not loaded .*: mrc-stage verify s3://.* --deep"):
        verifying.verify(bucket, original, deep=False)


def test_status_says_what_is_staged(
    bucket: Bucket, original: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    with pytest.raises(UserError, match="nothing was staged here"):
        verifying.status(out)
    staging.stage(bucket, out, 0, 2, replace=False)
    with pytest.raises(UserError, match="staging is not complete; 1 ranges are"):
        verifying.status(out)
    staging.stage(bucket, out, 1, 2, replace=False)

    verifying.status(out)

    marker = publishing.read_marker(out)
    assert (
        marker
        and f"complete, 41 files of {marker.bytes} bytes from {bucket.where}" in capsys.readouterr().out
    )


def test_a_journal_of_another_archive_is_not_continued(
    bucket: Bucket, original: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    staging.stage(bucket, out, 0, 2, replace=False)
    (original / "train2017" / "new.jpg").write_bytes(b"new")
    preparing.prepare(bucket, sources.local(original))

    with pytest.raises(UserError, match="belongs to another archive"):
        staging.stage(bucket, out, 1, 2, replace=False)


@pytest.mark.parametrize("left", ["tree", "repair-0", "repair-3"])
def test_what_a_run_left_that_was_killed_at_its_end_is_removed_by_the_next_one(
    bucket: Bucket, staged: Path, left: str
) -> None:
    (staged / ".mrc-stage" / left / "train2017").mkdir(parents=True)
    (staged / ".mrc-stage" / "journal-3").touch()
    with pytest.raises(UserError, match="staging is not complete"):
        verifying.status(staged)

    assert staging.stage(bucket, staged, 0, 1, replace=False)

    verifying.status(staged)
    assert incomplete(staged) == ""


def test_a_directory_that_is_being_staged_is_incomplete_until_the_last_shard_is_done(
    bucket: Bucket, original: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    staging.stage(bucket, out, 0, 2, replace=False)
    assert f"{out}: the data set is not completely staged. Run its stage-data job" in incomplete(out)
    staging.stage(bucket, out, 1, 2, replace=False)
    assert incomplete(out) == ""
