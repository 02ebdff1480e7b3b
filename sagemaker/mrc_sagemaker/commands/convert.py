"""mrc-sagemaker convert"""

from pathlib import Path
from typing import Annotated

import typer
import yaml
from mrc_cli.command import reason
from mrc_cli.errors import UsageError, UserError
from mrc_cli.terminal import result, say

from mrc_sagemaker.arguments import Chart


def convert(
    manifests: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Manifests of the legacy SageMaker operator.")
    ],
    values: Annotated[
        bool, typer.Option("--values", help="Print a values file of the chart sagemaker in place of objects.")
    ] = False,
    chart: Chart = None,
) -> None:
    """Print the objects of ACK's controller for manifests of the legacy SageMaker operator, or a values file.

    What has no counterpart, and what SageMaker would reject, is printed to stderr and ends the command with
    exit code 1; the objects or values are complete apart from it.

    Example: mrc-sagemaker convert train.yaml hosting.yaml > ack.yaml

    The image of such manifests is another one than this suite's: set maskrcnn.image in the values file.
    """
    from mrc_sagemaker import conversion

    objects = []
    lost = []
    for file in manifests:
        try:
            documents = [document for document in yaml.safe_load_all(file.read_text()) if document]
        except OSError as error:
            raise UsageError(reason(error)) from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(f"{file}: not YAML: {' '.join(str(error).split())}") from None
        for document in documents:
            if not isinstance(document, dict):
                raise UserError(f"{file}: not a Kubernetes object")
            try:
                converted = conversion.convert(document)
            except UserError as error:
                raise UserError(f"{file}: {error}") from None
            objects += converted.objects
            lost += [f"{file}: {text}" for text in converted.lost]
    if values:
        from mrc_values import catalogue

        from mrc_sagemaker import rendering, values_file

        done = values_file.values_file(objects, catalogue.load(chart or rendering.CHART))
        lost += done.lost
        result(yaml.safe_dump(done.content, sort_keys=False).rstrip())
    else:
        result(yaml.safe_dump_all(objects, sort_keys=False).rstrip())
    for text in lost:
        say(text)
    if lost:
        raise typer.Exit(1)
