"""The option --format of commands that report findings; `mrc_cli.reports` writes the formats."""

from enum import StrEnum


class FindingFormat(StrEnum):
    """Output format of findings: the values of a command's option --format."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"


FORMAT_HELP = "json: a list of objects; sarif: SARIF 2.1.0; github: annotations for GitHub Actions."
