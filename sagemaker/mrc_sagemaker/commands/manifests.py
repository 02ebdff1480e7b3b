"""mrc-sagemaker manifests"""

import yaml
from mrc_cli.terminal import result
from mrc_values.arguments import Given, takes_values

from mrc_sagemaker.arguments import Chart, Name


@takes_values
def manifests(name: Name, given: Given, chart: Chart = None) -> None:
    """Print the objects of ACK's SageMaker controller for `kubectl apply`, after all checks.

    Example: mrc-sagemaker manifests maskrcnn -f values.yaml | kubectl apply -f -
    """
    from mrc_values.manifests import objects

    from mrc_sagemaker import ack, rendering

    done = rendering.checked(name, chart, given)
    rendering.resources(done, ack.OPERATIONS)  # raises what SageMaker would reject
    resources = [item for item in objects(done.rendered) if item.get("apiVersion") == ack.API_VERSION]
    result(yaml.safe_dump_all(resources, sort_keys=False).rstrip())
