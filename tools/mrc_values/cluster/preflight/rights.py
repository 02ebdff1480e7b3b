"""Namespaces, rights, and the names that pods refer to."""

from collections.abc import Iterator, Sequence

from mrc_values.cluster import client
from mrc_values.cluster.client import Resource
from mrc_values.cluster.objects import Object, at, items, name, text
from mrc_values.cluster.preflight.planned import Planned, Problem, Seen

_BUILT_IN = ("system-node-critical", "system-cluster-critical")


def namespaces_exist(planned: Planned, seen: Seen) -> Iterator[Problem]:
    """The release's own and those of its objects."""
    for namespace in sorted({planned.namespace, *planned.namespaces}):
        if not seen.cluster.exists(client.NAMESPACES, namespace):
            setting = "" if namespace == planned.namespace else "global.namespace"
            fix = f"Create it: kubectl create namespace {namespace}. It needs claims of its own."
            yield Problem("MRC104", setting, f"there is no namespace {namespace}.", fix)


def user_may_create(planned: Planned, seen: Seen) -> Iterator[Problem]:
    """Helm looks for each object and then creates it, and stops in the middle when a right is missing."""
    for (group, plural, namespace), (verbs, why) in _needed(planned).items():
        missing = [verb for verb in verbs if not seen.cluster.allowed(verb, group, plural, namespace)]
        if missing:
            kind = f"{plural}.{group}" if group else plural
            message = f"you may not {' or '.join(missing)} {kind} in the namespace {namespace} ({why})."
            fix = f"Ask for a role with the verbs {' and '.join(verbs)} on {kind}."
            yield Problem("MRC105", "", message, fix)


def _needed(planned: Planned) -> dict[tuple[str, str, str], tuple[Sequence[str], str]]:
    """Verbs by group, resource and namespace, and what for."""
    both = ("get", "create")
    needed: dict[tuple[str, str, str], tuple[Sequence[str], str]] = {
        ("", "secrets", planned.namespace): (both, "Helm keeps its releases in them")
    }
    for item in planned.objects:
        namespace, kind = text(item, "metadata", "namespace"), text(item, "kind")
        if namespace:
            group = text(item, "apiVersion").rpartition("/")[0]
            needed.setdefault((group, f"{kind.lower()}s", namespace), (both, f"the release has {name(item)}"))
        if kind == "MPIJob":
            needed["batch", "jobs", namespace] = (("get",), "the chart looks at the run's launcher")
    return needed


def names_exist(planned: Planned, seen: Seen) -> Iterator[Problem]:
    """Priority classes, service accounts and secrets that pods name and the release does not bring."""
    own = {(text(item, "kind"), name(item)) for item in planned.objects}
    asked: set[tuple[str, str, str]] = set()
    for pods in planned.pods:
        priority = text(pods.spec, "priorityClassName")
        if priority and priority not in _BUILT_IN and ("priority", priority, "") not in asked:
            asked.add(("priority", priority, ""))
            if not seen.cluster.exists(client.PRIORITY_CLASSES, priority):
                known = ", ".join(name(each) for each in seen.cluster.list(client.PRIORITY_CLASSES))
                message = f"there is no PriorityClass {priority}, so Kubernetes refuses the pods."
                fix = f'Create it, or set priority_class to "" or one of {known}.'
                yield Problem("MRC140", "maskrcnn.priority_class", message, fix)
        account = text(pods.spec, "serviceAccountName")
        references = [(client.SERVICE_ACCOUNTS, "ServiceAccount", account, pods.section)] if account else []
        references += [(client.SECRETS, "Secret", *found) for found in _secrets(pods.spec, pods.section)]
        for resource, kind, wanted, setting in references:
            key = (kind, wanted, pods.namespace)
            if key not in asked and (kind, wanted) not in own:
                asked.add(key)
                yield from _missing(resource, kind, wanted, pods.namespace, setting, seen)


def _missing(
    resource: Resource, kind: str, wanted: str, namespace: str, setting: str, seen: Seen
) -> Iterator[Problem]:
    if not seen.cluster.exists(resource, wanted, namespace):
        message = f"there is no {kind} {wanted} in the namespace {namespace}, which the pods name."
        yield Problem("MRC141", setting, message, "Create it, or name one that is there.")


def _secrets(spec: Object, section: str) -> Iterator[tuple[str, str]]:
    """Secrets that a pod cannot start without, and the value that they probably come from."""
    for each in items(spec, "imagePullSecrets"):
        yield text(each, "name"), section
    for volume in items(spec, "volumes"):
        secret = at(volume, "secret")
        if secret and not secret.get("optional"):
            yield text(secret, "secretName"), section
    for container in items(spec, "containers"):
        for entry in items(container, "env"):
            reference = at(entry, "valueFrom", "secretKeyRef")
            if reference and not reference.get("optional"):
                yield text(reference, "name"), f"{section.split('.')[0]}.env" if section else "env"
