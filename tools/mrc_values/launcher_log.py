"""The log of a launcher: mpirun's tags, terminal colors, and the line that explains a failure."""

import re
from collections.abc import Iterable

_RANK_TAG = re.compile(r"\[\d+,\d+\]<(?:stdout|stderr)>:")
_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_MAX_ERROR = 300
"""Characters of an error that a message quotes."""

_ERROR = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception)\b|^(?:[\w.-]+: )?(?:error|fatal)\b", re.IGNORECASE)
_KILLED = re.compile(r"^mpirun noticed that process rank|^the launcher was killed by ")
_ANY_TEXT = re.compile(r"^(?!progress )(?=.*\w)")


def separated(line: str) -> list[str]:
    """The lines of single ranks in a line of mpirun's output, each with its first tag only.

    mpirun writes a tag before every piece in which a line reaches it, and does not wait for the end of one
    rank's line before it writes another rank's. Two tags in a line therefore mark pieces of one line when
    they are equal, and two lines otherwise.
    """
    lines = [""]
    end, current = 0, ""
    for tag in _RANK_TAG.finditer(line):
        lines[-1] += line[end : tag.start()]
        if tag[0] != current:
            lines.append(tag[0])
        end, current = tag.end(), tag[0]
    lines[-1] += line[end:]
    return [text for text in lines if text] or [""]


def without_tag(line: str) -> str:
    """A line without mpirun's ``[1,0]<stdout>:``."""
    return _RANK_TAG.sub("", line)


def without_colors(line: str) -> str:
    """A line without the escape sequences that color it on a terminal."""
    return _COLOR.sub("", line)


def killed_line(signal_name: str) -> str:
    """The line written to the log of a launcher that was killed and could not write one itself."""
    return f"the launcher was killed by {signal_name}"


def last_error(lines: Iterable[str]) -> str:
    """The line that explains why a launcher failed; empty when it printed nothing.

    In this order: an exception or error of a rank, one of the launcher, mpirun's report of a killed rank, the
    last line of a rank, the last line of the launcher.
    """
    separate = [text for line in lines for text in separated(line)]
    tagged_lines = [(_RANK_TAG.match(line) is not None, _plain(line)) for line in separate]
    tagged_lines.reverse()
    of_ranks = [text for tagged, text in tagged_lines if tagged]
    texts = [text for _, text in tagged_lines]
    for candidates, pattern in (
        (of_ranks, _ERROR),
        (texts, _ERROR),
        (texts, _KILLED),
        (of_ranks, _ANY_TEXT),
        (texts, _ANY_TEXT),
    ):
        if error := next(filter(pattern.search, candidates), None):
            return error if len(error) <= _MAX_ERROR else f"{error[: _MAX_ERROR - 3]}..."
    return ""


def _plain(line: str) -> str:
    return without_colors(without_tag(line)).strip()
