"""mrc-sagemaker local train"""

from pathlib import Path
from typing import Annotated

import typer
from mrc_cli.terminal import result
from mrc_values.arguments import Given, takes_values

from mrc_sagemaker.arguments import DIRECTORY, Chart, Directory, Name


@takes_values
def train(
    name: Name,
    data: Annotated[Path, typer.Option(metavar="DIR", help="Data set in COCO layout: the channel train.")],
    given: Given,
    chart: Chart = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Backbone's weights: the channel weights.")
    ] = None,
    directory: Directory = DIRECTORY,
) -> None:
    """Train here as SageMaker would: the same values, hyperparameters and files.

    One host has DIR as its /opt/ml. Several hosts are namespaces of this machine (Linux, root, sshd), and
    have DIR/algo-1, DIR/algo-2 and so on. The exit code is that of the program train; the model is in model,
    the reason of a failure in output/failure.

    Example: mrc-sagemaker local train maskrcnn -f values.yaml --data data/coco --set maskrcnn.device=cpu
    --set maskrcnn.gpus=1 --set maskrcnn.gpus_per_node=1
    """
    from mrc_sagemaker import local_job, rendering

    done = rendering.checked(name, chart, given)
    (job,) = rendering.resources(done, ["TrainingJob"])
    channels = {"train": data} | ({"weights": weights} if weights else {})
    layouts = local_job.lay_out(directory, job, channels)
    code = local_job.train(layouts, job)
    if code == 0:
        result(str(layouts["algo-1"].model))
    raise typer.Exit(code)
