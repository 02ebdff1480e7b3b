"""mrc-values preflight"""

from typing import Annotated

import typer
from mrc_cli.formats import FindingFormat
from mrc_cli.terminal import result, say

from mrc_values.arguments import Chart, ChartVersion, FormatOfFindings, chart_directory, node_group_named


def preflight(
    region: Annotated[str, typer.Option(metavar="REGION", help="Region of the cluster, such as us-west-2.")],
    node_group: Annotated[
        str, typer.Option(metavar="GROUP", help="A node group from `mrc-values node-groups`, such as p4d.")
    ],
    nodes: Annotated[int, typer.Option(min=1, help="Number of nodes.")],
    zone: Annotated[
        str | None, typer.Option(metavar="ZONE", help="The intended zone of the training nodes.")
    ] = None,
    reservation: Annotated[
        str | None, typer.Option(metavar="ID", help="Capacity reservation or capacity block to use.")
    ] = None,
    bucket: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Bucket with the data set, also as s3://NAME/PREFIX."),
    ] = None,
    chart: Chart = None,
    version: ChartVersion = None,
    format: FormatOfFindings = FindingFormat.TEXT,
) -> None:
    """Find what would prevent a cluster in an AWS account, before `terraform apply`.

    Asks AWS for zones that offer the instance type, quotas and what already counts against them, the state of
    a reservation, and the region of a bucket. Creates nothing.

    Example: mrc-values preflight --region us-west-2 --node-group p4d --nodes 4 --zone us-west-2a

    Exit code: 0 nothing found, 1 findings, 2 wrong usage, 3 AWS could not be reached or denied a request.
    """
    from mrc_cli import reports
    from mrc_cli.findings import failing

    from mrc_values import account
    from mrc_values.rules import TOOL

    group = node_group_named(chart_directory(chart, version), node_group)
    name = bucket.removeprefix("s3://").partition("/")[0] if bucket else None
    aws_account = account.read(region, group, reservation, name)
    if aws_account.zones:
        say(f"{group.instance_type} is offered in {', '.join(aws_account.zones)}.")
    findings = account.check(aws_account, group, nodes, zone)
    if text := reports.FORMATS[format](findings, TOOL):
        result(text)
    say(f"{region}: {reports.summary(findings)}")
    raise typer.Exit(1 if failing(findings) else 0)
