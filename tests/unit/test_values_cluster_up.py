"""mrc-values cluster up and down, as far as they need no cluster; tests/cluster has the rest."""

import subprocess
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from aws_in_moto import empty_aws
from mrc_cli.errors import UserError
from mrc_values import addons
from mrc_values.cluster import load_balancers
from mrc_values.cluster.client import Cluster
from mrc_values.cluster.volumes import create_missing
from mrc_values.cluster_arguments import check_is_the_one
from mrc_values.terraform_outputs import parse
from test_values_plan_terraform import OUTPUT, PROGRAM, ZONE_A, outputs

ROOT = Path(__file__).parents[2]
BUILT = parse(outputs(), "outputs.json")


def up(*arguments: str | Path, text: str = "", cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, "cluster", "up", "--from-terraform=-", *arguments],
        input=text or outputs(),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_dry_run_prints_a_script_of_the_commands_and_asks_no_cluster(tmp_path: Path) -> None:
    done = up("--dry-run", "--context=eks", f"--kubeconfig={tmp_path / 'none'}")
    assert done.returncode == 0, done.stderr
    assert subprocess.run(["bash", "-n"], input=done.stdout, text=True, check=False).returncode == 0
    helm = [line for line in done.stdout.splitlines() if line.startswith("helm ")]
    assert [line.split()[3] for line in helm] == ["eks-addons", "cluster-autoscaler", "mpijob"]
    assert all(line.startswith("helm upgrade --install ") for line in helm)
    assert all(f" --kubeconfig={tmp_path / 'none'} --kube-context=eks --namespace=" in line for line in helm)
    assert " --repo=https://kubernetes.github.io/autoscaler --version=9." in helm[1]
    assert " --set=autoDiscovery.clusterName=my-eks-cluster --set=awsRegion=us-west-2 " in helm[1]


def test_the_script_creates_a_volume_and_a_claim_for_each_file_system() -> None:
    _, _, manifest = up("--dry-run").stdout.partition(" <<'END'\n")
    objects = list(yaml.safe_load_all(manifest.partition("\nEND")[0]))
    handles = {
        item["metadata"]["name"]: item["spec"]["csi"]["volumeHandle"]
        for item in objects
        if item["kind"] == "PersistentVolume"
    }
    assert handles == {
        "kubeflow-tensorpack-efs-gp-bursting": OUTPUT["file_systems"]["efs"]["id"],
        "kubeflow-tensorpack-fsx": OUTPUT["file_systems"]["fsx"]["id"],
    }
    claims = [item for item in objects if item["kind"] == "PersistentVolumeClaim"]
    assert {claim["spec"]["volumeName"] for claim in claims} == handles.keys()
    assert {claim["metadata"]["namespace"] for claim in claims} == {"kubeflow"}


def test_the_autoscaler_has_the_minor_version_of_the_cluster() -> None:
    for version, tag in (("1.34", "v1.34.5"), ("1.47", "v1.47.0")):
        built = parse(outputs(cluster=OUTPUT["cluster"] | {"version": version}), "outputs.json")
        (autoscaler,) = (one for one in addons.addons(built, Path("charts")) if one.name == addons.AUTOSCALER)
        assert f"--set=image.tag={tag}" in autoscaler.arguments


def test_the_autoscalers_service_account_is_the_one_that_terraform_gives_a_role_to() -> None:
    terraform = (ROOT / "terraform" / "modules" / "cluster" / "pods.tf").read_text()
    name = addons.AUTOSCALER
    assert f'service_account = "{name}"' in terraform
    (autoscaler,) = (one for one in addons.addons(BUILT, Path("charts")) if one.name == name)
    assert f"--set=rbac.serviceAccount.name={name}" in autoscaler.arguments
    assert f'namespace       = "{autoscaler.namespace}"' in terraform


def test_a_chart_of_the_autoscaler_that_is_named_needs_no_repository() -> None:
    planned = addons.addons(BUILT, Path("charts"), "oci://registry.example.com/cluster-autoscaler")
    (autoscaler,) = (one for one in planned if one.name == addons.AUTOSCALER)
    assert autoscaler.arguments[0] == "oci://registry.example.com/cluster-autoscaler"
    assert not [word for word in autoscaler.arguments if word.startswith(("--repo", "--version"))]


def test_missing_charts_are_named(tmp_path: Path) -> None:
    done = up("--dry-run", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "mrc-values: --charts charts: has no chart eks-addons. Name the suite's directory charts.\n"
    )


