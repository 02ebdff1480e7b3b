"""A run in real pods, from helm install to the servers that show it, and resumed after helm delete."""

import json
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import pytest
from testcluster.charts import CHARTS
from testcluster.client import Client
from testcluster.images import TRAIN
from trainings import SCENES, Training, server
from values_tool import mrc_values, opened


@dataclass(frozen=True)
class Servers:
    """The release's servers as a pod beside them sees them."""

    training: Training

    def get(self, url: str, token: str = "") -> tuple[int, str]:
        """Status and body of the answer; the certificate is the release's own, which nobody has signed."""
        program = (
            "import ssl, sys, urllib.error, urllib.request\n"
            "told = {'Authorization': 'token ' + sys.argv[2]}\n"
            "request = urllib.request.Request(sys.argv[1], headers=told)\n"
            "try:\n"
            "    answer = urllib.request.urlopen(request, context=ssl._create_unverified_context())\n"
            "except urllib.error.HTTPError as error:\n"
            "    answer = error\n"
            "print(answer.status, answer.read().decode())\n"
        )
        pod = f"deployment/{self.training.name}-jupyter"
        output = self.training.user.kubectl("exec", pod, "--", "python3", "-c", program, url, token)
        status, _, body = output.partition(" ")
        return int(status), body


@pytest.fixture(scope="module")
def trained(new_node_user: Callable[[], Client]) -> Training:
    """A training that has ended, with its servers."""
    training = Training(new_node_user())
    training.install({"eval_period_in_epochs": 2}, tensorboard=server(), jupyter=server())
    training.await_success()
    for name in ("tensorboard", "jupyter"):
        training.user.wait(f"deployment/{training.name}-{name}", "condition=Available", 280)
    return training


@pytest.fixture(scope="module")
def servers(trained: Training) -> Servers:
    return Servers(trained)


def test_two_ranks_train_in_two_worker_pods(trained: Training) -> None:
    log = trained.log()
    assert "2 workers answer" in log
    for rank in (0, 1):
        assert f"rank {rank} of 2" in log
    events = [file.name for file in trained.directory.glob("events.out.tfevents.*")]
    assert any(name.endswith(f"{trained.name}-worker-0") for name in events), "the rank's host is the pod"


def test_checkpoints_statistics_and_events_are_on_the_volume(trained: Training) -> None:
    assert trained.checkpoints() == [6, 12]
    assert trained.recorded_steps() == [6, 12]


def test_status_shows_the_newest_checkpoint_and_the_last_evaluation(trained: Training) -> None:
    done = mrc_values(trained.user, "status", trained.name, "--format=json")
    status = json.loads(done.stdout)
    assert status["checkpoint"] == "model-12"
    assert status["progress"]["step"] == 12
    recorded = json.loads((trained.directory / "stats.json").read_text())[-1]
    metrics = {name: recorded[name] for name in ("bbox/AP50", "segm/AP50")}
    assert {name: status["evaluation"][name] for name in metrics} == pytest.approx(metrics, abs=1e-4)


def test_workers_are_deleted_when_the_job_has_succeeded_and_the_launchers_log_is_kept(
    trained: Training,
) -> None:
    for number in (0, 1):
        trained.user.wait(f"pod/{trained.name}-worker-{number}", "delete", 120)
    (launcher,) = trained.launchers()
    assert launcher["status"]["phase"] == "Succeeded"
    assert trained.log()


def test_no_pod_of_the_namespace_has_a_token_of_the_api_server(trained: Training) -> None:
    for pod in trained.user.objects("pods"):
        for container in pod["spec"]["containers"]:
            mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
            assert "/var/run/secrets/kubernetes.io/serviceaccount" not in mounted


def test_tensorboard_shows_the_runs_scalars_over_its_service(servers: Servers) -> None:
    status, body = servers.get(f"http://{servers.training.name}-tensorboard/data/plugin/scalars/tags")
    assert status == 200
    runs = json.loads(body)
    assert "loss/total" in runs[servers.training.name], runs


def test_tensorboard_is_not_root_and_cannot_write_to_the_volume(trained: Training) -> None:
    pod = f"deployment/{trained.name}-tensorboard"
    assert trained.user.kubectl("exec", pod, "--", "id", "-u").strip() == "1000"
    tried = trained.user.kubectl("exec", pod, "--", "sh", "-c", "touch /efs/x 2>&1 || true")
    assert "Read-only file system" in tried


def test_jupyter_serves_https_only_with_its_token(servers: Servers) -> None:
    training = servers.training
    token = training.user.kubectl(
        "get", "secret", f"{training.name}-jupyter-token", "--output=go-template={{.data.token|base64decode}}"
    )
    url = f"https://{training.name}-jupyter/api/contents/efs/{training.user.namespace}/{training.name}"
    assert servers.get(url, "wrong")[0] == 403
    status, body = servers.get(url, token)
    assert status == 200
    assert "model-12.index" in {entry["name"] for entry in json.loads(body)["content"]}


def test_the_chart_serve_detects_with_the_runs_model_through_mrc_values_open(trained: Training) -> None:
    user = trained.user
    values = {
        "global": {"namespace": ""},
        "image": TRAIN,
        "model": f"{user.namespace}/{trained.name}",
        "resources": {"requests": {"cpu": "50m"}},
    }
    flags = [f"--set-json={name}={json.dumps(value)}" for name, value in values.items()]
    user.helm("install", "detector", str(CHARTS / "serve"), *flags, "--wait", "--timeout=280s")
    image = min((user.cluster.volumes / "efs" / SCENES / "val2017").iterdir())
    with opened(user, "detector", "serve") as address:
        with urllib.request.urlopen(f"{address}ping", timeout=60) as answer:
            assert answer.status == 200
        request = urllib.request.Request(f"{address}invocations?threshold=0", image.read_bytes())
        with urllib.request.urlopen(request, timeout=60) as answer:
            reply = json.loads(answer.read())
    pixels = cv2.imread(str(image))
    assert pixels is not None
    assert (reply["height"], reply["width"]) == pixels.shape[:2]
    categories = json.loads((image.parents[1] / "annotations" / "instances_val2017.json").read_text())[
        "categories"
    ]
    assert {entry["category"] for entry in reply["detections"]} <= {entry["name"] for entry in categories}
    assert reply["detections"]
    user.helm("uninstall", "detector", "--wait")


def test_after_delete_an_install_with_more_steps_resumes_from_the_newest_checkpoint(
    trained: Training,
) -> None:
    """The last test of the release: it deletes it."""
    before = {file: file.stat().st_mtime for file in trained.directory.glob("model-12.*")}
    trained.delete()
    assert {file: file.stat().st_mtime for file in trained.directory.glob("model-12.*")} == before
    trained.install({"lr_schedule": "[18]"})
    trained.await_success()
    assert trained.resumed_from() == 12
    assert trained.recorded_steps() == [6, 12, 18]
    assert trained.checkpoints() == [6, 12, 18]
