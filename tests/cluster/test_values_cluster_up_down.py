"""mrc-values cluster up and down on a new cluster with simulated nodes."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from testcluster.charts import CHARTS
from testcluster.client import Client, until
from testcluster.cluster import Cluster
from values_tool import PROGRAM

NODES = {"cpu": 1, "p4d": 1, "g4dn": 1}
ADDONS = {"eks-addons": "kube-system", "cluster-autoscaler": "kube-system", "mpijob": "default"}
CLEAN_UP = "service.kubernetes.io/load-balancer-cleanup"
"""The finalizer with which a cloud's controller keeps a service until its load balancer is deleted."""

# Stands in for the autoscaler's own chart, which would have to be downloaded.
AUTOSCALER = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: autoscaler, namespace: "{{ .Release.Namespace }}"}
spec:
  selector: {matchLabels: {app: autoscaler}}
  template:
    metadata: {labels: {app: autoscaler}}
    spec:
      containers:
        - name: autoscaler
          image: "cluster-autoscaler:{{ .Values.image.tag }}"
          args: ["{{ .Values.autoDiscovery.clusterName }}", "{{ .Values.awsRegion }}"]
"""


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The user of a cluster that has nothing but nodes."""
    cluster = Cluster(tmp_path_factory.mktemp("new-cluster"))
    cluster.up(NODES, with_caller=True)
    yield Client(cluster, "kubeflow")
    cluster.down()


