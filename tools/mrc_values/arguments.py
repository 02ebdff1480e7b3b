"""Arguments that several commands share."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from mrc_cli.errors import UsageError
from mrc_cli.formats import FORMAT_HELP, FindingFormat

if TYPE_CHECKING:
    from mrc_values.catalogue import NodeGroup
    from mrc_values.values import Flag

Chart = Annotated[
    str | None,
    typer.Argument(
        metavar="CHART",
        help="Directory of the chart, packaged chart (.tgz) or oci:// address. [default: . if it contains a "
        "Chart.yaml, else charts/maskrcnn]",
    ),
]
ChartVersion = Annotated[
    str | None,
    typer.Option("--version", metavar="VERSION", help="Version of an oci:// chart. [default: latest]"),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the release.")]
Namespace = Annotated[
    str | None, typer.Option("-n", "--namespace", metavar="NS", help="Namespace. [default: the context's]")
]
Context = Annotated[
    str | None, typer.Option(metavar="NAME", help="Context of the kubeconfig. [default: the current one]")
]
Kubeconfig = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="[default: $KUBECONFIG, else ~/.kube/config]"),
]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until the job runs, and show why it does not yet.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check and show the changes without making them.")]

FormatOfFindings = Annotated[FindingFormat, typer.Option(help=FORMAT_HELP)]


class Format(StrEnum):
    """Output format of results."""

    TEXT = "text"
    JSON = "json"


def chart_directory(chart: str | None, version: str | None = None) -> Path:
    """The directory of CHART; by default the current directory if it is a chart, else charts/maskrcnn.

    Raises UsageError for a packaged chart that does not exist, ServiceError if a registry does not respond.
    """
    if chart is None:
        here = Path()
        return here if (here / "Chart.yaml").is_file() else Path("charts") / "maskrcnn"
    from mrc_values import chart_source

    return chart_source.directory(chart, version)


def node_group_named(chart: Path, name: str) -> "NodeGroup":
    """The row of the catalogue that --node-group names. Raises UsageError."""
    from mrc_values import catalogue

    groups = catalogue.load(chart).node_groups
    if name not in groups:
        available = ", ".join(groups) or "none"
        raise UsageError(f"--node-group {name}: not in the catalogue of {chart}. Available: {available}.")
    return groups[name]


@dataclass(frozen=True)
class Given:
    """The values files and flags of a command line, in the order in which Helm applies them."""

    files: "list[Path]"
    flags: "list[Flag]"


def _separated(files: list[Path] | None) -> list[Path] | None:
    """Values files as Helm reads them: ``-f a.yaml,b.yaml`` is two files."""
    return files and [Path(name) for file in files for name in str(file).split(",")]


_FLAGS = {
    "set_json": ("NAME=JSON", "A single value in JSON."),
    "set": ("NAME=VALUE", "A single value, as Helm's --set; takes precedence over files."),
    "set_string": ("NAME=VALUE", "A single value that is always a string."),
    "set_file": ("NAME=FILE", "A single value, the content of a file."),
}
"""Helm's flags that set values, in the order in which Helm applies them."""

_GIVEN = {
    "values": typer.Option(
        "-f",
        "--values",
        metavar="FILE",
        help="Values file, or - for stdin; of several, later ones take precedence.",
        callback=_separated,
    ),
    **{
        name: typer.Option(f"--{name.replace('_', '-')}", metavar=metavar, help=help)
        for name, (metavar, help) in sorted(_FLAGS.items())
    },
}


def takes_values(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command Helm's options for values (-f and the --set family) in place of its parameter
    ``given``."""

    @functools.wraps(command)
    def with_options(*, values: list[Path] | None, **arguments: Any) -> None:
        from mrc_values.values import Flag

        flags = [
            Flag(f"--{name.replace('_', '-')}", expression)
            for name in _FLAGS
            for expression in arguments.pop(name) or []
        ]
        command(**arguments, given=Given(values or [], flags))

    def parameter(name: str) -> inspect.Parameter:
        kind: Any = list[Path] | None if name == "values" else list[str] | None
        annotation = Annotated[kind, _GIVEN[name]]
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)

    parameters: list[inspect.Parameter] = []
    for declared in inspect.signature(command, eval_str=True).parameters.values():
        own = declared.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        parameters += [parameter(name) for name in _GIVEN] if declared.name == "given" else [own]
    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return with_options
