"""An upgrade never changes a run that exists: Helm asks the cluster, here a stand-in for its API server."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import helm_python
import pytest
import yaml
from maskrcnn_chart import CHART, run

API = "/apis/kubeflow.org/v2beta1"
Upgrade = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def upgrade() -> Iterator[Upgrade]:
    """``upgrade(live, **values)``: the job that Helm renders while the cluster has the job ``live``."""
    answers: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            answer = answers.get(self.path.split("?")[0])
            status = 200 if answer else 404
            not_found = {"apiVersion": "v1", "kind": "Status", "reason": "NotFound", "code": 404}
            body = json.dumps(answer or not_found).encode()
            self.send_response(status)
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

    def rendered(live: dict[str, Any] | None, release: str = "demo", **maskrcnn: Any) -> dict[str, Any]:
        resource = {"name": "mpijobs", "kind": "MPIJob", "namespaced": True, "verbs": ["get"]}
        answers.clear()
        answers[API] = {
            "apiVersion": "v1",
            "kind": "APIResourceList",
            "groupVersion": "kubeflow.org/v2beta1",
            "resources": [resource],
        }
        if live:
            place = live["metadata"]
            answers[f"{API}/namespaces/{place['namespace']}/mpijobs/{place['name']}"] = live
        values = {"maskrcnn": {"image": "trainer:1", **maskrcnn}}
        with (
            helm_python.Config(kubeconfig_content=json.dumps(kubeconfig), namespace="default") as config,
            helm_python.Chart.load(CHART) as chart,
        ):
            texts = config.render(chart, values, name=release, namespace="default", is_upgrade=True)
        job: dict[str, Any] = yaml.safe_load(texts["maskrcnn/templates/mpijob.yaml"])
        return job

    yield rendered
    server.shutdown()
    server.server_close()


def live(release: str = "demo", **maskrcnn: Any) -> dict[str, Any]:
    """The job of an installed release, with the annotations that Helm adds."""
    job = run(release=release, **maskrcnn).job
    job["metadata"]["annotations"]["meta.helm.sh/release-name"] = release
    return job


@pytest.mark.parametrize(
    "change",
    [{"steps_per_epoch": 100}, {"image": "trainer:2"}, {"gpus": 32}, {"env": {"NCCL_DEBUG": "WARN"}}],
    ids=str,
)
def test_changed_settings_of_a_run_that_exists_are_refused(upgrade: Upgrade, change: dict[str, Any]) -> None:
    with pytest.raises(helm_python.HelmError) as refused:
        upgrade(live(), **change)
    assert (
        "the run kubeflow/demo exists with other settings, and a job that exists cannot take new ones: "
        "set maskrcnn.run for a new run, or delete and install to resume with other settings"
    ) in str(refused.value)


def test_an_upgrade_that_changes_nothing_of_the_job_passes(upgrade: Upgrade) -> None:
    before = live(mode_mask="True")
    after = upgrade(before, mode_mask=True)
    assert after["spec"] == before["spec"]


def test_changed_settings_pass_with_a_new_run(upgrade: Upgrade) -> None:
    assert upgrade(live(), steps_per_epoch=100, run="b")["metadata"]["name"] == "demo-b"


def test_changed_settings_pass_when_the_run_is_gone(upgrade: Upgrade) -> None:
    assert upgrade(None, steps_per_epoch=100)["metadata"]["name"] == "demo"


def test_a_job_of_another_release_is_left_to_helm_which_refuses_it(upgrade: Upgrade) -> None:
    assert upgrade(live("other", name="maskrcnn"), name="maskrcnn", steps_per_epoch=100)


def test_the_hash_is_of_the_settings_alone() -> None:
    def digest(**values: Any) -> str:
        return str(run(**values).job["metadata"]["annotations"]["mask-rcnn/settings-sha256"])

    assert digest() == digest()
    assert digest() == digest(queue="gpu")
    assert digest() != digest(base_lr=0.02)
