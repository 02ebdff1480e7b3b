"""The state of a training job, and waiting for its end."""

from typing import Any

from mrc_cli.errors import UserError
from mrc_cli.terminal import clock

from mrc_sagemaker.api import POLL_SECONDS, SageMaker, poll

FINAL = ("Completed", "Failed", "Stopped")

DEFAULT_TIMEOUT = 28 * 24 * 3600.0
"""Seconds; the longest that a job may run."""


def describe(api: SageMaker, job: str) -> dict[str, Any]:
    """The job's description. Raises UserError when it does not exist."""
    description = api.find("TrainingJob", job)
    if description is None:
        raise UserError(
            f"training job {job} not found in {api.region}. List them: aws sagemaker list-training-jobs "
            f"--region {api.region}"
        )
    return description


def state(description: dict[str, Any]) -> str:
    """One line: status, the step of it, and its message."""
    status, secondary = description["TrainingJobStatus"], description.get("SecondaryStatus", "")
    transitions = description.get("SecondaryStatusTransitions") or [{}]
    message = transitions[-1].get("StatusMessage", "")
    parts = [status, secondary if secondary != status else "", message]
    return ", ".join(part for part in parts if part)


def details(description: dict[str, Any]) -> list[tuple[str, str]]:
    """What ``status`` shows of a job: names and texts."""
    resources = description["ResourceConfig"]
    rows = [
        ("job", description["TrainingJobName"]),
        ("status", state(description)),
        ("reason", description.get("FailureReason", "")),
        ("hosts", f"{resources['InstanceCount']} x {resources['InstanceType']}"),
        ("model", (description.get("ModelArtifacts") or {}).get("S3ModelArtifacts", "")),
    ]
    if seconds := description.get("BillableTimeInSeconds"):
        rows.append(("billed", clock(seconds)))
    for metric in description.get("FinalMetricDataList") or []:
        rows.append((metric["MetricName"], f"{metric['Value']:.4g}"))
    return [row for row in rows if row[1]]


def wait(api: SageMaker, job: str, timeout: float, seconds: float = POLL_SECONDS) -> dict[str, Any]:
    """Wait until a job has completed; its description.

    Raises:
        UserError: when it failed, with SageMaker's reason; when it was stopped, which is no success; and when
            it has no end in time.
    """
    description: dict[str, Any] = {}

    def now() -> str | None:
        nonlocal description
        description = describe(api, job)
        return None if description["TrainingJobStatus"] in FINAL else state(description)

    poll(now, timeout, f"training job {job}", f"mrc-sagemaker logs {job}", seconds)
    status = description["TrainingJobStatus"]
    if status == "Failed":
        reason = description.get("FailureReason", "SageMaker gives no reason")
        raise UserError(f"training job {job} failed: {reason} Look at: mrc-sagemaker logs {job}")
    if status == "Stopped":
        raise UserError(
            f"training job {job} was stopped before its end: {state(description)}. Set maskrcnn.run for "
            "another run"
        )
    return description
