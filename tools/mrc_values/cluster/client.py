"""The only module that calls the Kubernetes API: the official client, with plain dicts as answers.

Lists are read in pages, so that a thousand nodes are no burden for the server.
"""

import json
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from mrc_cli.errors import ServiceError

Object = dict[str, Any]

TIMEOUT = (5.0, 15.0)
"""Seconds to connect, and to wait for data."""
PAGE_SIZE = 500
"""Objects in one response."""
MAX_LOG_BYTES = 4 * 2**20
"""Bytes of a log that are kept in memory; hundreds of ranks print many lines at the start."""


class ClusterError(ServiceError):
    """The cluster could not be reached, or denied a request."""


class Unreachable(ClusterError):
    """The cluster did not respond, or not in time; trying again later may succeed."""


class Forbidden(ClusterError):
    """The user is not allowed to do this (403). ``reason`` is the message without the server's part."""

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason or message


class NotFound(ClusterError):
    """The object or its kind does not exist (404)."""


@dataclass(frozen=True)
class Resource:
    """A kind of object: its path in the API, and whether it is namespaced."""

    path: str
    name: str
    namespaced: bool = True

    def url(self, namespace: str | None = None, name: str = "", subresource: str = "") -> str:
        """The path of the list or of one object; namespace None means all namespaces."""
        where = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        tail = "".join(f"/{part}" for part in (name, subresource) if part)
        return f"{self.path}{where}/{self.name}{tail}"


PODS = Resource("/api/v1", "pods")
NODES = Resource("/api/v1", "nodes", namespaced=False)
EVENTS = Resource("/api/v1", "events")
SERVICES = Resource("/api/v1", "services")
INGRESSES = Resource("/apis/networking.k8s.io/v1", "ingresses")
SECRETS = Resource("/api/v1", "secrets")
SERVICE_ACCOUNTS = Resource("/api/v1", "serviceaccounts")
NAMESPACES = Resource("/api/v1", "namespaces", namespaced=False)
CLAIMS = Resource("/api/v1", "persistentvolumeclaims")
VOLUMES = Resource("/api/v1", "persistentvolumes", namespaced=False)
QUOTAS = Resource("/api/v1", "resourcequotas")
LIMIT_RANGES = Resource("/api/v1", "limitranges")
DEPLOYMENTS = Resource("/apis/apps/v1", "deployments")
STORAGE_CLASSES = Resource("/apis/storage.k8s.io/v1", "storageclasses", namespaced=False)
PRIORITY_CLASSES = Resource("/apis/scheduling.k8s.io/v1", "priorityclasses", namespaced=False)
CRDS = Resource("/apis/apiextensions.k8s.io/v1", "customresourcedefinitions", namespaced=False)
MPIJOBS = Resource("/apis/kubeflow.org/v2beta1", "mpijobs")
LOCAL_QUEUES = Resource("/apis/kueue.x-k8s.io/v1beta1", "localqueues")
NODE_POOLS = Resource("/apis/karpenter.sh/v1", "nodepools", namespaced=False)


