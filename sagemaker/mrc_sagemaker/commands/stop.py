"""mrc-sagemaker stop"""

from mrc_cli.terminal import say

from mrc_sagemaker.arguments import Job, Region


def stop(job: Job, region: Region = None) -> None:
    """Stop a training job: it saves a checkpoint and exports its model first.

    Example: mrc-sagemaker stop maskrcnn
    """
    from mrc_sagemaker import training
    from mrc_sagemaker.api import SageMaker

    api = SageMaker(region)
    status = training.describe(api, job)["TrainingJobStatus"]
    if status in training.FINAL or status == "Stopping":
        say(f"mrc-sagemaker: training job {job} is {status} already")
        return
    api.call("StopTrainingJob", TrainingJobName=job)
    say(f"mrc-sagemaker: stopping {job}. Wait for it: mrc-sagemaker wait {job}")
