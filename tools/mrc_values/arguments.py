"""Arguments that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from mrc_cli.errors import UsageError
from mrc_cli.formats import FORMAT_HELP, FindingFormat

if TYPE_CHECKING:
    from mrc_values.catalogue import NodeGroup
    from mrc_values.values import Flag

Chart = Annotated[
    Path | None,
    typer.Argument(
        help="Directory of the chart. [default: . if it contains a Chart.yaml, else charts/maskrcnn]",
    ),
]
ValuesFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "-f",
        "--values",
        metavar="FILE",
        help="Values file, or - for stdin; of several, later ones take precedence.",
        callback=lambda files: _separated(files),
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="A single value, as Helm's --set; takes precedence over files."
    ),
]
SetStrings = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="A single value that is always a string.")
]
SetFiles = Annotated[
    list[str] | None, typer.Option(metavar="NAME=FILE", help="A single value, the content of a file.")
]
SetJsons = Annotated[list[str] | None, typer.Option(metavar="NAME=JSON", help="A single value in JSON.")]
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


def chart_directory(chart: Path | None) -> Path:
    """The chart to use when none is named: the current directory if it is one, else charts/maskrcnn."""
    if chart is not None:
        return chart
    here = Path()
    return here if (here / "Chart.yaml").is_file() else Path("charts") / "maskrcnn"


def node_group_named(chart: Path, name: str) -> "NodeGroup":
    """The row of the catalogue that --node-group names. Raises UsageError."""
    from mrc_values import catalogue

    groups = catalogue.load(chart).node_groups
    if name not in groups:
        available = ", ".join(groups) or "none"
        raise UsageError(f"--node-group {name}: not in the catalogue of {chart}. Available: {available}.")
    return groups[name]


def flags(
    sets: list[str] | None,
    set_strings: list[str] | None,
    set_files: list[str] | None,
    set_jsons: list[str] | None,
) -> list["Flag"]:
    """The flags that set values, in the order in which Helm applies them."""
    from mrc_values.values import Flag

    options = {
        "--set-json": set_jsons,
        "--set": sets,
        "--set-string": set_strings,
        "--set-file": set_files,
    }
    return [Flag(option, expression) for option, given in options.items() for expression in given or []]


def _separated(files: list[Path] | None) -> list[Path] | None:
    """Values files as Helm reads them: ``-f a.yaml,b.yaml`` is two files."""
    return files and [Path(name) for file in files for name in str(file).split(",")]
