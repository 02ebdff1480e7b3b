"""mrc-values: the command line."""

import pkgutil
import sys
from importlib import import_module
from typing import Any

import typer
from mrc_cli.command import run

from mrc_values import commands

HELP = "Check the values of the Mask R-CNN charts before a GPU node starts, install releases and watch them."

# Help is drawn for people and plain when it is piped.
_MARKUP: Any = "markdown" if sys.stdout.isatty() and sys.stderr.isatty() else None


def application(package: str, help: str, add_completion: bool = False) -> typer.Typer:
    """The commands of a package. A module is imported when its command is called: all of them take longer."""
    modules = {
        module.name.rstrip("_").replace("_", "-"): module
        for module in pkgutil.iter_modules(import_module(package).__path__)
    }

    class Commands(typer.core.TyperGroup):
        def list_commands(self, ctx: Any) -> list[str]:
            return list(modules)

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            if cmd_name not in modules:
                return None
            name, is_group = modules[cmd_name].name, modules[cmd_name].ispkg
            module = import_module(f"{package}.{name}")
            if is_group:
                app = application(module.__name__, module.__doc__ or "")
            else:
                app = typer.Typer(add_completion=False, rich_markup_mode=_MARKUP)
                app.command(cmd_name)(getattr(module, name))
            command = typer.main.get_command(app)
            command.name = cmd_name
            return command

    app = typer.Typer(
        cls=Commands,
        help=help,
        no_args_is_help=True,
        add_completion=add_completion,
        pretty_exceptions_enable=False,
        rich_markup_mode=_MARKUP,
    )
    app.callback()(lambda: None)
    return app


app = application(commands.__name__, HELP, add_completion=True)


def main() -> None:
    """The console script."""
    run("mrc-values", app)


if __name__ == "__main__":
    main()