@dataclass(frozen=True)
class Cluster:
    """A cluster, accessed with one user's credentials.

    ``namespace`` is that of the context, ``default`` if it has none. Every method raises ClusterError, whose
    message is one line that says what to do.
    """

    context: str
    server: str
    namespace: str
    kubeconfig: str
    api: Any
    """The official client's ApiClient, for streams (exec, port-forward) through its CoreV1Api."""

    def list(
        self, resource: Resource, namespace: str | None = None, labels: str = "", fields: str = ""
    ) -> Iterator[Object]:
        """The objects of a kind that match the selectors; namespace None means all namespaces."""
        query = {"limit": str(PAGE_SIZE), "labelSelector": labels, "fieldSelector": fields}
        url, doing = resource.url(namespace), _doing("list", resource, namespace)
        while True:
            answer = self.json(url, query, doing)
            yield from answer.get("items") or ()
            rest = (answer.get("metadata") or {}).get("continue")
            if not rest:
                return
            query["continue"] = rest

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        """An object. Raises NotFound."""
        return self.json(
            resource.url(namespace, name), {}, f"{_doing('get', resource, namespace)}, name {name}"
        )

    def find(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        """An object, or None when it, its namespace or its kind does not exist."""
        try:
            return self.get(resource, name, namespace)
        except NotFound:
            return None

    def exists(self, resource: Resource, name: str, namespace: str | None = None) -> bool:
        """Whether an object exists. Reads only its metadata, never the content of a Secret."""
        accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
        doing = f"{_doing('get', resource, namespace)}, name {name}"
        try:
            with self.stream(resource.url(namespace, name), {}, doing, accept=accept) as answer:
                return bool(answer.data)
        except NotFound:
            return False

    def create(self, resource: Resource, body: Object, namespace: str | None = None) -> None:
        """Create an object. Raises ClusterError, also when it exists."""
        doing = _doing("create", resource, namespace)
        with self.stream(resource.url(namespace), {}, doing, body=body):
            pass

    def delete(self, resource: Resource, name: str, namespace: str | None = None) -> None:
        """Ask for the deletion of an object, which its finalizers may delay; one that is gone is no error."""
        doing = f"{_doing('delete', resource, namespace)}, name {name}"
        try:
            with self.stream(resource.url(namespace, name), {}, doing, method="DELETE"):
                pass
        except NotFound:
            pass

    def served(self, version: str) -> Sequence[Object] | None:
        """The kinds of a version such as ``/apis/kubeflow.org/v2beta1``, or None when it is not served."""
        try:
            answer = self.json(version, doing=f"get {version}")
        except NotFound:
            return None
        kinds: Sequence[Object] = answer.get("resources") or ()
        return kinds

    def group(self, name: str) -> Sequence[str]:
        """The served versions of an API group, the preferred one first; empty without the group."""
        try:
            answer = self.json(f"/apis/{name}", doing=f"get /apis/{name}")
        except NotFound:
            return ()
        preferred = (answer.get("preferredVersion") or {}).get("version")
        versions = [item["version"] for item in answer.get("versions") or ()]
        return sorted(versions, key=lambda version: version != preferred)

    def version(self) -> str:
        """The server's version, such as ``v1.34.2-eks-1a2b3c4``."""
        return str(self.json("/version", doing="get /version").get("gitVersion", ""))

    def allowed(self, verb: str, group: str, resource: str, namespace: str) -> bool:
        """Whether the user is allowed to do this, as with ``kubectl auth can-i``."""
        wanted = {"verb": verb, "group": group, "resource": resource, "namespace": namespace}
        url, kind = "/apis/authorization.k8s.io/v1", "SelfSubjectAccessReview"
        body = {"apiVersion": url[6:], "kind": kind, "spec": {"resourceAttributes": wanted}}
        doing = "create selfsubjectaccessreviews"
        with self.stream(f"{url}/{kind.lower()}s", {}, doing, body=body) as answer:
            return bool(json.loads(answer.data)["status"]["allowed"])

    def log(self, namespace: str, pod: str, **query: str) -> str:
        """The log of a pod, limited by the query (``container``, ``tailLines``, ``previous``, …).

        Of a longer log only the last MAX_LOG_BYTES are returned.
        """
        doing = f"get pods/log in namespace {namespace}, name {pod}"
        with self.stream(PODS.url(namespace, pod, "log"), query, doing) as answer:
            end = b""
            for piece in answer.stream(amt=2**20):
                end = (end + piece)[-MAX_LOG_BYTES:]
            return end.decode(errors="replace")

    def json(self, url: str, query: Mapping[str, str] | None = None, doing: str = "") -> Object:
        """The response to GET at a path. ``doing`` describes the request in errors, as in "list pods"."""
        # The pods of a thousand nodes are 19 MB, but only 1 MB compressed.
        with self.stream(url, query or {}, doing or f"get {url}", encoding="gzip") as answer:
            try:
                body: Object = json.loads(answer.data)
            except ValueError:
                raise ClusterError(
                    f"{self.server}: does not answer like a Kubernetes API server. Check the address in "
                    f"{self.kubeconfig}, and for a proxy in between."
                ) from None
            return body

    @contextmanager
    def stream(
        self,
        url: str,
        query: Mapping[str, str],
        doing: str,
        timeout: tuple[float, float | None] = TIMEOUT,
        accept: str = "application/json, */*",
        encoding: str = "identity",
        body: Object | None = None,
        method: str = "",
    ) -> Iterator[Any]:
        """The urllib3 response before it is read, as for following a log.

        ``method`` is POST when there is a body, else GET, unless it is given.
        """
        with self._mapped(doing):
            method, full, headers, _, _ = self.api.param_serialize(
                method or ("POST" if body else "GET"),
                url,
                query_params=[(name, value) for name, value in query.items() if value],
                header_params={
                    "Accept": accept,
                    "Accept-Encoding": encoding,
                    "Content-Type": "application/json",
                },
                auth_settings=["BearerToken"],
            )
            answer = self.api.rest_client.request(
                method, full, headers=headers, body=body, _request_timeout=timeout
            ).response
            try:
                if answer.status >= 400:
                    raise self._refusal(answer.status, answer.data, doing)
                yield answer
            finally:
                answer.release_conn()

    @contextmanager
    def _mapped(self, doing: str) -> Iterator[None]:
        import urllib3
        from kubernetes.client.exceptions import ApiException

        try:
            yield
        except ApiException as error:
            if error.status:
                raise self._refusal(error.status, error.body or "", doing) from None
            raise Unreachable(
                f"{self.server}: its certificate is not trusted ({_last_line(error.reason)}). "
                f"Check the cluster's certificate-authority in {self.kubeconfig}."
            ) from None
        except urllib3.exceptions.TimeoutError as error:
            if isinstance(error, urllib3.exceptions.NewConnectionError):
                raise self._away(error) from None
            raise Unreachable(
                f"{self.server}: no answer in time, to {doing}. Check the network or VPN, and that "
                f"context {self.context} names the right cluster."
            ) from None
        except urllib3.exceptions.HTTPError as error:
            raise self._away(error) from None

    def _away(self, error: Exception) -> Unreachable:
        return Unreachable(
            f"{self.server}: cannot be reached ({_last_line(str(error))}). Check the network or VPN, "
            f"and that context {self.context} names the right cluster."
        )

    def _refusal(self, status: int, body: bytes | str, doing: str) -> ClusterError:
        message = _message(body)
        if status == 401:
            return ClusterError(
                f"{self.server}: rejects the credentials of context {self.context} (401). Log in "
                "again; on EKS: aws eks update-kubeconfig --name CLUSTER."
            )
        if status == 403:
            verb, _, what = doing.partition(" ")
            resource = what.split(" in ")[0].split(",")[0]
            reason = (
                f"you are not allowed to {doing} (403). Ask for a role with the verb {verb} on {resource}."
            )
            return Forbidden(f"{self.server}: {reason} The server: {message}", reason)
        if status == 404:
            return NotFound(f"{self.server}: cannot {doing} (404): {message}")
        if status in (429, 500, 502, 503, 504):
            message = message.removesuffix(", please try again")
            return Unreachable(f"{self.server}: cannot {doing} now ({status}): {message}. Try again.")
        return ClusterError(f"{self.server}: cannot {doing} ({status}): {message}")


def connect(context: str | None = None, kubeconfig: Path | None = None) -> Cluster:
    """The cluster of a context in the user's kubeconfig, by default the current one.

    ``kubeconfig`` takes precedence over $KUBECONFIG and ~/.kube/config. Sends no request to the cluster yet.
    Raises ClusterError.
    """
    path = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG") or "~/.kube/config"
    library = _library()
    import yaml

    loading: Any = library.config.kube_config
    try:
        merged = loading.KubeConfigMerger(path).config
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, TypeError) as error:
        raise ClusterError(f"{path}: cannot be read as a kubeconfig ({_last_line(str(error))}).") from None
    except library.config.ConfigException as error:
        raise ClusterError(f"{path}: {error}.") from None
    if merged is None:
        raise ClusterError(
            f"{path}: kubeconfig not found. Set KUBECONFIG, or create one; on EKS: "
            "aws eks update-kubeconfig --name CLUSTER."
        )
    name = context or merged.value.get("current-context")
    entries = [item.value for item in merged.value.get("contexts") or ()]
    contexts = {item.get("name"): item.get("context") or {} for item in entries}
    if name not in contexts:
        known = ", ".join(map(str, contexts)) or "none"
        problem = f"no context {name}" if name else "no current context"
        raise ClusterError(f"{path}: {problem}. Available contexts: {known}. Select one with --context.")
    configuration = library.client.Configuration()
    configuration.retries = False
    try:
        with _login_errors(name):
            loader = loading.KubeConfigLoader(merged, active_context=name, config_base_path=None)
            loader.load_and_set(configuration)
    except library.config.ConfigException as error:
        raise ClusterError(f"{path}: context {name}: {error}.") from None
    namespace = contexts[name].get("namespace") or "default"
    api = library.client.ApiClient(configuration)
    return Cluster(name, configuration.host, namespace, path, api)


