"""Command lines that messages tell the user to run, quoted so that they work as printed."""

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mrc_values.values import Flag

DEFAULT_STATE_DIRECTORY = Path(".mrc")
"""Where local mode keeps its state unless the user says otherwise; relative to the working directory."""


def command(*words: object) -> str:
    """``mrc-values`` with these words, quoted for a shell."""
    return shlex.join(["mrc-values", *map(str, words)])


def cluster(verb: str, name: str, namespace: str, *words: str) -> str:
    """``mrc-values VERB NAME`` for a release or job in a namespace."""
    return command(verb, name, *words, "--namespace", namespace)


def local(verb: str, name: str, directory: Path, words: Iterable[str] = ()) -> str:
    """``mrc-values local VERB NAME`` for the release in a state directory.

    Absolute paths among the words are shortened where they are below the working directory.
    """
    parts = [*map(_shortened, words)]
    if directory.resolve() != DEFAULT_STATE_DIRECTORY.resolve():
        parts += ["--dir", _shortened(str(directory.resolve()))]
    return command("local", verb, name, *parts)


def up_words(
    chart: Path,
    files: Sequence[Path],
    flags: Sequence["Flag"],
    shared_fs: Path | None,
    data_fs: Path | None,
    ranks: int | None,
    tensorboard: bool,
) -> list[str]:
    """The words that ``local up`` was called with after NAME, without ``--dir``; paths are absolute."""
    words = [str(chart.resolve())]
    for file in files:
        words += ["-f", str(file.resolve())]
    for flag in flags:
        words += [flag.option, _absolute_file(flag)]
    for option, path in (("--shared-fs", shared_fs), ("--data-fs", data_fs)):
        words += [option, str(path.resolve())] if path else []
    words += ["--ranks", str(ranks)] if ranks else []
    return words if tensorboard else [*words, "--no-tensorboard"]


def _absolute_file(flag: "Flag") -> str:
    """The expression of a flag; a file of ``--set-file`` with its absolute path."""
    name, _, file = flag.expression.partition("=")
    if flag.option != "--set-file" or "," in file:
        return flag.expression
    return f"{name}={Path(file).resolve()}"


def _shortened(word: str) -> str:
    path = Path(word)
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        return str(path.relative_to(Path.cwd()))
    return word
