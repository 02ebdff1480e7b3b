"""Names and resources of Kubernetes objects."""

import re
from collections.abc import Iterator

from mrc_cli.findings import Severity

from mrc_values.quantities import quantity
from mrc_values.rules.registry import Context, Violation, rule

_RESOURCES = (
    "maskrcnn.launcher.resources",
    "jupyter.resources",
    "tensorboard.resources",
    "operator.resources",
    "resources",
)
"""Values of any chart that hold the resources of a container."""

MAX_JOB_NAME = 48
"""Leaves room for -worker-<n> and -launcher-xxxxx within the 63 characters of a host name."""


@rule(
    "MRC040",
    Severity.WARNING,
    "the job keeps its name",
    failing="maskrcnn: {name: Mask_RCNN.Big}",
    passing="maskrcnn: {name: mask-rcnn-big}",
)
def job_keeps_its_name(context: Context) -> Iterator[Violation]:
    """Pods are named <name>-<run>-worker-<n>, which must be a host name: at most 63 lower-case letters,
    digits and hyphens, starting with a letter. The chart changes any other name, and the directory of the
    run with it."""
    values = context.values
    name, run = values.get("maskrcnn.name"), values.get("maskrcnn.run")
    for value, text in (("maskrcnn.name", name), ("maskrcnn.run", run)):
        if isinstance(text, str) and text and not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", text):
            yield Violation(
                value,
                f"{text} is not a valid host name, so the chart changes it.",
                "Use only a-z, 0-9 and hyphens.",
            )
    if isinstance(name, str) and name[:1].isdigit():
        yield Violation(
            "maskrcnn.name",
            f"{name} starts with a digit, so the chart changes it to m-{name}.",
            "Start with a letter.",
        )
    full = "-".join(str(part) for part in (name, run) if part not in (None, ""))
    if len(full) > MAX_JOB_NAME:
        yield Violation(
            "maskrcnn.name" if name else "maskrcnn.run",
            f"{full} has {len(full)} characters; with -worker-<n> it would exceed 63, so the chart "
            "truncates it.",
            f"Use at most {MAX_JOB_NAME} characters for name and run together.",
        )


@rule(
    "MRC041",
    Severity.ERROR,
    "resources are valid quantities",
    failing="maskrcnn: {launcher: {resources: {limits: {memory: 2GB}}}}",
    passing="maskrcnn: {launcher: {resources: {limits: {memory: 2Gi}}}}",
)
def resources_are_quantities(context: Context) -> Iterator[Violation]:
    """Kubernetes measures memory in bytes, with the suffixes k, M, G or Ki, Mi, Gi, and CPU in cores or
    thousandths of a core (250m). It rejects anything else."""
    for value in (f"{resources}.{kind}" for resources in _RESOURCES for kind in ("requests", "limits")):
        amounts = context.values.get(value)
        for name, amount in amounts.items() if isinstance(amounts, dict) else ():
            if quantity(amount) is None and not isinstance(amount, dict | list):
                fix = f"Write it like {'2Gi' if name != 'cpu' else '250m'}."
                yield Violation(f"{value}.{name}", f"{amount} is not a valid quantity.", fix)


@rule(
    "MRC042",
    Severity.ERROR,
    "requests do not exceed limits",
    failing="maskrcnn: {launcher: {resources: {requests: {memory: 4Gi}, limits: {memory: 2Gi}}}}",
    passing="maskrcnn: {launcher: {resources: {requests: {memory: 1Gi}, limits: {memory: 2Gi}}}}",
)
def requests_stay_within_limits(context: Context) -> Iterator[Violation]:
    """A request is the amount that the scheduler reserves, a limit the most that the pod may use.
    Kubernetes rejects a pod whose request exceeds its limit. If you set only a request, the chart's
    default limit applies."""
    for value in _RESOURCES:
        requests, limits = (context.values.get(f"{value}.{kind}") for kind in ("requests", "limits"))
        if not isinstance(requests, dict) or not isinstance(limits, dict):
            continue
        for name, request in requests.items():
            asked, allowed = quantity(request), quantity(limits.get(name))
            if asked is not None and allowed is not None and asked > allowed:
                yield Violation(
                    f"{value}.requests.{name}",
                    f"{request} is more than the limit of {limits[name]}.",
                    f"Lower it, or raise {value}.limits.{name}.",
                )


@rule(
    "MRC043",
    Severity.WARNING,
    "the number of restarts is limited",
    failing="maskrcnn: {backoff_limit: 2000}",
    passing="maskrcnn: {backoff_limit: 2}",
)
def restarts_are_limited(context: Context) -> Iterator[Violation]:
    """Kubernetes starts a failed launcher again up to backoff_limit times, with a pause of at most six
    minutes. A training that fails because of its data or settings fails every time, while its workers keep
    their nodes."""
    limit = context.values.integer("maskrcnn.backoff_limit")
    if limit is not None and limit > MAX_RESTARTS and not context.rejected("maskrcnn.backoff_limit"):
        yield Violation(
            "maskrcnn.backoff_limit",
            f"a launcher that always fails would be started {limit + 1:,} times, for up to "
            f"{limit / 10:,.0f} hours of GPU nodes.",
            f"Set it to {MAX_RESTARTS} or less.",
        )


MAX_RESTARTS = 20
"""More restarts than evicted pods and lost nodes usually cause in one training."""


@rule(
    "MRC044",
    Severity.WARNING,
    "pods have time to save",
    failing="maskrcnn: {termination_grace_period_seconds: 5}",
    passing="maskrcnn: {termination_grace_period_seconds: 60}",
)
def pods_have_time_to_save(context: Context) -> Iterator[Violation]:
    """When a pod is deleted or its node drained, all ranks finish their step and rank 0 writes a checkpoint
    to the shared file system. What is left when the grace period is over is killed, and the run resumes from
    an older checkpoint."""
    seconds = context.values.integer("maskrcnn.termination_grace_period_seconds")
    if seconds is not None and 0 < seconds < MIN_GRACE:
        yield Violation(
            "maskrcnn.termination_grace_period_seconds",
            f"{seconds} s may not be enough for a step and a checkpoint.",
            f"Set it to {MIN_GRACE} or more.",
        )


MIN_GRACE = 30
"""Seconds: a step, and a checkpoint of 500 MB at 50 MB/s, the base throughput of a small EFS file system."""
