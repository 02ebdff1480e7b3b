"""mrc-sagemaker logs"""

import time
from typing import Annotated, Any

import typer
from mrc_cli.terminal import result, say

from mrc_sagemaker.arguments import Job, Region

GROUP = "/aws/sagemaker/TrainingJobs"
POLL_SECONDS = 5.0


def logs(
    job: Job,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Print new lines until the job ends.")
    ] = False,
    region: Region = None,
) -> None:
    """Print the log of a training job, all hosts of it.

    Example: mrc-sagemaker logs maskrcnn --follow
    """
    from mrc_cli.aws import client

    from mrc_sagemaker import training
    from mrc_sagemaker.api import SageMaker

    api = SageMaker(region)
    reader = client("logs", region)
    tokens: dict[str, str] = {}
    while True:
        ended = training.describe(api, job)["TrainingJobStatus"] in training.FINAL
        count = _print_new(reader, job, tokens)
        if not follow or ended:
            break
        if not count:
            time.sleep(POLL_SECONDS)
    if not tokens:
        say(f"mrc-sagemaker: {job} has no log yet; a log begins when the containers start")


def _print_new(reader: Any, job: str, tokens: dict[str, str]) -> int:
    """Print the lines after those already printed; how many. ``tokens`` has the place in each stream."""
    from botocore.exceptions import ClientError
    from mrc_cli.aws import calling

    with calling("logs:GetLogEvents"):
        try:
            pages = reader.get_paginator("describe_log_streams").paginate(
                logGroupName=GROUP, logStreamNamePrefix=f"{job}/"
            )
            names = [stream["logStreamName"] for page in pages for stream in page["logStreams"]]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return 0
            raise
        count = 0
        for name in names:
            host = name.partition("/")[2].rpartition("-")[0] or name
            while True:
                place = {"nextToken": tokens[name]} if name in tokens else {}
                page = reader.get_log_events(
                    logGroupName=GROUP, logStreamName=name, startFromHead=True, **place
                )
                for event in page["events"]:
                    result(f"{host} | {event['message']}")
                count += len(page["events"])
                if tokens.get(name) == page["nextForwardToken"]:
                    break
                tokens[name] = page["nextForwardToken"]
        return count
