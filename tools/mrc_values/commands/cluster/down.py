"""mrc-values cluster down"""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from mrc_cli.errors import ServiceError, UserError
from mrc_cli.terminal import result, say

from mrc_values.arguments import Context, DryRun, Kubeconfig
from mrc_values.cluster_arguments import Sources, check_is_the_one

if TYPE_CHECKING:
    from mrc_values.cluster.client import Cluster
    from mrc_values.cluster.load_balancers import Balanced
    from mrc_values.cluster.releases import Helm
    from mrc_values.terraform_outputs import Built

MAX_WAIT = 600.0
"""Seconds that load balancers, and then their network interfaces, have to go; AWS takes 1 to 5 minutes."""

Releases = Sequence[Mapping[str, str]]


def down(
    from_terraform: Sources,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without confirmation.")] = False,
    dry_run: DryRun = False,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Delete what would outlive the cluster or keep `terraform destroy` from succeeding.

    These are the releases of the suite's charts and of `cluster up`, and every load balancer: those that
    Kubernetes created are unknown to Terraform, and their network interfaces keep subnets and security groups
    from being deleted. Running jobs are stopped. Claims are left: terraform destroy deletes the file systems.

    Example: mrc-values cluster down --from-terraform terraform/aws-eks-cluster-and-nodegroup

    Exit code: 0 ready for terraform destroy, 1 not confirmed or something is left, 2 wrong usage, 3 the
    cluster could not be reached or denied a request, or helm failed.
    """
    from mrc_values import addons, terraform_outputs
    from mrc_values.cluster import client, load_balancers, releases
    from mrc_values.cluster.overview import overview

    built = terraform_outputs.read(from_terraform)
    cluster = client.connect(context, kubeconfig)
    check_is_the_one(cluster, built, named=context is not None)
    helm = releases.helm(cluster, "default", kubeconfig)
    listed = helm.releases(everywhere=True)
    rows = overview(cluster, listed, None)
    users, own, others = addons.split(listed, {(row.namespace, row.release) for row in rows})
    balancers = load_balancers.balanced(cluster)
    commands = [
        *_uninstalls(helm, users),
        *(shlex.join(["kubectl", "delete", *_words(item)]) for item in balancers),
        *_uninstalls(helm, own),
    ]
    if dry_run:
        for line in commands:
            result(line)
        say(f"{built.cluster}: nothing was deleted (--dry-run).")
        return
    _confirm(built, commands, yes)
    _uninstall(helm, users)
    for item in load_balancers.balanced(cluster):
        say(f"$ {shlex.join(['kubectl', 'delete', *_words(item)])}")
        cluster.delete(item.resource, item.name, item.namespace)
    _wait_for_load_balancers(cluster)
    _uninstall(helm, own)
    _wait_for_interfaces(built)
    for release in others:
        say(f"left, and gone with the cluster: release {release['name']} in {release['namespace']}")
    for line in _destroy(from_terraform):
        say(line)


def _words(item: "Balanced") -> list[str]:
    return [item.kind.lower(), item.name, f"--namespace={item.namespace}"]


def _uninstalls(helm: "Helm", releases: Releases) -> list[str]:
    return [
        replace(helm, namespace=release["namespace"]).command("uninstall", release["name"])
        for release in releases
    ]


def _uninstall(helm: "Helm", releases: Releases) -> None:
    for release, command in zip(releases, _uninstalls(helm, releases), strict=True):
        say(f"$ {command}")
        replace(helm, namespace=release["namespace"]).uninstall(release["name"])


def _confirm(built: "Built", commands: Sequence[str], yes: bool) -> None:
    """Raises UserError unless the user agrees; there is nothing to agree to without commands."""
    if yes or not commands:
        return
    for line in commands:
        say(line)
    if not (sys.stdin.isatty() and typer.confirm(f"Delete all of this from {built.cluster}?", err=True)):
        raise UserError(f"{built.cluster}: nothing was deleted. Use --yes to delete without confirmation.")


def _wait_for_load_balancers(cluster: "Cluster") -> None:
    from mrc_values.cluster import load_balancers

    left = load_balancers.wait_until_gone(lambda: load_balancers.balanced(cluster), MAX_WAIT)
    if left:
        raise UserError(
            f"still there after {MAX_WAIT / 60:g} min: {', '.join(map(str, left))}. The controller that made "
            "their load balancers has to delete them: see kubectl describe, then run this command again."
        )


def _wait_for_interfaces(built: "Built") -> None:
    """Wait for AWS; without access to it, terraform destroy is left to find out."""
    from mrc_values.cluster import load_balancers

    try:
        left = load_balancers.wait_until_gone(
            lambda: list(load_balancers.interfaces(built.region, built.vpc)), MAX_WAIT
        )
    except (ServiceError, UserError) as error:
        say(f"network interfaces of load balancers: not checked: {error}")
        return
    if left:
        raise UserError(
            f"{built.vpc}: still has network interfaces of load balancers after {MAX_WAIT / 60:g} min: "
            f"{', '.join(map(str, left))}. Delete their load balancers in the EC2 console, then run this "
            "again."
        )


def _destroy(sources: Sequence[str]) -> list[str]:
    """What to run next, in the reverse order of the sources: node groups are destroyed before the cluster."""
    roots = [source for source in reversed(sources) if Path(source).is_dir()]
    commands = [shlex.join(["terraform", f"-chdir={root}", "destroy"]) for root in roots]
    lines = commands or ["terraform destroy"]
    return ["Ready. Next, each with the variables of its apply:", *lines]
