"""From a values file to what is created on SageMaker: checks, the chart sagemaker, and requests."""

import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path

import typer
from mrc_cli import reports
from mrc_cli.errors import UserError
from mrc_cli.terminal import result, say
from mrc_values.arguments import Given
from mrc_values.check import Result, check
from mrc_values.manifests import objects
from mrc_values.rules import TOOL

from mrc_sagemaker import ack
from mrc_sagemaker.ack import Resource

CHART = Path("charts") / "sagemaker"


def checked(
    name: str, chart: Path | None, given: Given, defaults: Sequence[str] = (), hosting: bool = False
) -> Result:
    """The rendered chart sagemaker. Findings are printed: to stdout if there is an error, which ends
    the command, else to stderr.

    Args:
        name: of the training job, unless the values name it.
        defaults: expressions of ``--set`` that the user's files and flags take precedence over.
        hosting: whether the endpoint is rendered although the values do not enable it.
    """
    extra = [f"sagemaker.job_token={secrets.token_hex(16)}"]
    if hosting:
        extra.append("sagemaker.endpoint.enabled=true")
    # What the command adds comes first, so that the user's flags take precedence.
    done = check(chart or CHART, given.files, [*extra, *defaults, *given.flags], name)
    text = reports.FORMATS["text"](done.findings, TOOL)
    if text and not done.failing:
        say(text)
    if done.failing:
        result(text)
        say(f"mrc-sagemaker: {reports.summary(done.findings)}; nothing was sent to AWS")
        raise typer.Exit(1)
    return done


def resources(done: Result, kinds: Iterable[str]) -> list[Resource]:
    """What the objects of these kinds stand for, in the order of creation.

    Raises:
        UserError: when SageMaker would reject one, with all reasons.
    """
    items = {
        item["kind"]: item for item in objects(done.rendered) if item.get("apiVersion") == ack.API_VERSION
    }
    translated = [ack.resource(items[kind]) for kind in ack.OPERATIONS if kind in kinds and kind in items]
    problems = [
        f"{resource.operation} {problem}" for resource in translated for problem in resource.problems()
    ]
    if problems:
        raise UserError(f"SageMaker would reject this: {'; '.join(problems)}")
    return translated


def region(done: Result) -> str | None:
    """The region that the values name, or that of the image in ECR; None if neither does."""
    for item in objects(done.rendered):
        if annotated := (item["metadata"].get("annotations") or {}).get(ack.REGION):
            return str(annotated)
    return None
