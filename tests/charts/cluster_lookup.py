"""Charts rendered while a cluster holds some objects, which their templates find with ``lookup``.

The cluster is a stand-in that answers what ``lookup`` asks of an API server, no more. What charts do on a
real one is tested there (tests/cluster).
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import helm_python
from rendering import Object, objects

RESOURCES = {
    "v1": {"Namespace": ("namespaces", False), "Secret": ("secrets", True)},
    "apiextensions.k8s.io/v1": {"CustomResourceDefinition": ("customresourcedefinitions", False)},
    "batch/v1": {"Job": ("jobs", True)},
    "kubeflow.org/v2beta1": {"MPIJob": ("mpijobs", True)},
}
"""Kinds of the stand-in by API version: name in the path, and whether they have a namespace."""


def render_live(
    live: list[Object], chart: Path, values: dict[str, Any], release: str = "demo", namespace: str = "default"
) -> list[Object]:
    """The objects of an upgrade while the cluster holds those of ``live``. Raises HelmError."""
    with (
        _cluster(live) as kubeconfig,
        helm_python.Config(kubeconfig_content=kubeconfig, namespace=namespace) as config,
        helm_python.Chart.load(chart) as handle,
    ):
        return objects(config.render(handle, values, name=release, namespace=namespace, is_upgrade=True))


def owned(item: Object, release: str, namespace: str = "default") -> Object:
    """The object with the annotations that Helm gives to those of a release."""
    annotations = {
        **item["metadata"].get("annotations", {}),
        "meta.helm.sh/release-name": release,
        "meta.helm.sh/release-namespace": namespace,
    }
    return {**item, "metadata": {**item["metadata"], "annotations": annotations}}


@contextmanager
def _cluster(live: list[Object]) -> Iterator[str]:
    """The kubeconfig of a cluster with these objects."""
    answers = _answers(live)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            answer = answers.get(self.path.split("?")[0])
            not_found = {"apiVersion": "v1", "kind": "Status", "reason": "NotFound", "code": 404}
            body = json.dumps(answer or not_found).encode()
            self.send_response(200 if answer else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    try:
        yield json.dumps(kubeconfig)
    finally:
        server.shutdown()
        server.server_close()


def _answers(live: list[Object]) -> dict[str, Any]:
    """Answers by path: what kinds there are, and the objects."""
    answers: dict[str, Any] = {}
    for version, kinds in RESOURCES.items():
        resources = [
            {"name": name, "kind": kind, "namespaced": namespaced, "verbs": ["get"]}
            for kind, (name, namespaced) in kinds.items()
        ]
        answers[_root(version)] = {
            "apiVersion": "v1",
            "kind": "APIResourceList",
            "groupVersion": version,
            "resources": resources,
        }
    for item in live:
        name, namespaced = RESOURCES[item["apiVersion"]][item["kind"]]
        place = f"/namespaces/{item['metadata']['namespace']}" if namespaced else ""
        answers[f"{_root(item['apiVersion'])}{place}/{name}/{item['metadata']['name']}"] = item
    return answers


def _root(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"
