"""mrc-values validate"""

from pathlib import Path
from typing import Annotated

import typer
from mrc_cli.formats import FindingFormat
from mrc_cli.terminal import result, say

from mrc_values.arguments import (
    Chart,
    ChartVersion,
    FormatOfFindings,
    Given,
    chart_directory,
    takes_values,
)


@takes_values
def validate(
    given: Given,
    chart: Chart = None,
    version: ChartVersion = None,
    format: FormatOfFindings = FindingFormat.TEXT,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 on warnings too.")] = False,
) -> None:
    """Find the mistakes in a values file before a GPU node starts.

    Checks the values against the chart's schema and against rules that a schema cannot express
    (`mrc-values rules`), then the objects that Helm renders against the Kubernetes schemas. No cluster is
    needed. Findings are printed to stdout, one per line, with the position in your file and the fix.

    Example: mrc-values validate charts/maskrcnn -f values.yaml --set maskrcnn.gpus=20

    `mrc-values validate values.yaml` checks a values file of the default chart.

    values.yaml:7:9: error MRC014 maskrcnn.gpus: 20 is not a multiple of 8, ... Set gpus to 16 or 24.

    Exit code: 0 no errors, 1 errors (with --strict: or warnings), 2 wrong usage.
    """
    from mrc_cli import reports
    from mrc_cli.findings import Severity

    from mrc_values.check import check
    from mrc_values.rules import TOOL

    files = given.files
    if chart and chart.endswith((".yaml", ".yml")):  # a values file without -f
        files = [*files, Path(chart)]
        chart = None
    directory = chart_directory(chart, version)
    checked = check(directory, files, given.flags)
    if text := reports.FORMATS[format](checked.findings, TOOL):
        result(text)
    say(f"{chart or directory}: {reports.summary(checked.findings)}")
    has_warnings = any(finding.severity is Severity.WARNING for finding in checked.findings)
    raise typer.Exit(1 if checked.failing or (strict and has_warnings) else 0)
