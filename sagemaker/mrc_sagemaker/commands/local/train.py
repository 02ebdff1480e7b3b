"""mrc-sagemaker local train"""

from pathlib import Path
from typing import Annotated

import typer
from mrc_cli.terminal import result
from mrc_values.arguments import Given, takes_values

from mrc_sagemaker.arguments import Chart, Name


@takes_values
def train(
    name: Name,
    data: Annotated[Path, typer.Option(metavar="DIR", help="Data set in COCO layout: the channel train.")],
    given: Given,
    chart: Chart = None,
    directory: Annotated[Path, typer.Option(metavar="DIR", help="In place of /opt/ml.")] = Path("ml"),
) -> None:
    """Train here as SageMaker would, on one host: the same values, hyperparameters and files.

    The exit code is that of the program train; the model is in DIR/model, the reason of a failure in
    DIR/output/failure.

    Example: mrc-sagemaker local train maskrcnn -f values.yaml --data data/coco --set maskrcnn.device=cpu
    --set maskrcnn.gpus=1 --set maskrcnn.gpus_per_node=1
    """
    from mrc_sagemaker import local_job, rendering

    done = rendering.checked(name, chart, given)
    (job,) = rendering.resources(done, ["TrainingJob"])
    layout = local_job.lay_out(directory, job, data)
    code = local_job.train(layout, job)
    if code == 0:
        result(str(layout.model))
    raise typer.Exit(code)
