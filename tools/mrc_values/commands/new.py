"""mrc-values new"""

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer
from mrc_cli.errors import UsageError


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new chart, and of its release.")],
    source: Annotated[
        str, typer.Option("--from", metavar="CHART", help="The old chart: a folder, or a name in charts/.")
    ],
    namespace: Annotated[
        str | None,
        typer.Option(metavar="NS", help="Namespace of the new chart's objects. [default: the old chart's]"),
    ] = None,
) -> None:
    """Make a new training chart from an old one, to change its values and templates.

    The new chart lies beside the old one and installs beside it, in the same namespace or in another: no two
    objects have one name. What the old chart has by a link is the new one's own.

    Example: mrc-values new team-b --from maskrcnn --namespace team-b
    """
    from mrc_values.newchart import create

    old = find(source)
    chart = Path(os.path.relpath(create(name, old, namespace)))
    where = f" --namespace {namespace} --create-namespace" if namespace else ""
    folder = shlex.quote(f"./{chart}" if not str(chart).startswith((".", "/")) else str(chart))
    typer.echo(f"{chart}: made from {old.resolve().name}. Edit its values.yaml, then:", err=True)
    typer.echo(f"mrc-values validate {folder}\nhelm install {name} {folder}{where}")


def find(source: str) -> Path:
    """The chart's folder that ``source`` is or names. Raises UsageError."""
    from mrc_cli.suggestions import nearest

    folders = [Path(source), Path("charts") / source]
    for folder in folders:
        if (folder / "Chart.yaml").is_file():
            return folder
    meant = nearest(source, [file.parent.name for file in Path("charts").glob("*/Chart.yaml")])
    hint = f" Did you mean {meant}?" if meant else " Name the old chart's folder."
    raise UsageError(f"--from {source}: no chart here (no Chart.yaml).{hint}")
