"""Values files for the tests of mrc-values, checked against the real maskrcnn chart."""

from pathlib import Path

from mrc_cli.findings import Severity
from mrc_values.check import Result, check

CHARTS = Path(__file__).parents[2] / "charts"
CHART = CHARTS / "maskrcnn"

# The minimum for a file without findings.
BASE = "maskrcnn: {image: 'registry.example.com/mask-rcnn:1.0', node_group: p4d}\n"


BASES = {
    "maskrcnn": BASE,
    "stage-data": "image: 'registry.example.com/mask-rcnn-stage:1.0'\ns3_uri: s3://my-bucket/coco\n",
}
"""The same for each chart that rules have examples of."""


def checked(
    directory: Path, text: str | bytes, *sets: str, base: str = BASE, chart: str = "maskrcnn"
) -> Result:
    """The chart's values under ``base`` and then ``text``, written to values.yaml."""
    below, file = directory / "base.yaml", directory / "values.yaml"
    below.write_text(base)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return check(CHARTS / chart, [below, file], sets)


def lines(result: Result) -> list[str]:
    """Findings as a user reads them, without the directories."""
    return [
        str(finding).replace(f"{Path(finding.position.file).parent}/", "", 1) for finding in result.findings
    ]


def rule_ids(result: Result, severity: Severity | None = None) -> set[str]:
    """Rules that found something, of one severity or of any."""
    return {finding.rule for finding in result.findings if severity in (None, finding.severity)}
