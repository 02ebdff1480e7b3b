"""mrc-sagemaker endpoint"""

import json

from mrc_cli.terminal import result, say
from mrc_values.arguments import Given, takes_values

from mrc_sagemaker.arguments import Chart, DryRun, Name, Region, Timeout, Wait
from mrc_sagemaker.hosting import DEFAULT_TIMEOUT


@takes_values
def endpoint(
    name: Name,
    given: Given,
    chart: Chart = None,
    region: Region = None,
    dry_run: DryRun = False,
    wait: Wait = False,
    timeout: Timeout = DEFAULT_TIMEOUT,
) -> None:
    """Host the trained model: create model, endpoint configuration and endpoint, or update the endpoint.

    The names of model and configuration have a hash of their settings, so that they always agree. An endpoint
    costs money until `mrc-sagemaker delete`.

    Example: mrc-sagemaker endpoint maskrcnn -f values.yaml --wait
    """
    from mrc_sagemaker import hosting, images, rendering
    from mrc_sagemaker.api import SageMaker

    done = rendering.checked(name, chart, given, hosting=True)
    wanted = rendering.resources(done, ["Model", "EndpointConfig", "Endpoint"])
    if dry_run:
        result(json.dumps({resource.operation: resource.request for resource in wanted}, indent=2))
        return
    images.check(wanted[0].request["PrimaryContainer"]["Image"])
    api = SageMaker(region or rendering.region(done))
    endpoint_name = hosting.ensure(api, wanted)
    if wait:
        hosting.wait(api, endpoint_name, wanted[-1].request["EndpointConfigName"], timeout)
        say(f"mrc-sagemaker: try it: mrc-sagemaker invoke {endpoint_name} image.jpg")
    result(endpoint_name)