def _library() -> ModuleType:
    """The official client, without kubernetes-validate: it would be imported unused, which takes a second."""
    blocked = "kubernetes_validate" not in sys.modules
    if blocked:
        sys.modules["kubernetes_validate"] = None  # type: ignore[assignment]
    try:
        import kubernetes
    finally:
        if blocked:
            del sys.modules["kubernetes_validate"]
    return kubernetes


@contextmanager
def _login_errors(context: str) -> Iterator[None]:
    """Raise ClusterError when a context's login program fails, which the client only logs."""
    errors: list[str] = []

    class ErrorCollector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            errors.append(record.getMessage())

    collector = ErrorCollector(logging.ERROR)
    logging.getLogger().addHandler(collector)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(collector)
    if errors:
        raise ClusterError(f"context {context}: its login program failed: {' '.join(errors[-1].split())}")


def _doing(verb: str, resource: Resource, namespace: str | None) -> str:
    if not resource.namespaced:
        return f"{verb} {resource.name}"
    where = f"namespace {namespace}" if namespace else "all namespaces"
    return f"{verb} {resource.name} in {where}"


def _message(body: bytes | str) -> str:
    """The message in the server's Status object, or the beginning of any other body."""
    text = body.decode(errors="replace") if isinstance(body, bytes) else body
    try:
        return str(json.loads(text)["message"]).strip().rstrip(".")
    except (ValueError, KeyError, TypeError):
        return " ".join(text.split())[:200] or "no reason given"


def _last_line(text: str) -> str:
    """The last part of a chain of messages, which is the cause."""
    last = re.sub(r"\[Errno -?\d+\] ", "", " ".join(text.strip().splitlines()[-1:]).rpartition(": ")[2])
    return last.strip(" .)(\"'") or "no reason given"
