"""mrc-values validate"""

from enum import StrEnum
from typing import Annotated

import typer

from mrc_values.commands.arguments import Chart, Sets, ValuesFiles, chart_folder


class Format(StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


class FindingFormat(StrEnum):
    """How findings are printed."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"


def validate(
    chart: Chart = None,
    values: ValuesFiles = None,
    sets: Sets = None,
    format: Annotated[
        FindingFormat,
        typer.Option(
            help="json: a list of objects; sarif: SARIF 2.1.0; github: annotations of GitHub Actions."
        ),
    ] = FindingFormat.TEXT,
    strict: Annotated[bool, typer.Option("--strict", help="A warning is as bad as an error.")] = False,
) -> None:
    """Find what is wrong with a values file, before a GPU node starts.

    Checks the chart's schema, then rules that no schema can say (`mrc-values rules`), then what Helm
    renders against Kubernetes' schemas. Needs no cluster. Findings go to stdout, one a line, with the
    place in your file and what to do.

    Example: mrc-values validate charts/maskrcnn -f values.yaml --set maskrcnn.gpus=20

    values.yaml:7:9: error MRC014 maskrcnn.gpus: 20 is not a multiple of 8, ... Set gpus to 16 or 24.

    Exit code: 0 without errors, 1 with errors (with --strict: or warnings), 2 when called wrongly.
    """
    from mrc_cli import reports
    from mrc_cli.findings import Severity

    from mrc_values.check import check
    from mrc_values.rules import TOOL

    folder = chart_folder(chart)
    result = check(folder, values or (), sets or ())
    if text := reports.FORMATS[format](result.findings, TOOL):
        typer.echo(text)
    typer.echo(f"{folder}: {reports.summary(result.findings)}", err=True)
    warned = any(finding.severity is Severity.WARNING for finding in result.findings)
    raise typer.Exit(1 if result.failing or (strict and warned) else 0)
