"""Arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Chart = Annotated[
    Path | None,
    typer.Argument(help="Folder of the chart. Default: . when it holds a Chart.yaml, else charts/maskrcnn."),
]
ValuesFiles = Annotated[
    list[Path] | None,
    typer.Option("-f", "--values", metavar="FILE", help="Values file; several: later ones count more."),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="A single value, as Helm's --set; counts more than files."
    ),
]
Context = Annotated[
    str | None, typer.Option(metavar="NAME", help="Context of the kubeconfig. [default: the current one]")
]
Kubeconfig = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="[default: $KUBECONFIG, else ~/.kube/config]"),
]
Namespace = Annotated[
    str | None, typer.Option("-n", "--namespace", metavar="NS", help="Namespace. [default: the context's]")
]


def chart_folder(chart: Path | None) -> Path:
    """The chart that is meant when none is named."""
    if chart is not None:
        return chart
    here = Path()
    return here if (here / "Chart.yaml").is_file() else Path("charts") / "maskrcnn"
