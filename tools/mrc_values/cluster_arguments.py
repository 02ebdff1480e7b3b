"""What the commands `cluster up` and `cluster down` share."""

from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer
from mrc_cli.errors import UserError
from mrc_cli.terminal import say

if TYPE_CHECKING:
    from mrc_values.cluster.client import Cluster
    from mrc_values.terraform_outputs import Built

Sources = Annotated[
    list[str],
    typer.Option(
        "--from-terraform",
        metavar="SOURCE",
        help="What Terraform built: the directory of a root, a file with the output of `terraform output "
        "-json`, or - for stdin. Twice for aws-eks-cluster and aws-eks-nodegroup.",
    ),
]


def check_is_the_one(cluster: "Cluster", built: "Built", named: bool) -> None:
    """Make sure that a context is for the cluster that Terraform built.

    With ``named``, the user named the context, as for a tunnel to a private API server: a difference is only
    reported.

    Raises:
        UserError: when it is for another cluster.
    """
    if _host(cluster.server) == _host(built.endpoint):
        return
    problem = f"context {cluster.context} is for {cluster.server}, but Terraform built {built.endpoint}."
    if named:
        say(f"{problem} Used nevertheless, because --context names it.")
        return
    raise UserError(
        f"{problem} Run: aws eks update-kubeconfig --region {built.region} --name {built.cluster}. Or "
        "name the context of a tunnel with --context."
    )


def _host(url: str) -> str:
    return urlsplit(url).netloc.lower()
