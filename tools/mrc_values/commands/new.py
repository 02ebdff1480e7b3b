"""mrc-values new"""

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer
from mrc_cli.errors import UsageError
from mrc_cli.terminal import result, say


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new chart and its release.")],
    source: Annotated[
        str, typer.Option("--from", metavar="CHART", help="Chart to copy: a directory, or a name in charts/.")
    ],
    namespace: Annotated[
        str | None,
        typer.Option(metavar="NS", help="Namespace of the new chart's objects. [default: the source's]"),
    ] = None,
) -> None:
    """Copy a training chart to change its default values and templates.

    The new chart is created beside the source, with copies in place of symbolic links. It can be installed
    beside the source in the same namespace or another one, because no two objects have the same name.

    Example: mrc-values new team-b --from maskrcnn --namespace team-b
    """
    from mrc_values.chart_copy import create

    old = _find(source)
    chart = Path(os.path.relpath(create(name, old, namespace)))
    where = f" --namespace {namespace} --create-namespace" if namespace else ""
    directory = shlex.quote(f"./{chart}" if not str(chart).startswith((".", "/")) else str(chart))
    say(f"{chart}: created from {old.resolve().name}. Edit its values.yaml, then run:")
    result(f"mrc-values validate {directory}\nhelm install {name} {directory}{where}")


def _find(source: str) -> Path:
    """The directory of the chart that ``source`` is the path or the name of. Raises UsageError."""
    from mrc_cli.suggestions import nearest

    for directory in (Path(source), Path("charts") / source):
        if (directory / "Chart.yaml").is_file():
            return directory
    meant = nearest(source, [file.parent.name for file in Path("charts").glob("*/Chart.yaml")])
    hint = f"Did you mean {meant}?" if meant else "Give the directory of the chart to copy."
    raise UsageError(f"--from {source}: not a chart (no Chart.yaml). {hint}")
