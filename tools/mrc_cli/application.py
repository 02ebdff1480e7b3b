"""Typer applications with help drawn for people and errors left to `mrc_cli.command`."""

import pkgutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mrc_cli.terminal import one_line

if TYPE_CHECKING:
    import typer

# Help is drawn for people and plain when it is piped.
_MARKUP: Any = "markdown" if sys.stdout.isatty() and sys.stderr.isatty() else None


def application(
    help: str, cls: "type[typer.core.TyperGroup] | None" = None, add_completion: bool = True
) -> "typer.Typer":
    """An application to which its module adds commands, or ``cls`` has them."""
    import typer  # not needed by those who use the rest of this package

    class Printable(cls or typer.core.TyperGroup):  # type: ignore[misc]
        """Usage errors show control characters of the arguments instead of sending them."""

        def make_context(self, *arguments: Any, **options: Any) -> Any:
            with _printable_usage_errors():
                return super().make_context(*arguments, **options)

        def invoke(self, ctx: Any) -> Any:
            with _printable_usage_errors():
                return super().invoke(ctx)

    return typer.Typer(
        cls=Printable,
        help=help,
        no_args_is_help=True,
        add_completion=add_completion,
        pretty_exceptions_enable=False,
        rich_markup_mode=_MARKUP,
    )


@contextmanager
def _printable_usage_errors() -> Iterator[None]:
    from typer.exceptions import TyperException

    try:
        yield
    except TyperException as error:
        if type(error).__name__ != "NoArgsIsHelpError":  # whose message is the help
            error.message = one_line(error.message)
        raise


def application_of(package: str, help: str, add_completion: bool = True) -> "typer.Typer":
    """The commands of a package. A module is imported when its command is called: all of them take longer."""
    import typer

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
                app = application_of(module.__name__, module.__doc__ or "", add_completion=False)
            else:
                app = typer.Typer(add_completion=False, rich_markup_mode=_MARKUP)
                app.command(cmd_name)(getattr(module, name))
            command = typer.main.get_command(app)
            command.name = cmd_name
            return command

    app = application(help, Commands, add_completion)
    app.callback()(lambda: None)
    return app
