"""mrc-sagemaker delete"""

from mrc_cli.terminal import result, say

from mrc_sagemaker.arguments import Endpoint, Region


def delete(endpoint: Endpoint, region: Region = None) -> None:
    """Delete an endpoint with its configuration and models. Training jobs and what is in S3 stay.

    Example: mrc-sagemaker delete maskrcnn
    """
    from mrc_sagemaker import hosting
    from mrc_sagemaker.api import SageMaker

    api = SageMaker(region)
    gone = hosting.delete(api, endpoint)
    for name in gone:
        result(f"deleted {name}")
    if not gone:
        say(f"mrc-sagemaker: endpoint {endpoint} not found in {api.region}; nothing to delete")
