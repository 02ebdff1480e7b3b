"""mrc-values local status"""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from mrc_cli.terminal import result, say, table

from mrc_values.arguments import Format
from mrc_values.local.arguments import DEFAULT_STATE_DIRECTORY, StateDirectory, open_store


def status(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Name of the release. [default: all]")
    ] = None,
    directory: StateDirectory = DEFAULT_STATE_DIRECTORY,
    format: Annotated[
        Format, typer.Option(help="Output format; json: a list of objects, for programs.")
    ] = Format.TEXT,
) -> None:
    """Show the state and progress of local runs.

    Example: mrc-values local status trial --format json
    """
    from mrc_values.local.status import status_of
    from mrc_values.runs import HEADER

    store = open_store(directory, name)
    statuses = [status_of(store.get(release)) for release in ([name] if name else store.names())]
    if format is Format.JSON:
        result(json.dumps([asdict(status) for status in statuses], indent=2))
        return
    if not statuses:
        say(f"no local releases in {directory}. Start one with `mrc-values local up NAME`.")
        return
    table(HEADER, [status.cells() for status in statuses])
    for status in statuses:
        result("  ".join(filter(None, (f"{status.name}: {status.run_dir}", status.tensorboard))))
        if status.warning:
            result(f"{status.name}: warning: {status.warning}")
