"""A new chart from an existing one: a copy without links, with its own name and namespace."""

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path

from mrc_cli.errors import UsageError, UserError
from mrc_cli.findings import dotted

from mrc_values import helm
from mrc_values.chart_links import check_links
from mrc_values.yaml_edit import YamlFile, string

MAX_NAME = 53
"""Helm's limit for the name of a release, which is the name of the chart here."""

_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def create(name: str, source: Path, namespace: str | None = None) -> Path:
    """Create the chart ``name`` beside ``source`` and return its directory.

    Raises UsageError for a name that Kubernetes or Helm would reject and for a source that is not a chart,
    UserError for an existing directory and for files that cannot be copied. Nothing is left behind on
    failure.
    """
    check_names(name, namespace)
    check_links(source)
    try:
        helm.metadata(source)
    except helm.RenderError as error:
        raise UsageError(f"{source}: Helm cannot load this chart: {error}.") from None
    target = source.resolve().parent / name
    if os.path.lexists(target):
        raise UserError(f"{target}: already exists. Choose another name, or remove it.")
    # In the same directory, so that the finished chart appears by a single rename.
    try:
        unfinished = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=target.parent))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"{target.parent}: cannot be written: {reason}.") from None
    try:
        chart = unfinished / name
        copy(source, chart)
        _edit(chart / "Chart.yaml", ("name",), name)
        if namespace is not None:
            _edit(chart / "values.yaml", ("global", "namespace"), namespace)
        # A fixed job name would be the same in both charts. An empty one is replaced by the release's name.
        _edit(chart / "values.yaml", ("maskrcnn", "name"), "", only_if_set=True)
        chart.rename(target)
    finally:
        shutil.rmtree(unfinished)
    return target


def check_names(name: str, namespace: str | None) -> None:
    """Raises UsageError for a name that a release cannot have, or a namespace that Kubernetes would
    reject."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of a chart. Use lower-case letters, digits and hyphens, "
            "starting with a letter and not ending with a hyphen."
        )
    if len(name) > MAX_NAME:
        raise UsageError(f"{name} has {len(name)} characters. The name of a release has at most {MAX_NAME}.")
    if namespace is not None and not _NAMESPACE.fullmatch(namespace):
        raise UsageError(
            f"{namespace!r} cannot be a namespace. Use at most 63 lower-case letters, digits and hyphens, "
            "not starting or ending with a hyphen."
        )


def copy(source: Path, target: Path) -> None:
    """Copy a chart to the new directory ``target``, with the content of links in place of links; copies are
    writable.

    Raises UserError for a link that is broken, circular or leads out of the directory of all charts, and for
    anything that is neither a file nor a directory.
    """
    root = source.resolve().parent

    def check(directory: str, names: Iterable[str]) -> list[str]:
        path = Path(directory)
        parents = {parent.resolve() for parent in (path, *path.parents)}
        for name in sorted(names):
            _check_entry(path / name, root, parents)
        return []

    shutil.copytree(source, target, ignore=check, copy_function=_copy_writable)


def _check_entry(path: Path, root: Path, parents: set[Path]) -> None:
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError):
        raise UserError(f"{path}: the link is broken. Fix or remove it.") from None
    if real in parents:
        raise UserError(f"{path}: the link leads to a directory that contains it. Remove it.")
    if not real.is_relative_to(root):
        raise UserError(f"{path}: the link leads to {real}, outside of {root}. Replace it with the file.")
    if not (real.is_dir() or real.is_file()):
        raise UserError(f"{path}: neither a file nor a directory. Remove it.")


def _copy_writable(source: str, target: str) -> None:
    shutil.copyfile(source, target)
    Path(target).chmod(stat.S_IMODE(Path(source).stat().st_mode) | stat.S_IWUSR)


def _edit(file: Path, path: tuple[str, ...], value: str, *, only_if_set: bool = False) -> None:
    """Replace one value of a YAML file and keep everything else, comments included.

    Raises UserError if the file has no such value, unless it may be missing or empty (``only_if_set``).
    """
    content = YamlFile(file.read_bytes().decode() if file.is_file() else "")
    *sections, key = path
    section = content.root
    for name in sections:
        section = section.get(name) if isinstance(section, dict) else None
    if not isinstance(section, dict) or key not in section or (only_if_set and not section[key]):
        if only_if_set:
            return
        raise UserError(f"{file.name} of the source chart has no {dotted(path)} that could be set.")
    section[key] = string(value)
    file.write_bytes(content.text().encode())