@pytest.fixture(scope="module")
def outputs(admin: Client, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of Terraform for this cluster, after terraform/aws-eks-cluster-and-nodegroup/outputs.tf."""
    kubeconfig = yaml.safe_load(admin.cluster.kubeconfig.read_text())
    endpoint = kubeconfig["clusters"][0]["cluster"]["server"]
    cluster = {"name": "test", "version": "1.34", "endpoint": endpoint, "vpc_id": "vpc-0123456789abcdef0"}
    fsx = {
        "id": "fs-0fedcba9876543210",
        "dns_name": "fs-0fedcba9876543210.fsx.us-west-2.amazonaws.com",
        "mount_name": "abcdefgh",
        "capacity": 1200,
        "subnet_id": "subnet-0aaaaaaaaaaaaaaaa",
    }
    value: dict[str, Any] = {
        "schema": 1,
        "region": "us-west-2",
        "cluster": cluster,
        "node_groups": {},
        "file_systems": {"efs": {"id": "fs-0123456789abcdef0"}, "fsx": fsx},
    }
    file = tmp_path_factory.mktemp("terraform") / "outputs.json"
    file.write_text(json.dumps({"mrc_values": {"value": value}}))
    return file


@pytest.fixture(scope="module")
def autoscaler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    chart = tmp_path_factory.mktemp("charts") / "cluster-autoscaler"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("{apiVersion: v2, name: cluster-autoscaler, version: 9.59.0}")
    (chart / "templates" / "deployment.yaml").write_text(AUTOSCALER)
    return chart


def started(admin: Client, outputs: Path, verb: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [PROGRAM, "cluster", verb, f"--from-terraform={outputs}", *arguments],
        env=admin.cluster.environment | {"AWS_EC2_METADATA_DISABLED": "true"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = process.communicate(timeout=180)
    return process.returncode, out, err


def run(admin: Client, outputs: Path, verb: str, *arguments: str) -> tuple[int, str, str]:
    return ended(started(admin, outputs, verb, *arguments))


@pytest.fixture(scope="module")
def up(admin: Client, outputs: Path, autoscaler: Path) -> str:
    """The messages of `cluster up`."""
    code, _, stderr = run(admin, outputs, "up", f"--charts={CHARTS}", f"--autoscaler-chart={autoscaler}")
    assert code == 0, stderr
    return stderr


def releases(admin: Client) -> dict[str, str]:
    listed = json.loads(admin.helm("list", "--all-namespaces", "--output=json"))
    return {release["name"]: release["namespace"] for release in listed}


def test_each_helm_command_is_shown_and_leaves_a_release(admin: Client, up: str) -> None:
    shown = [line.split()[4] for line in up.splitlines() if line.startswith("$ helm upgrade --install")]
    assert shown == list(ADDONS)
    assert releases(admin) == ADDONS
    autoscaler = admin.kubectl("get", "deployment", "autoscaler", "--namespace=kube-system", "--output=json")
    (container,) = json.loads(autoscaler)["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "cluster-autoscaler:v1.34.5"
    assert container["args"] == ["test", "us-west-2"]


@pytest.mark.usefixtures("up")
def test_device_plugins_run_where_their_devices_are(admin: Client) -> None:
    def nodes(component: str) -> set[str]:
        label = f"app.kubernetes.io/component={component}"
        pods = admin.kubectl("get", "pods", "--namespace=kube-system", f"--selector={label}", "--output=json")
        return {pod["spec"]["nodeName"] for pod in json.loads(pods)["items"]}

    until(lambda: nodes("nvidia-device-plugin") == {"p4d-0", "g4dn-0"}, "NVIDIA's plugins")
    until(lambda: nodes("efa-device-plugin") == {"p4d-0"}, "EFA's plugin")


@pytest.mark.usefixtures("up")
def test_the_claims_of_both_file_systems_are_bound(admin: Client) -> None:
    for claim in ("tensorpack-efs-gp-bursting", "tensorpack-fsx"):
        admin.wait(f"pvc/{claim}", "jsonpath={.status.phase}=Bound")


@pytest.mark.usefixtures("up")
def test_a_second_run_changes_nothing(admin: Client, outputs: Path, autoscaler: Path) -> None:
    before = {kind: admin.names(kind) for kind in ("pvc", "pv")}
    code, _, stderr = run(admin, outputs, "up", f"--charts={CHARTS}", f"--autoscaler-chart={autoscaler}")
    assert code == 0, stderr
    assert "PersistentVolume kubeflow-tensorpack-fsx: exists." in stderr
    assert {kind: admin.names(kind) for kind in before} == before


@pytest.mark.usefixtures("up")
def test_another_cluster_than_terraforms_is_left_alone(admin: Client, outputs: Path, tmp_path: Path) -> None:
    other = json.loads(outputs.read_text())
    other["mrc_values"]["value"]["cluster"]["endpoint"] = "https://0123456789ABCDEF.eks.amazonaws.com"
    file = tmp_path / "other.json"
    file.write_text(json.dumps(other))
    code, _, stderr = run(admin, file, "down", "--yes")
    assert code == 1
    assert "but Terraform built https://0123456789ABCDEF.eks.amazonaws.com" in stderr
    assert releases(admin) == ADDONS


@pytest.mark.usefixtures("up")
def test_down_asks_first(admin: Client, outputs: Path) -> None:
    code, _, stderr = run(admin, outputs, "down")
    assert code == 1
    assert "nothing was deleted. Use --yes" in stderr
    assert releases(admin) == ADDONS


@pytest.mark.usefixtures("up")
def test_down_waits_for_load_balancers_and_leaves_no_release(admin: Client, outputs: Path) -> None:
    values = ["global.namespace=kubeflow", "service.type=LoadBalancer", "global.source_cidr=192.0.2.0/24"]
    dashboard, own = "board-tensorboard", "own"
    admin.helm("install", "board", str(CHARTS / "tensorboard"), *(f"--set={value}" for value in values))
    service = {"type": "LoadBalancer", "ports": [{"port": 80}]}
    meta = {"name": own, "namespace": "default", "finalizers": [CLEAN_UP]}
    replace(admin, namespace="default").apply(
        {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": service}
    )
    admin.kubectl("patch", "service", dashboard, f'--patch={{"metadata":{{"finalizers":["{CLEAN_UP}"]}}}}')

    going = started(admin, outputs, "down", "--yes")
    until(lambda: ending(admin) == {dashboard, own}, "the deletion of both services")
    assert releases(admin) == ADDONS
    for name, namespace in ((dashboard, "kubeflow"), (own, "default")):
        patch = ["--type=merge", '--patch={"metadata":{"finalizers":null}}', f"--namespace={namespace}"]
        admin.kubectl("patch", "service", name, *patch)
    code, _, stderr = ended(going)
    assert code == 0, stderr
    assert "waiting up to 10 min for: " in stderr
    assert f"Service default/{own} ({CLEAN_UP})" in stderr
    assert stderr.splitlines()[-1] == "terraform destroy"
    assert releases(admin) == {}
    assert "persistentvolumeclaim/tensorpack-fsx" in admin.names("pvc")


def ending(admin: Client) -> set[str]:
    """Services of all namespaces that are being deleted."""
    services = json.loads(admin.kubectl("get", "services", "--all-namespaces", "--output=json"))["items"]
    return {item["metadata"]["name"] for item in services if "deletionTimestamp" in item["metadata"]}
