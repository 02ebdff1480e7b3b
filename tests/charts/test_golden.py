"""The complete output of each chart as a user first renders it, so that a diff shows a change's effect.

After a change that is meant: `.venv/bin/python tests/charts/test_golden.py`
"""

from pathlib import Path
from typing import Any

import pytest
from mrc_values.helm import render
from rendering import CHARTS

DIRECTORY = Path(__file__).parent / "golden"
JOB = {"maskrcnn": {"image": "registry.example.com/mask-rcnn:1", "node_group": "p4d"}}
REQUIRED: dict[str, dict[str, Any]] = {
    "maskrcnn": JOB,
    "maskrcnn-optimized": JOB,
    "sagemaker": {
        **JOB,
        "sagemaker": {
            "role": "arn:aws:iam::123456789012:role/SageMakerTraining",
            "data": {"s3_uri": "s3://my-bucket/data"},
            "output_s3_uri": "s3://my-bucket/output",
            "job_token": "token",
            "endpoint": {"enabled": True, "image": "registry.example.com/mask-rcnn-serve:1"},
        },
    },
    "serve": {"image": "registry.example.com/mask-rcnn-serve:1", "model": "kubeflow/exported"},
    "stage-data": {
        "image": "registry.example.com/mask-rcnn-stage:1",
        "s3_uri": "s3://my-bucket/coco",
        "claim": {"create": True, "volume_handle": "fs-0123456789abcdef0"},
    },
    # Secrets that the chart generates would differ in each render.
    "jupyter": {"image": "registry.example.com/lab:1", "token_secret": "token", "tls_secret": "tls"},
}
"""Values of the charts that do not render with their defaults alone."""
NAMES = sorted(file.parent.name for file in CHARTS.glob("*/Chart.yaml"))


def rendered(chart: str) -> str:
    """What `helm template demo` prints, and the NOTES."""
    texts = render(CHARTS / chart, REQUIRED.get(chart, {}), "demo")
    parts = [f"# Source: {path}\n{text.strip()}\n" for path, text in sorted(texts.items()) if text.strip()]
    return "---\n".join(parts)


@pytest.mark.parametrize("chart", NAMES)
def test_the_chart_renders_as_reviewed(chart: str) -> None:
    assert rendered(chart) == (DIRECTORY / f"{chart}.txt").read_text()


if __name__ == "__main__":
    for chart in NAMES:
        (DIRECTORY / f"{chart}.txt").write_text(rendered(chart))
