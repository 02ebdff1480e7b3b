"""Side files that hold something else are set aside, whatever it is."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mrc_train import side_files
from mrc_train.data.categories import Categories

CONTENTS = [b"", b'[{"loss": 1}', b"\x00\x01\xff", b'[{"loss": "x"}, 7]', b"null", b"[" * 100_000]
CLASSES = Categories(("nut",), (1,))


def read_checksums(logdir: Path) -> None:
    side_files.note_checksums(logdir, [], step=6)


@pytest.mark.parametrize("content", CONTENTS, ids=range(len(CONTENTS)))
@pytest.mark.parametrize(
    ("name", "read"),
    [
        (side_files.STATISTICS, lambda logdir: side_files.statistics_until(logdir, 6)),
        (side_files.CATEGORIES, lambda logdir: side_files.check_same_classes(logdir, CLASSES)),
        (side_files.CHECKSUMS, read_checksums),
    ],
)
def test_an_unreadable_side_file_is_renamed_with_a_warning(
    name: str,
    read: Callable[[Path], object],
    content: bytes,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / name).write_bytes(content)
    assert not read(tmp_path)
    assert (tmp_path / f"{name}.unreadable").read_bytes() == content
    assert f"{tmp_path / name}: " in caplog.text
    assert "resuming without it" in caplog.text
