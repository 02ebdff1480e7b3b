"""Arguments that the local commands share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from mrc_cli.errors import UsageError

from mrc_values.printed import DEFAULT_STATE_DIRECTORY

if TYPE_CHECKING:
    from mrc_values.local.state import Store

__all__ = ["DEFAULT_STATE_DIRECTORY", "Name", "StateDirectory", "open_store"]

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the release.")]
StateDirectory = Annotated[
    Path, typer.Option("--dir", metavar="DIR", help="Directory in which local mode keeps its state.")
]


def open_store(directory: Path, name: str | None) -> "Store":
    """The releases in a state directory. Raises UsageError for a name that Helm would not accept."""
    from mrc_values import helm
    from mrc_values.local.state import Store

    if name is not None:
        try:
            helm.check_release_name(name)
        except helm.ValuesError as error:
            raise UsageError(f"{name}: {error}.") from None
    return Store(directory)
