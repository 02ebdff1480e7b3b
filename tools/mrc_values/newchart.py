"""A new chart from an old one: a copy without links, with a name and a namespace of its own."""

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml
from mrc_cli.errors import UsageError, UserError
from mrc_cli.findings import dotted

from mrc_values import helm

MAX_NAME = 53
"""Helm's limit for the name of a release, which takes the chart's name."""

_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_JOB_NAME = ("maskrcnn", "name")
"""Names the job whatever the release is called. Empty, the job has the release's name, which is unique."""


def create(name: str, source: Path, namespace: str | None = None) -> Path:
    """Makes the chart ``name`` beside ``source`` and returns its folder.

    Raises UsageError for names that Kubernetes or Helm would refuse and a source that is no chart, UserError
    for a folder that exists or files that cannot be copied. Nothing is left behind when it fails.
    """
    check_names(name, namespace)
    try:
        helm.metadata(source)
    except helm.RenderError as error:
        raise UsageError(f"{source}: not a chart that Helm can load: {error}.") from None
    target = source.resolve().parent / name
    if os.path.lexists(target):
        raise UserError(f"{target}: exists. Choose another name, or remove it.")
    # In the same folder, so that it can be renamed in one step.
    try:
        unfinished = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=target.parent))
    except OSError as error:
        raise UserError(
            f"{target.parent}: cannot be written to: {(error.strerror or str(error)).lower()}."
        ) from None
    try:
        chart = unfinished / name
        copy(source, chart)
        rewrite(chart / "Chart.yaml", ("name",), name)
        if namespace is not None:
            rewrite(chart / "values.yaml", ("global", "namespace"), namespace)
        job = scalar(_text(chart / "values.yaml"), _JOB_NAME)
        if job is not None and job.value:
            rewrite(chart / "values.yaml", _JOB_NAME, "")
        chart.rename(target)
    finally:
        shutil.rmtree(unfinished)
    return target


def check_names(name: str, namespace: str | None) -> None:
    """Raises UsageError for a name that is no release's, or a namespace that Kubernetes does not take."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of a chart. Use lower-case letters, digits and hyphens, "
            "a letter first and no hyphen last."
        )
    if len(name) > MAX_NAME:
        raise UsageError(f"{name} has {len(name)} characters. A release's name has at most {MAX_NAME}.")
    if namespace is not None and not _NAMESPACE.fullmatch(namespace):
        raise UsageError(
            f"{namespace!r} cannot be a namespace. Use at most 63 lower-case letters, digits and hyphens, "
            "no hyphen first or last."
        )


def copy(source: Path, target: Path) -> None:
    """Copies a chart with the content of what its links refer to; the copies can be written.

    Raises UserError for a link that leads out of the folder of all charts, to nothing or in a circle, and for
    what is no file. ``target`` is made.
    """
    root = source.resolve().parent
    target.mkdir()
    for relative, path in _walk(source, Path(), root, ()):
        copied = target / relative
        if path.is_dir():
            copied.mkdir()
        else:
            shutil.copyfile(path, copied)
            copied.chmod(stat.S_IMODE(path.stat().st_mode) | stat.S_IWUSR)


def _walk(folder: Path, relative: Path, root: Path, above: tuple[Path, ...]) -> Iterator[tuple[Path, Path]]:
    """What a folder holds, folders before their content: the path within the chart, and the real one."""
    real = folder.resolve()
    if real in above:
        raise UserError(f"{folder}: the link leads to a folder that it is in. Remove it.")
    for path in sorted(folder.iterdir()):
        inner = relative / path.name
        try:
            found = path.resolve(strict=True)
        except (OSError, RuntimeError):
            raise UserError(f"{path}: the link leads to nothing. Mend or remove it.") from None
        if not found.is_relative_to(root):
            raise UserError(
                f"{path}: the link leads to {found}, outside of {root}. Put the file itself there."
            )
        if not (found.is_dir() or found.is_file()):
            raise UserError(f"{path}: neither a file nor a folder. Remove it.")
        yield inner, found
        if found.is_dir():
            yield from _walk(path, inner, root, (*above, real))


def rewrite(file: Path, path: tuple[str, ...], value: str) -> None:
    """Replaces one value of a YAML file and leaves everything else as it is written, comments included.

    Raises UserError when the file has no such value, or not as a plain one.
    """
    text = _text(file)
    node = scalar(text, path)
    if node is None:
        raise UserError(f"{file.name} of the old chart has no {dotted(path)} that could be set.")
    before, after = text[: node.start_mark.index], text[node.end_mark.index :]
    blank = "" if before.endswith((" ", "\t")) else " "
    file.write_bytes(f"{before}{blank}{_quoted(value)}{after}".encode())


def scalar(text: str, path: tuple[str, ...]) -> yaml.ScalarNode | None:
    """The value at a path of a YAML text; None where there is none, or one with an anchor or in a block."""
    # The parser in C counts bytes, this one characters.
    node = yaml.compose(text, Loader=yaml.SafeLoader) if text else None
    for name in path:
        entries = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((value for key, value in entries if key.value == name), None)
    if not isinstance(node, yaml.ScalarNode) or text.startswith(("&", "!", "|", ">"), node.start_mark.index):
        return None
    return node


def _text(file: Path) -> str:
    return file.read_bytes().decode() if file.is_file() else ""


def _quoted(value: str) -> str:
    """A value that every YAML parser reads as this text: `on`, `null`, `y` or `1e3` need quotes."""
    plain = len(value) > 1 and value[0].isalpha() and yaml.safe_load(value) == value
    return value if plain else f'"{value}"'
