"""Checks whether the namespace's quotas and limits allow the pods."""

from collections.abc import Iterator

from mrc_cli.findings import Severity

from mrc_values.cluster import client
from mrc_values.cluster.objects import at, items, name, text
from mrc_values.cluster.preflight import resources
from mrc_values.cluster.preflight.planned import ClusterReader, PlannedRelease, Pods, Problem
from mrc_values.cluster.preflight.resources import Amounts, amounts, shown


def quota_is_enough(planned: PlannedRelease, reader: ClusterReader) -> Iterator[Problem]:
    """The pods of the release together fit into each ResourceQuota of their namespace."""
    for namespace in planned.namespaces:
        pods = [item for item in planned.pods if item.namespace == namespace]
        limits = list(reader.cluster.list(client.LIMIT_RANGES, namespace)) if pods else []
        filled = {key for item in limits for key in _defaults(item)}
        for quota in reader.cluster.list(client.QUOTAS, namespace) if pods else ():
            if items(quota, "spec", "scopes") or at(quota, "spec", "scopeSelector"):
                continue  # applies only to some pods
            hard, used = (amounts(at(quota, "status", part)) for part in ("hard", "used"))
            hard = hard or amounts(at(quota, "spec", "hard"))
            yield from _quota(name(quota), hard, {} if planned.upgrade else used, pods, filled)
        for item in limits:
            yield from _limits(name(item), [dict(limit) for limit in items(item, "spec", "limits")], pods)


def _quota(title: str, hard: Amounts, used: Amounts, pods: list[Pods], filled: set[str]) -> Iterator[Problem]:
    total = _total(pods)
    for resource, limit in sorted(hard.items()):
        kind, bare = _split(resource)
        silent = [
            item
            for item in pods
            if bare in ("cpu", "memory") and bare not in resources.asked(item.spec, kind)
        ]
        if silent and f"{kind}.{bare}" not in filled:
            message = (
                f"the quota {title} limits {resource}, so Kubernetes rejects pods that do not set it: "
                f"{', '.join(item.title for item in silent)}."
            )
            fix = (
                f"Give the namespace a LimitRange with a default for {bare}, "
                f"or remove {resource} from the quota."
            )
            yield Problem("MRC131", _amount_setting(silent[0], bare), message, fix)
            continue
        wanted = total.get(f"{kind}.{bare}", 0.0)
        left = limit - used.get(resource, 0.0)
        if wanted <= left + 1e-6:
            continue
        never = wanted > limit + 1e-6
        message = f"the quota {title} allows {shown(resource, limit)}" + (
            "" if never else f", of which {shown(resource, used[resource])} are in use"
        )
        message += f", and the release requests {shown(resource, wanted)}."
        fix = (
            "Request less, or ask for a larger quota."
            if never
            else "The job will wait until others end. To start sooner, request less."
        )
        setting = "maskrcnn.gpus" if any(item.section == "maskrcnn" for item in pods) else ""
        yield Problem("MRC130", setting, message, fix, None if never else Severity.WARNING)


def _amount_setting(pods: Pods, resource: str) -> str:
    return pods.setting(resource) if pods.section == "maskrcnn" else pods.setting("resources")


def _split(resource: str) -> tuple[str, str]:
    """``limits.cpu`` as kind and resource; ``cpu`` alone means requests."""
    kind, dot, bare = resource.partition(".")
    return (kind, bare) if dot and kind in ("requests", "limits") else ("requests", resource)


def _total(pods: list[Pods]) -> Amounts:
    total: Amounts = {"requests.pods": float(sum(item.count for item in pods))}
    for item in pods:
        for kind in ("requests", "limits"):
            asked = {f"{kind}.{key}": amount for key, amount in resources.asked(item.spec, kind).items()}
            resources.add(total, asked, item.count)
    return total


def _defaults(limit_range: client.Object) -> Iterator[str]:
    """The defaults that a LimitRange sets, as in ``limits.cpu``."""
    for limit in items(limit_range, "spec", "limits"):
        for part, kind in (("default", "limits"), ("defaultRequest", "requests"), ("default", "requests")):
            yield from (f"{kind}.{item}" for item in at(limit, part))


def _limits(title: str, limits: list[client.Object], pods: list[Pods]) -> Iterator[Problem]:
    for limit in limits:
        largest = amounts(at(limit, "max"))
        for item in pods if text(limit, "type") in ("Container", "Pod") else ():
            wanted = {**resources.asked(item.spec), **resources.asked(item.spec, "limits")}
            for resource, allowed in largest.items():
                if wanted.get(resource, 0.0) > allowed + 1e-6:
                    yield Problem(
                        "MRC132",
                        _amount_setting(item, resource) if resource in ("cpu", "memory") else item.section,
                        f"the LimitRange {title} allows a {text(limit, 'type').lower()} "
                        f"{shown(resource, allowed)}, and {item.title} requests "
                        f"{shown(resource, wanted[resource])}.",
                        "Request less, or have the limit changed.",
                    )