def cluster_at(server: str) -> Cluster:
    return Cluster("my-context", server, "default", "~/.kube/config", None)


def test_the_context_has_to_be_for_the_cluster_that_terraform_built(
    capsys: pytest.CaptureFixture[str],
) -> None:
    check_is_the_one(cluster_at(BUILT.endpoint.lower()), BUILT, named=False)
    tunnel = cluster_at("https://127.0.0.1:8443")
    with pytest.raises(UserError) as raised:
        check_is_the_one(tunnel, BUILT, named=False)
    assert "aws eks update-kubeconfig --region us-west-2 --name my-eks-cluster" in str(raised.value)
    check_is_the_one(tunnel, BUILT, named=True)
    assert "my-context is for https://127.0.0.1:8443, but Terraform built" in capsys.readouterr().err


def test_jobs_are_deleted_before_the_operator_and_the_device_plugins_last() -> None:
    def release(name: str, chart: str, namespace: str = "default") -> dict[str, str]:
        return {"name": name, "namespace": namespace, "chart": chart}

    rows = [
        release("eks-addons", "eks-addons-0.1.0", "kube-system"),
        release("mpijob", "mpijob-0.1.0"),
        release("cluster-autoscaler", "cluster-autoscaler-9.59.1", "kube-system"),
        release("lb", "aws-load-balancer-controller-1.14.0", "kube-system"),
        release("demo", "maskrcnn-0.1.0"),
        release("own", "from-mrc-values-new-0.1.0", "vision"),
    ]
    users, own, others = addons.split(rows, {("vision", "own")})
    assert [row["name"] for row in users] == ["demo", "own"]
    assert [row["name"] for row in own] == ["mpijob", "cluster-autoscaler", "eks-addons"]
    # The controller has to clean its load balancers up, so it stays.
    assert [row["name"] for row in others] == ["lb"]


class Clock:
    """Time that passes only while the code sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def test_waiting_ends_when_nothing_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    remaining = load_balancers.wait_until_gone(
        lambda: ["Service a/b"] if clock.seconds < 100 else [], 600, clock.now, clock.sleep
    )
    assert (list(remaining), 100 <= clock.seconds < 110) == ([], True)
    assert capsys.readouterr().err == "waiting up to 10 min for: Service a/b\n" * 4


def test_waiting_is_bounded_and_tells_what_is_left() -> None:
    clock = Clock()
    assert load_balancers.wait_until_gone(lambda: ["Service a/b"], 600, clock.now, clock.sleep) == [
        "Service a/b"
    ]
    assert 600 <= clock.seconds < 610


def test_interfaces_of_load_balancers_are_told_from_those_of_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    with empty_aws() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        ec2: Any = boto3.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
        for description in ("ELB net/k8s-demo/0123456789abcdef", "Amazon EKS my-eks-cluster"):
            ec2.create_network_interface(SubnetId=subnet, Description=description)
        (interface,) = load_balancers.interfaces("us-west-2", vpc)
        assert interface.endswith(" (ELB net/k8s-demo/0123456789abcdef)")
        assert list(load_balancers.interfaces("us-west-2", "vpc-0fffffffffffffff0")) == []


def test_a_volume_on_another_file_system_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    volume: dict[str, Any] = {
        "kind": "PersistentVolume",
        "metadata": {"name": "kubeflow-fsx"},
        "spec": {
            "csi": {"volumeHandle": "fs-new"},
            "claimRef": {"namespace": "kubeflow", "name": "tensorpack-fsx"},
        },
    }
    live = {"metadata": {"name": "kubeflow-fsx"}, "spec": {"csi": {"volumeHandle": "fs-old"}}}
    monkeypatch.setattr(Cluster, "find", lambda *_: live)
    with pytest.raises(UserError) as raised:
        list(create_missing(cluster_at(""), [volume]))
    assert str(raised.value) == (
        "PersistentVolume kubeflow-fsx: is on fs-old, but Terraform built fs-new. Delete it and its claim, "
        "which keeps the data: kubectl delete pvc tensorpack-fsx --namespace kubeflow && "
        "kubectl delete pv kubeflow-fsx"
    )


def test_outputs_of_an_older_terraform_are_told_to_apply_again() -> None:
    cluster = {key: value for key, value in OUTPUT["cluster"].items() if key != "endpoint"}
    with pytest.raises(UserError, match=r"no 'endpoint'\. Run terraform apply again\."):
        parse(outputs(cluster=cluster), "outputs.json")
    assert BUILT.node_groups["training"].subnet_ids == (ZONE_A,)
