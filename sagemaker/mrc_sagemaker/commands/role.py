"""mrc-sagemaker role"""

import json

from mrc_cli.terminal import result
from mrc_values.arguments import Given, takes_values

from mrc_sagemaker.arguments import Chart, Name


@takes_values
def role(name: Name, given: Given, chart: Chart = None) -> None:
    """Print the documents of the least execution role for a job and its endpoint, as `aws iam` takes them.

    Example: mrc-sagemaker role maskrcnn -f values.yaml

    Then: aws iam create-role --role-name NAME --assume-role-policy-document "$(… | jq .trust)"
    """
    from mrc_sagemaker import ack, rendering, roles

    # The values of a job that has no role yet are checked with one.
    placeholder = "sagemaker.role=arn:aws:iam::123456789012:role/to-be-made"
    done = rendering.checked(name, chart, given, [placeholder])
    resources = rendering.resources(done, ack.OPERATIONS)
    documents = {"trust": roles.TRUST, "policy": roles.policy(resources)}
    result(json.dumps(documents, indent=2))
