"""Networks that may reach the services."""

import ipaddress
from collections.abc import Iterator

from mrc_cli.findings import Severity

from mrc_values.rules.registry import Context, Violation, rule

_SHORTEST_PREFIX = {4: 8, 6: 16}
"""Prefix length by IP version; a network with a shorter prefix is larger than any organization's."""


@rule(
    "MRC050",
    Severity.WARNING,
    "services are not open to the internet",
    failing="global: {source_cidr: 0.0.0.0/0}",
    passing="global: {source_cidr: 203.0.113.0/24}",
)
def services_are_not_open(context: Context) -> Iterator[Violation]:
    """source_cidr defines which addresses may reach Jupyter and TensorBoard through a load balancer or an
    Ingress. A public network includes people who scan the internet for open notebooks. The chart rejects it
    where it takes effect, unless global.allow_public is true."""
    severity = Severity.WARNING
    if _is_exposed(context) and context.values.get("global.allow_public") is not True:
        severity = Severity.ERROR
    parsed = [_parsed(text) for text in _networks(context)]
    ipv4 = [network for network in parsed if isinstance(network, ipaddress.IPv4Network)]
    ipv6 = [network for network in parsed if isinstance(network, ipaddress.IPv6Network)]
    # Collapsed, because 0.0.0.0/1,128.0.0.0/1 is everyone too.
    networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = [
        *ipaddress.collapse_addresses(ipv4),
        *ipaddress.collapse_addresses(ipv6),
    ]
    for network in networks:
        if network.prefixlen < _SHORTEST_PREFIX[network.version] and not network.is_private:
            extent = (
                f"{network.num_addresses:,} public addresses" if network.prefixlen else "the whole internet"
            )
            yield Violation(
                "global.source_cidr",
                f"{network} allows {extent}.",
                "Set it to the addresses of your office or VPN, such as 203.0.113.7/32"
                + (", or set global.allow_public to true." if severity is Severity.ERROR else "."),
                severity,
            )


@rule(
    "MRC051",
    Severity.ERROR,
    "source_cidr is a network",
    failing="global: {source_cidr: 203.0.113.7/24}",
    passing="global: {source_cidr: 203.0.113.0/24}",
)
def cidr_is_a_network(context: Context) -> Iterator[Violation]:
    """The load balancer expects a comma-separated list of networks in CIDR notation: an address and a
    prefix length, with all bits after the prefix zero."""
    for text in _networks(context):
        try:
            ipaddress.ip_network(text, strict=True)
            if "/" in text:
                continue
            fix = f"Write it as {text}/{ipaddress.ip_network(text).prefixlen}."
        except ValueError:
            try:
                interface = ipaddress.ip_interface(text)
                single = f"{interface.ip}/{interface.max_prefixlen}"
                fix = f"Write it as {interface.network}, or as {single} for this one address."
            except ValueError:
                fix = "Write a network such as 203.0.113.0/24; separate several with commas."
        yield Violation("global.source_cidr", f"{text} is not a network.", fix)


def _networks(context: Context) -> list[str]:
    text = "" if context.rejected("global.source_cidr") else context.values.text("global.source_cidr")
    parts = text.split(",")
    return [part.strip() for part in parts if part.strip()]


def _parsed(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None  # MRC051 reports it


def _is_exposed(context: Context) -> bool:
    """Whether a server that is installed has a load balancer or an Ingress."""
    values = context.values
    for section in ("jupyter", "tensorboard", ""):
        prefix = f"{section}." if section else ""
        if section and values.get(f"{prefix}enabled") is not True:
            continue
        if values.text(f"{prefix}service.type") == "LoadBalancer":
            return True
        if values.get(f"{prefix}ingress.enabled") is True:
            return True
    return False
