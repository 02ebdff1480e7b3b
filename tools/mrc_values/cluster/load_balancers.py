"""Load balancers that Kubernetes created in AWS: Terraform does not know them, and they block its destroy."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mrc_cli.terminal import say

from mrc_values.cluster import client
from mrc_values.cluster.client import Cluster, Resource
from mrc_values.cluster.objects import at, items, name, text

SECONDS_BETWEEN_READS = 3.0
SECONDS_BETWEEN_LINES = 30.0


@dataclass(frozen=True)
class Balanced:
    """A Service or an Ingress that has, or may get, a load balancer."""

    resource: Resource
    kind: str
    namespace: str
    name: str
    finalizers: tuple[str, ...]

    def __str__(self) -> str:
        waits = f" ({', '.join(self.finalizers)})" if self.finalizers else ""
        return f"{self.kind} {self.namespace}/{self.name}{waits}"


def balanced(cluster: Cluster) -> list[Balanced]:
    """All of them in all namespaces, those included whose deletion waits for a finalizer."""
    result = [
        _balanced(client.SERVICES, "Service", item)
        for item in cluster.list(client.SERVICES)
        if text(item, "spec", "type") == "LoadBalancer"
    ]
    result += [
        _balanced(client.INGRESSES, "Ingress", item)
        for item in cluster.list(client.INGRESSES)
        if items(item, "status", "loadBalancer", "ingress") or items(item, "metadata", "finalizers")
    ]
    return result


def _balanced(resource: Resource, kind: str, item: dict[str, Any]) -> Balanced:
    finalizers = tuple(map(str, items(item, "metadata", "finalizers")))
    return Balanced(resource, kind, str(at(item, "metadata").get("namespace", "")), name(item), finalizers)


def interfaces(region: str, vpc: str) -> Iterator[str]:
    """Network interfaces of load balancers in a VPC, as ``eni-… (ELB net/…)``. Raises ServiceError."""
    from mrc_cli import aws

    ec2 = aws.client("ec2", region)
    filters = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "description", "Values": ["ELB *"]}]
    with aws.calling("ec2:DescribeNetworkInterfaces"):
        for page in ec2.get_paginator("describe_network_interfaces").paginate(Filters=filters):
            for item in page["NetworkInterfaces"]:
                yield f"{item['NetworkInterfaceId']} ({item.get('Description', '')})"


def wait_until_gone(
    left: Callable[[], Sequence[object]],
    seconds: float,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Sequence[object]:
    """Wait until ``left`` returns nothing; what it still returns after that time. Says what it waits for."""
    start = now()
    next_line = start
    while rest := left():
        if now() - start >= seconds:
            return rest
        if now() >= next_line:
            next_line = now() + SECONDS_BETWEEN_LINES
            say(f"waiting up to {seconds / 60:g} min for: {', '.join(map(str, rest))}")
        sleep(SECONDS_BETWEEN_READS)
    return rest
