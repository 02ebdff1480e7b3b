"""Whether the namespace's quota and limits let the pods in."""

from collections.abc import Iterator

from mrc_cli.findings import Severity

from mrc_values.cluster import client
from mrc_values.cluster.objects import at, items, name, text
from mrc_values.cluster.preflight import resources
from mrc_values.cluster.preflight.planned import Planned, Pods, Problem, Seen
from mrc_values.cluster.preflight.resources import Amounts, amounts, shown


def quota_is_enough(planned: Planned, seen: Seen) -> Iterator[Problem]:
    """Each ResourceQuota of each namespace, against all pods of the release together."""
    for namespace in planned.namespaces:
        pods = [each for each in planned.pods if each.namespace == namespace]
        limits = list(seen.cluster.list(client.LIMIT_RANGES, namespace)) if pods else []
        filled = {key for each in limits for key in _defaults(each)}
        for quota in seen.cluster.list(client.QUOTAS, namespace) if pods else ():
            if items(quota, "spec", "scopes") or at(quota, "spec", "scopeSelector"):
                continue  # of some pods only
            hard, used = (amounts(at(quota, "status", part)) for part in ("hard", "used"))
            hard = hard or amounts(at(quota, "spec", "hard"))
            yield from _quota(name(quota), hard, {} if planned.upgrade else used, pods, filled)
        for each in limits:
            yield from _limits(name(each), [dict(limit) for limit in items(each, "spec", "limits")], pods)


def _quota(title: str, hard: Amounts, used: Amounts, pods: list[Pods], filled: set[str]) -> Iterator[Problem]:
    total = _total(pods)
    for resource, limit in sorted(hard.items()):
        kind, bare = _split(resource)
        silent = [
            each
            for each in pods
            if bare in ("cpu", "memory") and bare not in resources.asked(each.spec, kind)
        ]
        if silent and f"{kind}.{bare}" not in filled:
            message = (
                f"the quota {title} limits {resource}, so Kubernetes refuses pods that do not set it: "
                f"{', '.join(each.title for each in silent)}."
            )
            fix = (
                f"Give the namespace a LimitRange with a default for {bare}, "
                f"or take {resource} out of the quota."
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
        message += f", and the release asks for {shown(resource, wanted)}."
        fix = (
            "Ask for less, or for a larger quota." if never else "It waits until others end, or ask for less."
        )
        setting = "maskrcnn.gpus" if any(each.section == "maskrcnn" for each in pods) else ""
        yield Problem("MRC130", setting, message, fix, None if never else Severity.WARNING)


def _amount_setting(pods: Pods, resource: str) -> str:
    return pods.setting(resource) if pods.section == "maskrcnn" else pods.setting("resources")


def _split(resource: str) -> tuple[str, str]:
    """``limits.cpu`` as kind and resource; ``cpu`` alone is what is requested."""
    kind, dot, bare = resource.partition(".")
    return (kind, bare) if dot and kind in ("requests", "limits") else ("requests", resource)


def _total(pods: list[Pods]) -> Amounts:
    total: Amounts = {"requests.pods": float(sum(each.count for each in pods))}
    for each in pods:
        for kind in ("requests", "limits"):
            asked = {f"{kind}.{key}": amount for key, amount in resources.asked(each.spec, kind).items()}
            resources.add(total, asked, each.count)
    return total


def _defaults(limit_range: client.Object) -> Iterator[str]:
    """What a LimitRange fills in, as ``limits.cpu``."""
    for limit in items(limit_range, "spec", "limits"):
        for part, kind in (("default", "limits"), ("defaultRequest", "requests"), ("default", "requests")):
            yield from (f"{kind}.{each}" for each in at(limit, part))


def _limits(title: str, limits: list[client.Object], pods: list[Pods]) -> Iterator[Problem]:
    for limit in limits:
        largest = amounts(at(limit, "max"))
        for each in pods if text(limit, "type") in ("Container", "Pod") else ():
            wanted = {**resources.asked(each.spec), **resources.asked(each.spec, "limits")}
            for resource, allowed in largest.items():
                if wanted.get(resource, 0.0) > allowed + 1e-6:
                    yield Problem(
                        "MRC132",
                        _amount_setting(each, resource) if resource in ("cpu", "memory") else each.section,
                        f"the LimitRange {title} allows a {text(limit, 'type').lower()} "
                        f"{shown(resource, allowed)}, and {each.title} asks for "
                        f"{shown(resource, wanted[resource])}.",
                        "Ask for less, or for another limit.",
                    )
