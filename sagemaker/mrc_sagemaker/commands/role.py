"""mrc-sagemaker role"""

import json
from typing import Annotated

import typer
from mrc_cli.terminal import result
from mrc_values.arguments import Given, takes_values

from mrc_sagemaker.arguments import Chart, Name


@takes_values
def role(
    name: Name,
    given: Given,
    chart: Chart = None,
    create: Annotated[
        str | None,
        typer.Option(metavar="ROLE", help="Create this role, or update its policy; print its ARN."),
    ] = None,
) -> None:
    """Print the policies of the execution role that a job and its endpoint need, or create the role.

    Example: mrc-sagemaker role maskrcnn -f values.yaml --create SageMakerTraining

    Without --create, the documents are as `aws iam` takes them:
    aws iam create-role --role-name NAME --assume-role-policy-document "$(… | jq .trust)"
    """
    from mrc_sagemaker import ack, rendering, roles

    # The values of a job that has no role yet are checked with one.
    placeholder = "sagemaker.role=arn:aws:iam::123456789012:role/to-be-made"
    done = rendering.checked(name, chart, given, [placeholder])
    resources = rendering.resources(done, ack.OPERATIONS)
    policy = roles.policy(resources)
    if create:
        result(roles.ensure(create, policy))
    else:
        result(json.dumps({"trust": roles.TRUST, "policy": policy}, indent=2))
