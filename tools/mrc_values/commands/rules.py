"""mrc-values rules"""

from mrc_cli.terminal import result


def rules() -> None:
    """List every rule with its id, severity and title.

    The rules from MRC100 on check the cluster before an install.
    """
    from mrc_values.rules import TOOL

    for rule in TOOL.rules.values():
        result(f"{rule.id}  {rule.severity:8} {rule.title}")
