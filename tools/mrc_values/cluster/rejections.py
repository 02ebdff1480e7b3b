"""Why the API server rejects a job's pods, from its messages to the operator or the Job controller."""

import re
from typing import NamedTuple

from mrc_values.cluster.scheduling import Cause


class _Rule(NamedTuple):
    pattern: str
    id: str
    sentence: str
    fix: str


_RULES = [
    _Rule(
        r"exceeded quota: (?P<quota>[^,]+), "
        r"requested: (?P<asked>.*), used: (?P<used>.*), limited: (?P<limit>.*)",
        "quota",
        "the quota {quota} allows {limit}, {used} is in use and the pod requests {asked}",
        "Request less, wait until another job ends, or have the quota raised.",
    ),
    _Rule(
        r"failed quota: (?P<quota>[^:]+): must specify (?P<what>.*)",
        "quota-needs-limits",
        "the quota {quota} accepts only pods that specify {what}",
        "Set the launcher's and the workers' resources (maskrcnn.launcher.resources, memory, cpu).",
    ),
    _Rule(
        r"(?P<what>(?:maximum|minimum) \S+ usage per \w+ is .*|.* max limit to request ratio .*)",
        "limit-range",
        "a LimitRange of the namespace rejects the pod: {what}",
        "Change the resources (maskrcnn.memory, cpu, launcher.resources), or have the LimitRange changed.",
    ),
    _Rule(
        r'violates PodSecurity "(?P<level>[^"]+)": (?P<what>.*)',
        "pod-security",
        "the namespace's Pod Security level {level} rejects the pod: {what}",
        "Set maskrcnn.run_as_user and run_as_group, or use a namespace with the level baseline.",
    ),
    _Rule(
        r"no PriorityClass with name (?P<name>\S+) was found",
        "priority-class-missing",
        "the PriorityClass {name} does not exist",
        "Set maskrcnn.priority_class to one that `kubectl get priorityclasses` lists.",
    ),
    _Rule(
        r"error looking up service account (?P<name>[^:]+): .*not found",
        "service-account-missing",
        "the service account {name} does not exist",
        "Create it. The account default is created shortly after its namespace.",
    ),
    _Rule(
        r"because it is being terminated",
        "namespace-terminating",
        "the namespace is being deleted",
        "Wait until it is gone, and install into another one.",
    ),
    _Rule(
        r'admission webhook "(?P<name>[^"]+)" denied the request: (?P<what>.*)',
        "admission-webhook",
        "the cluster's policy {name} rejects the pod: {what}",
        "Follow the policy, or ask the cluster's administrators.",
    ),
    _Rule(
        r"ValidatingAdmissionPolicy '(?P<name>[^']+)' .*denied request: (?P<what>.*)",
        "admission-policy",
        "the cluster's policy {name} rejects the pod: {what}",
        "Follow the policy, or ask the cluster's administrators.",
    ),
    _Rule(
        r'failed calling webhook "(?P<name>[^"]+)": (?P<what>.*)',
        "webhook-down",
        "the cluster's webhook {name} does not respond: {what}",
        "Ask the cluster's administrators.",
    ),
    _Rule(
        r'namespaces "(?P<name>[^"]+)" not found',
        "namespace-missing",
        "the namespace {name} does not exist",
        "Create it, and install again.",
    ),
    _Rule(
        r"cannot (?P<what>\w+ resource .*)",
        "operator-rights",
        "the operator is not allowed to {what}",
        "Upgrade the chart mpijob, which brings the operator's rights.",
    ),
]


def explain(message: str) -> Cause:
    """The cause of a rejection such as ``pods "x" is forbidden: exceeded quota: gpus, requested: ...``."""
    for rule in _RULES:
        if match := re.search(rule.pattern, message, re.DOTALL):
            words = {key: _short(text) for key, text in match.groupdict().items()}
            return Cause(rule.id, rule.sentence.format(**words), rule.fix)
    what = re.sub(r"^.*?: (?=\S)", "", message, count=1) if " failed: " in message else message
    return Cause("refused", f"the API server rejects the pod: {_short(what)}", "")


def _short(text: str) -> str:
    flat = " ".join(text.split()).rstrip(".")
    return flat if len(flat) <= 240 else f"{flat[:237]}..."
