"""mrc-values local logs"""

from typing import Annotated

import typer
from mrc_cli.terminal import result

from mrc_values.local.arguments import DEFAULT_STATE_DIRECTORY, Name, StateDirectory, open_store


def logs(
    name: Name,
    directory: StateDirectory = DEFAULT_STATE_DIRECTORY,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Keep printing new lines until the run ends.")
    ] = False,
) -> None:
    """Print the output of the launcher and its ranks, including that of earlier starts of the run.

    Example: mrc-values local logs trial -f
    """
    from mrc_values.launcher_log import without_colors
    from mrc_values.local.logs import log_lines

    for line in log_lines(open_store(directory, name), name, follow):
        result(without_colors(line))
