"""mrc-sagemaker manifests"""

from typing import Annotated

import typer
import yaml
from mrc_cli.terminal import result, say
from mrc_values.arguments import Given, takes_values

from mrc_sagemaker.arguments import Chart, Name, Region


@takes_values
def manifests(
    name: Name,
    given: Given,
    chart: Chart = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Ask AWS first whether the names are free; print nothing if one is taken."
        ),
    ] = False,
    region: Region = None,
) -> None:
    """Print the objects of ACK's SageMaker controller for `kubectl apply`, after all checks.

    ACK's controller gives up on an object whose name is taken on SageMaker, after it was applied. --check
    finds this before, for objects that are not in the cluster yet.

    Example: mrc-sagemaker manifests maskrcnn -f values.yaml --check | kubectl apply -f -

    Exit code: 0 printed, 1 findings or a name that is taken, 2 wrong usage, 3 AWS cannot be reached or denies
    the request.
    """
    from mrc_values.manifests import objects

    from mrc_sagemaker import ack, names, rendering
    from mrc_sagemaker.api import SageMaker

    done = rendering.checked(name, chart, given)
    wanted = rendering.resources(done, ack.OPERATIONS)  # raises what SageMaker would reject
    if check:
        taken = names.taken(SageMaker(region or rendering.region(done)), wanted)
        for line in taken:
            say(f"mrc-sagemaker: {line}")
        if taken:
            raise typer.Exit(1)
    resources = [item for item in objects(done.rendered) if item.get("apiVersion") == ack.API_VERSION]
    result(yaml.safe_dump_all(resources, sort_keys=False).rstrip())
