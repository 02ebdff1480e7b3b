"""mrc-values explain and mrc-values rules"""

import textwrap
from typing import Annotated

import typer
from mrc_cli.errors import UsageError


def explain(
    rule: Annotated[str, typer.Argument(metavar="RULE", help="Id of a rule, such as MRC014.")],
) -> None:
    """Say why a rule exists, with values that fail it and values that pass.

    Example: mrc-values explain MRC014
    """
    from mrc_cli.suggestions import nearest

    from mrc_values.rules import RULES
    from mrc_values.rules.preflight import PREFLIGHT

    known = RULES | PREFLIGHT
    found = known.get(rule.upper())
    if found is None:
        meant = nearest(rule.upper(), RULES) or nearest(rule.upper(), PREFLIGHT)
        raise UsageError(
            f"no rule {rule}. Did you mean {meant}?" if meant else f"no rule {rule}. See mrc-values rules."
        )
    why = "\n".join(textwrap.wrap(" ".join(found.why.split()), 88))
    typer.echo(f"{found.id} ({found.severity}): {found.title}\n\n{why}")
    for title, example in (("Fails", found.failing), ("Passes", found.passing)):
        typer.echo(f"\n{title}:\n{textwrap.indent(example, '  ')}")


def rules() -> None:
    """List every rule: id, severity, title. From MRC100 on they are about the cluster (`install`)."""
    from mrc_values.rules import RULES
    from mrc_values.rules.preflight import PREFLIGHT

    for rule in (*RULES.values(), *PREFLIGHT.values()):
        typer.echo(f"{rule.id}  {rule.severity:8} {rule.title}")
