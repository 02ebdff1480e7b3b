"""Arguments that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

Chart = Annotated[
    Path | None,
    typer.Argument(
        help="Directory of the chart. [default: . if it contains a Chart.yaml, else charts/maskrcnn]",
    ),
]
ValuesFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "-f", "--values", metavar="FILE", help="Values file; of several, later ones take precedence."
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="A single value, as Helm's --set; takes precedence over files."
    ),
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
