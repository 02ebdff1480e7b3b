"""mrc-values explain"""

from typing import Annotated

import typer
from mrc_cli.errors import UsageError
from mrc_cli.terminal import result


def explain(
    rule: Annotated[str, typer.Argument(metavar="RULE", help="Id of a rule, such as MRC014.")],
) -> None:
    """Explain why a rule exists, with an example that fails and one that passes.

    Example: mrc-values explain MRC014
    """
    from mrc_cli.reports import explanation
    from mrc_cli.suggestions import nearest

    from mrc_values.rules import TOOL

    info = TOOL.rules.get(rule.upper())
    if info is None:
        meant = nearest(rule.upper(), TOOL.rules)
        hint = f"Did you mean {meant}?" if meant else "mrc-values rules lists all of them."
        raise UsageError(f"{rule}: no such rule. {hint}")
    result(explanation(info))
