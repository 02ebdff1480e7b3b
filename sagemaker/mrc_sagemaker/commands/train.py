"""mrc-sagemaker train"""

import json

from mrc_cli.terminal import result, say
from mrc_values.arguments import Given, takes_values

from mrc_sagemaker.arguments import Chart, DryRun, Name, Region, Timeout, Wait
from mrc_sagemaker.training import DEFAULT_TIMEOUT


@takes_values
def train(
    name: Name,
    given: Given,
    chart: Chart = None,
    region: Region = None,
    dry_run: DryRun = False,
    wait: Wait = False,
    timeout: Timeout = DEFAULT_TIMEOUT,
) -> None:
    """Start a training job.

    The values are checked, and the request against SageMaker's description of it, before anything is sent.
    The same command again does nothing; with other values it says what differs, since the name of a job
    is never free again.

    Example: mrc-sagemaker train maskrcnn -f values.yaml --wait

    Exit code: 0 started (with --wait: completed), 1 findings or a failed job, 2 wrong usage, 3 AWS cannot be
    reached or denies it.
    """
    from mrc_sagemaker import images, rendering, training
    from mrc_sagemaker.api import SageMaker

    done = rendering.checked(name, chart, given)
    (job,) = rendering.resources(done, ["TrainingJob"])
    if dry_run:
        result(json.dumps(job.request, indent=2))
        return
    images.check(job.request["AlgorithmSpecification"]["TrainingImage"])
    api = SageMaker(region or rendering.region(done))
    api.ensure(job, "Set maskrcnn.run for another run: the name of a training job is never free again.")
    if wait:
        training.wait(api, job.name, timeout)
        say(f"mrc-sagemaker: training job {job.name} completed")
    result(job.name)
