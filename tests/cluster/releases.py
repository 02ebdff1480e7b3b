"""Releases of the charts as the tests install them."""

from testcluster.charts import CHARTS
from testcluster.client import Client

CHART_NAMES = sorted(file.parent.name for file in CHARTS.glob("*/Chart.yaml"))

GIVEN = {
    "maskrcnn": ["maskrcnn.image=trainer:1"],
    "maskrcnn-optimized": ["maskrcnn.image=trainer:1"],
    "jupyter": ["image=notebook:1"],
    "serve": ["image=server:1", "model=kubeflow/exported"],
    "stage-data": ["image=stage:1", "s3_uri=s3://bucket/prefix"],
    "sagemaker": [
        "maskrcnn.image=trainer:1",
        "maskrcnn.node_group=p4d",
        "sagemaker.role=arn:aws:iam::123456789012:role/training",
        "sagemaker.data.s3_uri=s3://bucket/data",
        "sagemaker.output_s3_uri=s3://bucket/output",
        "sagemaker.job_token=token",
    ],
}
"""What each chart has no default for."""


def given(chart: str) -> list[str]:
    """The values that a chart needs, as `key=value`."""
    return GIVEN.get(chart, [])


def settings(chart: str, *values: str) -> list[str]:
    """Helm's flags for a chart with what it needs and these values, all in the release's namespace."""
    return [f"--set={value}" for value in [*given(chart), "global.namespace=", *values]]


def install(user: Client, release: str, chart: str, *values: str) -> str:
    """Installs a chart; what Helm prints. Raises CommandFailed."""
    return user.helm("install", release, str(CHARTS / chart), *settings(chart, *values))


def upgrade(user: Client, release: str, chart: str, *values: str) -> str:
    """Upgrades a release to these values; what Helm prints. Raises CommandFailed."""
    return user.helm("upgrade", release, str(CHARTS / chart), *settings(chart, *values))


def end_launcher(user: Client, job: str, code: int) -> None:
    """The container of a job's launcher ends with this exit code (tools/testcluster/stages.yaml)."""
    launcher = next(pod for pod in user.pods(job, "launcher") if pod["status"]["phase"] == "Running")
    user.kubectl("annotate", "pod", launcher["metadata"]["name"], f"mask-rcnn/exit-code={code}")
