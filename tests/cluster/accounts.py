"""Users of the test cluster who may do less than its administrator."""

from pathlib import Path

import yaml
from testcluster.client import Client, until
from testcluster.pki import kubeconfig, write_kubeconfig


def account(user: Client, directory: Path, name: str, *rights: str) -> Path:
    """The kubeconfig of a service account that may do this in its namespace.

    A right is ``get,list:pods,secrets`` or ``get:jobs.batch``.
    """
    rules = []
    for right in rights:
        verbs, _, resources = right.partition(":")
        for resource in resources.split(","):
            plural, _, group = resource.partition(".")
            rules.append({"apiGroups": [group], "resources": [plural], "verbs": verbs.split(",")})
    meta = {"name": name, "namespace": user.namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": meta}
    user.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {**rbac, "kind": "Role", "rules": rules},
        {**rbac, "kind": "RoleBinding", "roleRef": role, "subjects": [{"kind": "ServiceAccount", **meta}]},
    )
    last = rules[-1]
    resource, _, part = last["resources"][0].partition("/")
    who = f"--as=system:serviceaccount:{user.namespace}:{name}"
    asked = ["auth", "can-i", last["verbs"][0], resource, f"--subresource={part}", who]
    until(lambda: user.kubectl(*asked).strip() == "yes", "the account's rights")
    return with_token(user, directory / name, user.kubectl("create", "token", name).strip())


def with_token(user: Client, file: Path, token: str) -> Path:
    """The kubeconfig of whoever has a token."""
    cluster = yaml.safe_load(user.cluster.kubeconfig.read_text())["clusters"][0]["cluster"]
    authority = cluster["certificate-authority-data"]
    write_kubeconfig(file, kubeconfig(cluster["server"], authority, {"token": token}, user.namespace))
    return file
