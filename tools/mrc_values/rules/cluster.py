"""Names, resources and networks of the cluster."""

import ipaddress
import re
from collections.abc import Iterator

from mrc_cli.findings import Severity

from mrc_values.quantities import quantity
from mrc_values.rules.registry import Context, Problem, rule

_RESOURCES = (
    "maskrcnn.launcher.resources",
    "jupyter.resources",
    "tensorboard.resources",
    "operator.resources",
    "resources",
)
"""Values that are a container's resources, of any chart."""

MAX_JOB_NAME = 48
"""So that <job>-worker-<n> and <job>-launcher-xxxxx keep within the 63 characters of a host name."""


@rule(
    "MRC040",
    Severity.WARNING,
    "the job is called what you call it",
    failing="maskrcnn: {name: Mask_RCNN.Big}",
    passing="maskrcnn: {name: mask-rcnn-big}",
)
def job_keeps_its_name(context: Context) -> Iterator[Problem]:
    """Pods are called <name>-<run>-worker-<n>, a host name: at most 63 lower-case letters, digits and
    hyphens, a letter first. The chart changes a name that does not fit, and the run's folder with it."""
    values = context.values
    name, run = values.get("maskrcnn.name"), values.get("maskrcnn.run")
    for value, text in (("maskrcnn.name", name), ("maskrcnn.run", run)):
        if isinstance(text, str) and text and not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", text):
            yield Problem(
                value,
                f"{text} is no host name, so the job is called otherwise.",
                "Use a-z, 0-9 and hyphens only.",
            )
    if isinstance(name, str) and name[:1].isdigit():
        yield Problem(
            "maskrcnn.name",
            f"{name} starts with a digit, so the job is called m-{name}.",
            "Start with a letter.",
        )
    whole = "-".join(str(part) for part in (name, run) if part not in (None, ""))
    if len(whole) > MAX_JOB_NAME:
        yield Problem(
            "maskrcnn.name" if name else "maskrcnn.run",
            f"{whole} has {len(whole)} characters; with -worker-<n> pods may have 63, so the end is cut.",
            f"Use at most {MAX_JOB_NAME} for name and run together.",
        )


@rule(
    "MRC041",
    Severity.ERROR,
    "resources are quantities",
    failing="maskrcnn: {launcher: {resources: {limits: {memory: 2GB}}}}",
    passing="maskrcnn: {launcher: {resources: {limits: {memory: 2Gi}}}}",
)
def resources_are_quantities(context: Context) -> Iterator[Problem]:
    """Kubernetes counts memory in bytes with k, M, G or Ki, Mi, Gi behind the number, and CPU in cores or
    thousandths (250m). It refuses everything else, and a request above the limit."""
    for place in (f"{resources}.{kind}" for resources in _RESOURCES for kind in ("requests", "limits")):
        amounts = context.values.get(place)
        for name, amount in amounts.items() if isinstance(amounts, dict) else ():
            if quantity(amount) is None and not isinstance(amount, dict | list):
                fix = f"Write it like {'2Gi' if name != 'cpu' else '250m'}."
                yield Problem(f"{place}.{name}", f"{amount} is not a quantity.", fix)


@rule(
    "MRC042",
    Severity.ERROR,
    "requests stay within limits",
    failing="maskrcnn: {launcher: {resources: {requests: {memory: 4Gi}, limits: {memory: 2Gi}}}}",
    passing="maskrcnn: {launcher: {resources: {requests: {memory: 1Gi}, limits: {memory: 2Gi}}}}",
)
def requests_stay_within_limits(context: Context) -> Iterator[Problem]:
    """A request is what the scheduler sets aside and a limit what the pod may use; Kubernetes refuses a pod
    that asks for more than it may use. The chart's default limit counts when you set a request only."""
    for place in _RESOURCES:
        requests, limits = (context.values.get(f"{place}.{kind}") for kind in ("requests", "limits"))
        if not isinstance(requests, dict) or not isinstance(limits, dict):
            continue
        for name, request in requests.items():
            asked, allowed = quantity(request), quantity(limits.get(name))
            if asked is not None and allowed is not None and asked > allowed:
                yield Problem(
                    f"{place}.requests.{name}",
                    f"{request} is more than the limit of {limits[name]}.",
                    f"Lower it, or raise {place}.limits.{name}.",
                )


@rule(
    "MRC050",
    Severity.WARNING,
    "services are not open to everyone",
    failing="global: {source_cidr: 0.0.0.0/0}",
    passing="global: {source_cidr: 203.0.113.0/24}",
)
def services_are_not_open(context: Context) -> Iterator[Problem]:
    """source_cidr says who may reach Jupyter and TensorBoard through a load balancer. Everyone includes
    those who scan the internet for open notebooks."""
    for cidr in _networks(context):
        if cidr in ("0.0.0.0/0", "::/0"):
            yield Problem(
                "global.source_cidr",
                f"{cidr} lets everyone on the internet in.",
                "Set it to the addresses of your office or VPN, for instance 203.0.113.7/32.",
            )


@rule(
    "MRC051",
    Severity.ERROR,
    "source_cidr is a network",
    failing="global: {source_cidr: 203.0.113.7/24}",
    passing="global: {source_cidr: 203.0.113.0/24}",
)
def cidr_is_a_network(context: Context) -> Iterator[Problem]:
    """The load balancer takes networks, with commas between several: an address, a slash and the length of
    its fixed part, all bits after that zero."""
    for text in _networks(context):
        try:
            ipaddress.ip_network(text, strict=True)
            if "/" in text:
                continue
            fix = f"Write it as {text}/{ipaddress.ip_network(text).prefixlen}."
        except ValueError:
            try:
                interface = ipaddress.ip_interface(text)
                alone = f"{interface.ip}/{interface.max_prefixlen}"
                fix = f"Write it as {interface.network}, or as {alone} for the one address."
            except ValueError:
                fix = "Write networks such as 203.0.113.0/24, with commas between several."
        yield Problem("global.source_cidr", f"{text} is not a network.", fix)


def _networks(context: Context) -> list[str]:
    text = "" if context.refused("global.source_cidr") else context.values.text("global.source_cidr")
    parts = text.split(",")
    return [part.strip() for part in parts if part.strip()]
