"""Symbolic links of a chart that a checkout or a copy has broken."""

from collections.abc import Iterator
from pathlib import Path

from mrc_cli.errors import UserError

_MAX_LINK = 200
"""A longer file is not the text of a link, in bytes."""


def check_links(chart: Path) -> None:
    """Raises UserError if a link of the chart is a text file or leads nowhere.

    Git without symbolic links, the default on Windows, writes a link as a text file that contains its target,
    and so do some programs that unpack zip archives.
    """
    for path in _candidates(chart):
        if path.is_symlink() and not path.exists():
            raise UserError(
                f"{path}: the link to {path.readlink()} is broken. Copy the whole directory of charts, "
                "or copy a chart with mrc-values new."
            )
        if path.is_file() and (target := _target(path)):
            raise UserError(
                f"{path}: this must be a symbolic link to {target}, but is a text file. Check the charts out "
                "with symbolic links: git config core.symlinks true, then git checkout -- charts "
                "(on Windows, turn on Developer Mode first)."
            )


def _candidates(chart: Path) -> Iterator[Path]:
    for directory in (chart, chart / "charts", chart / "files", chart / "templates"):
        if directory.is_dir():
            yield from directory.iterdir()


def _target(path: Path) -> str:
    """The existing path that a text file names as a link would; empty if it is not the text of a link."""
    try:
        if path.stat().st_size > _MAX_LINK:
            return ""
        text = path.read_text().strip()
    except (OSError, ValueError):
        return ""
    is_target = text.startswith("../") and "\n" not in text and path.parent.joinpath(text).exists()
    return text if is_target else ""
