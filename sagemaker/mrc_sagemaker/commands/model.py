"""mrc-sagemaker model"""

import json

from mrc_cli.terminal import result
from mrc_values.arguments import Given, takes_values

from mrc_sagemaker.arguments import Chart, DryRun, Name, Region


@takes_values
def model(
    name: Name, given: Given, chart: Chart = None, region: Region = None, dry_run: DryRun = False
) -> None:
    """Create the model of a finished training job, from its model.tar.gz; print the model's name.

    The name has a hash of the settings. The same command again does nothing, and `mrc-sagemaker endpoint`
    with the same values hosts this model. A model itself costs nothing.

    Example: mrc-sagemaker model maskrcnn -f values.yaml
    """
    from mrc_sagemaker import hosting, images, rendering
    from mrc_sagemaker.api import SageMaker

    done = rendering.checked(name, chart, given, hosting=True)
    (wanted,) = rendering.resources(done, ["Model"])
    if dry_run:
        result(json.dumps(wanted.request, indent=2))
        return
    images.check(wanted.request["PrimaryContainer"]["Image"])
    hosting.ensure_parts(SageMaker(region or rendering.region(done)), [wanted])
    result(wanted.name)
