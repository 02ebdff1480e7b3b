"""mrc-sagemaker status"""

from mrc_cli.terminal import result

from mrc_sagemaker.arguments import Job, Region


def status(job: Job, region: Region = None) -> None:
    """Show a training job: status, reason, metrics, model.

    Example: mrc-sagemaker status maskrcnn
    """
    from mrc_sagemaker import training
    from mrc_sagemaker.api import SageMaker

    for name, text in training.details(training.describe(SageMaker(region), job)):
        result(f"{name + ':':<12} {text}")
