"""mrc-values explain"""

import textwrap
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
    from mrc_cli.suggestions import nearest

    from mrc_values.rules import TOOL

    info = TOOL.rules.get(rule.upper())
    if info is None:
        meant = nearest(rule.upper(), TOOL.rules)
        hint = f"Did you mean {meant}?" if meant else "mrc-values rules lists all of them."
        raise UsageError(f"{rule}: no such rule. {hint}")
    why = "\n".join(textwrap.wrap(" ".join(info.why.split()), 88))
    result(f"{info.id} ({info.severity}): {info.title}\n\n{why}")
    for title, example in (("Fails", info.failing), ("Passes", info.passing)):
        result(f"\n{title}:\n{textwrap.indent(example, '  ')}")
