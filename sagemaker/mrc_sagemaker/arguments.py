"""Arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of the training job, unless the values set maskrcnn.name.")
]
Job = Annotated[str, typer.Argument(metavar="JOB", help="Name of the training job.")]
Endpoint = Annotated[str, typer.Argument(metavar="ENDPOINT", help="Name of the endpoint.")]
Chart = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Directory of the chart. [default: charts/sagemaker]")
]
Region = Annotated[
    str | None, typer.Option(metavar="REGION", help="AWS region. [default: that of the values, else of aws]")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print what `aws sagemaker --cli-input-json` takes; send nothing.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for the end, and fail when it is not a success.")]
Timeout = Annotated[float, typer.Option(metavar="SECONDS", min=0, help="Give up waiting after this time.")]
Directory = Annotated[Path, typer.Option(metavar="DIR", help="In place of /opt/ml.")]
DIRECTORY = Path("ml")
PORT = 8080
"""Port of a server on SageMaker."""
