"""Names that would drive the terminal or leave the directory, through every command on a real terminal."""

import os
import zipfile
from pathlib import Path

import pytest
from data_sets import tree
from mrc_cli.errors import UsageError
from mrc_cli.staged import MARKER
from mrc_stage import manifest, objects, preparing, publishing, sources, staging
from mrc_stage.errors import WrongData
from mrc_stage.manifest import Entry, Manifest
from mrc_stage.objects import Bucket
from pseudo_terminal import TITLE, assert_harmless, on_terminal

LISTABLE = "[red]\u202e[bold].jpg"
"""The most hostile name that S3 can list."""


def stage(*arguments: object) -> list[str]:
    """The lines that a command of mrc-stage writes to a terminal; all frames of its progress are one line."""
    written = on_terminal("mrc-stage", *map(str, arguments))
    assert_harmless(written)
    assert "Traceback" not in written
    return written.splitlines()


def test_file_names_that_s3_cannot_list_are_rejected_before_anything_is_sent(
    bucket: Bucket, tmp_path: Path
) -> None:
    names = [f"{TITLE}.jpg", "a\nforged.jpg", "\x9b2J.jpg", os.fsdecode(b"\xff.jpg")]
    (tmp_path / "train2017").mkdir()
    for name in names:
        (tmp_path / "train2017" / name).write_bytes(b"image")

    for options in ([], ["--unpacked"]):
        (line,) = stage("prepare", bucket.where, "--from", tmp_path, *options)
        for name in names:
            assert repr(f"train2017/{name}") in line
        assert line.count("contains a control character") == 3
        assert line.count("is not UTF-8") == 1
    assert not list(bucket.objects())


@pytest.mark.parametrize("name", ["a\nforged.zip", os.fsdecode(b"\xff.zip")])
def test_an_archive_whose_own_name_s3_cannot_list_is_rejected(
    bucket: Bucket, tmp_path: Path, name: str
) -> None:
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr("a.jpg", b"image")
    for act in (preparing.prepare, preparing.describe):
        with pytest.raises(WrongData, match="names that cannot be prepared"):
            act(bucket, sources.local(tmp_path / name))
    with pytest.raises(UsageError, match="Choose another prefix"):
        objects.location(f"s3://bucket/{name}")


def test_an_archive_with_letters_of_other_languages_in_its_name_is_prepared(
    bucket: Bucket, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "größe 猫.zip", "w") as archive:
        archive.writestr("a.jpg", b"image")
    preparing.prepare(bucket, sources.local(tmp_path / "größe 猫.zip"))
    assert bucket.find("größe 猫.zip")


def test_hostile_names_are_shown_visibly_by_every_command_and_arrive(bucket: Bucket, tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / f"{TITLE}\nforged"
    (data / LISTABLE).mkdir(parents=True)
    (data / LISTABLE / LISTABLE).write_bytes(b"image")
    lines = [
        *stage("prepare", bucket.where, "--from", data),
        *stage("stage", bucket.where, out),
    ]
    assert tree(out) == tree(data)
    (out / LISTABLE / LISTABLE).write_bytes(b"")
    lines += stage("verify", bucket.where, out)
    assert any(r"[red]\u202e[bold].jpg: 0 bytes, but 5 in the bucket" in line for line in lines)
    # Whoever can write to the file system can write a marker.
    forged = publishing.Marker(
        source=f"{TITLE}\nforged", digest="", archives={f"{TITLE}\nforged": "\nforged"}, files=1, bytes=1
    )
    (out / MARKER).write_text(forged.model_dump_json())
    lines += stage("status", out)
    assert not [line for line in lines if line.startswith("forged")]


def test_keys_that_leave_the_directory_are_rejected_before_anything_is_written(
    bucket: Bucket, tmp_path: Path
) -> None:
    for key in ("..\\up.jpg", "C:\\up.jpg", f"{TITLE}.jpg", ".mrc-stage/journal-0"):
        bucket.client.put_object(Bucket=bucket.where.bucket, Key=bucket.where.prefix + key, Body=b"image")
    (line,) = stage("stage", bucket.where, tmp_path / "out")
    assert "names that cannot be staged: " in line
    assert line.endswith("Nothing was written.")
    assert all(text in line for text in ("backslash", "is absolute", "staging uses itself"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("key", ["../../up.jpg", "/up.jpg", "a/./b.jpg"])
def test_a_manifest_whose_keys_leave_the_directory_is_rejected(
    bucket: Bucket, tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 has such objects. This server resolves the names, so that the answer to HEAD is made up."""
    version = objects.Version(5, '"tag"')
    entry = Entry(key=key, source="", size=version.size, sha256="", etag=version.etag, archive=False)
    manifest.write(bucket, Manifest(entries=[entry]))
    find = bucket.find
    monkeypatch.setattr(bucket, "find", lambda name: version if name == key else find(name))
    with pytest.raises(WrongData, match="names that cannot be staged"):
        staging.stage(bucket, tmp_path / "a" / "out", 0, 1, replace=False)
    assert not list(tmp_path.iterdir())
