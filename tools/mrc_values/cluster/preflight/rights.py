"""Checks namespaces, permissions, and the objects that pods refer to."""

from collections.abc import Iterator, Sequence

from mrc_values.cluster import client
from mrc_values.cluster.client import Resource
from mrc_values.cluster.objects import Object, at, items, name, text
from mrc_values.cluster.preflight.planned import ClusterReader, PlannedRelease, Problem

_BUILT_IN = ("system-node-critical", "system-cluster-critical")


def namespaces_exist(planned: PlannedRelease, reader: ClusterReader) -> Iterator[Problem]:
    """The namespaces of the release and of its objects exist."""
    for namespace in sorted({planned.namespace, *planned.namespaces}):
        if not reader.cluster.exists(client.NAMESPACES, namespace):
            setting = "" if namespace == planned.namespace else "global.namespace"
            fix = f"Create it: kubectl create namespace {namespace}. It needs its own claims."
            yield Problem("MRC104", setting, f"the namespace {namespace} does not exist.", fix)


def user_may_create(planned: PlannedRelease, reader: ClusterReader) -> Iterator[Problem]:
    """Helm gets and then creates each object, and would stop halfway when a permission is missing."""
    for (group, plural, namespace), (verbs, why) in _needed(planned).items():
        missing = [verb for verb in verbs if not reader.cluster.allowed(verb, group, plural, namespace)]
        if missing:
            kind = f"{plural}.{group}" if group else plural
            message = (
                f"you are not allowed to {' or '.join(missing)} {kind} in the namespace {namespace} ({why})."
            )
            fix = f"Ask for a role with the verbs {' and '.join(verbs)} on {kind}."
            yield Problem("MRC105", "", message, fix)


def _needed(planned: PlannedRelease) -> dict[tuple[str, str, str], tuple[Sequence[str], str]]:
    """Verbs and their purpose by group, resource and namespace."""
    both = ("get", "create")
    needed: dict[tuple[str, str, str], tuple[Sequence[str], str]] = {
        ("", "secrets", planned.namespace): (both, "Helm stores releases in them")
    }
    for item in planned.objects:
        namespace, kind = text(item, "metadata", "namespace"), text(item, "kind")
        if namespace:
            group = text(item, "apiVersion").rpartition("/")[0]
            needed.setdefault((group, f"{kind.lower()}s", namespace), (both, f"the release has {name(item)}"))
        if kind == "MPIJob":
            needed["batch", "jobs", namespace] = (("get",), "the chart reads the run's launcher")
    return needed


def names_exist(planned: PlannedRelease, reader: ClusterReader) -> Iterator[Problem]:
    """Priority classes, service accounts and Secrets outside of the release that pods refer to exist."""
    own = {(text(item, "kind"), name(item)) for item in planned.objects}
    asked: set[tuple[str, str, str]] = set()
    for pods in planned.pods:
        priority = text(pods.spec, "priorityClassName")
        if priority and priority not in _BUILT_IN and ("priority", priority, "") not in asked:
            asked.add(("priority", priority, ""))
            if not reader.cluster.exists(client.PRIORITY_CLASSES, priority):
                known = ", ".join(name(entry) for entry in reader.cluster.list(client.PRIORITY_CLASSES))
                message = f"the PriorityClass {priority} does not exist, so Kubernetes rejects the pods."
                fix = f'Create it, or set priority_class to "" or one of {known}.'
                yield Problem("MRC140", "maskrcnn.priority_class", message, fix)
        account = text(pods.spec, "serviceAccountName")
        references = [(client.SERVICE_ACCOUNTS, "ServiceAccount", account, pods.section)] if account else []
        references += [(client.SECRETS, "Secret", *result) for result in _secrets(pods.spec, pods.section)]
        for resource, kind, wanted, setting in references:
            key = (kind, wanted, pods.namespace)
            if key not in asked and (kind, wanted) not in own:
                asked.add(key)
                yield from _missing(resource, kind, wanted, pods.namespace, setting, reader)


def _missing(
    resource: Resource, kind: str, wanted: str, namespace: str, setting: str, reader: ClusterReader
) -> Iterator[Problem]:
    if not reader.cluster.exists(resource, wanted, namespace):
        message = (
            f"the {kind} {wanted} does not exist in the namespace {namespace}, but the pods refer to it."
        )
        yield Problem("MRC141", setting, message, "Create it, or use an existing one.")


def _secrets(spec: Object, section: str) -> Iterator[tuple[str, str]]:
    """The Secrets that a pod requires, and the values that probably name them."""
    for item in items(spec, "imagePullSecrets"):
        yield text(item, "name"), section
    for volume in items(spec, "volumes"):
        secret = at(volume, "secret")
        if secret and not secret.get("optional"):
            yield text(secret, "secretName"), section
    for container in items(spec, "containers"):
        for entry in items(container, "env"):
            reference = at(entry, "valueFrom", "secretKeyRef")
            if reference and not reference.get("optional"):
                yield text(reference, "name"), f"{section.split('.')[0]}.env" if section else "env"
