"""Charts in a chart of the user, clusters without MPIJobs or with those of another operator, and GitOps."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from mrc_cli.findings import Severity
from preflights import P4D, definition, findings_of, given, messages, program
from releases import end_launcher, install, settings
from testcluster.charts import CHARTS, install_mpijob
from testcluster.client import Client, CommandFailed
from testcluster.cluster import Cluster
from values_tool import command, mrc_values
from watched_job import launcher_log

CRD = "mpijobs.kubeflow.org"
MPIJOB = CHARTS / "mpijob"
TRAINING = {"enabled": True, "maskrcnn": {"image": "trainer:1", "node_group": "p4d"}}
FOREIGN = {"imageRegistry": "registry.example.com", "storageClass": "gp3"}


def umbrella(directory: Path, values: dict[str, Any], **aliases: str) -> Path:
    """A chart with dependencies, as ``alias=chart``, each with the condition <alias>.enabled."""
    version = yaml.safe_load((MPIJOB / "Chart.yaml").read_text())["version"]
    (directory / "charts").mkdir()
    for chart in set(aliases.values()):
        (directory / "charts" / chart).symlink_to(CHARTS / chart)
    entries = [
        {"name": chart, "version": version, "alias": alias, "condition": f"{alias}.enabled"}
        for alias, chart in aliases.items()
    ]
    chart_yaml = {"apiVersion": "v2", "name": "platform", "version": "1.0.0", "dependencies": entries}
    (directory / "Chart.yaml").write_text(yaml.safe_dump(chart_yaml))
    (directory / "values.yaml").write_text(yaml.safe_dump(values))
    return directory


@pytest.fixture
def fresh(cluster: Cluster, user: Client) -> Iterator[Client]:
    """An administrator before mpijob was installed. It is installed again before the user leaves."""
    admin = Client(cluster, "default")
    admin.helm("delete", "mpijob")
    admin.kubectl("delete", "crd", CRD)
    yield admin
    admin.kubectl("delete", "crd", CRD, "--ignore-not-found")
    admin.kubectl(
        "delete", "clusterroles,clusterrolebindings", "--selector=app.kubernetes.io/part-of=mask-rcnn"
    )
    install_mpijob(cluster)
    admin.kubectl("wait", "--for=condition=Established", f"crd/{CRD}", "--timeout=60s")


def test_operator_and_two_jobs_in_one_chart_on_a_fresh_cluster(
    fresh: Client, user: Client, helm: str, tmp_path: Path
) -> None:
    user = user.with_program(helm)
    values = {
        "global": {**FOREIGN, "namespace": user.namespace},
        "mpijob": {"operator": {"scope": "namespace"}, "namespace": {"create": False}},
        "first": {**TRAINING, "tensorboard": {"enabled": False}},
        "second": {**TRAINING, "tensorboard": {"enabled": False}},
    }
    chart = umbrella(tmp_path, values, mpijob="mpijob", first="maskrcnn", second="maskrcnn")
    with pytest.raises(CommandFailed, match=r"the cluster has no MPIJobs\. Install the chart mpijob first"):
        user.helm("install", "platform", str(chart))
    # As docs/dependencies.md says: Helm creates what is in crds/ before it checks the other objects.
    crd = fresh.with_program(helm).helm("template", "mpijob", str(MPIJOB), "--show-only=templates/crd.yaml")
    (chart / "crds").mkdir()
    (chart / "crds" / "mpijob.yaml").write_text(crd)
    user.helm("install", "platform", str(chart), "--set=mpijob.crd.create=false")
    for job in ("platform-first", "platform-second"):
        user.running(job)
    user.helm("upgrade", "platform", str(chart), "--set=mpijob.crd.create=false,second.enabled=false")
    assert user.names("mpijob") == {"mpijob.kubeflow.org/platform-first"}
    user.helm("uninstall", "platform")


def test_mrc_values_installs_a_chart_with_two_jobs_and_an_upgrade_does_not_end_one_unless_it_is_named(
    user: Client, tmp_path: Path
) -> None:
    job = {**TRAINING, "tensorboard": {"enabled": False}}
    values = {"global": {**FOREIGN, "namespace": user.namespace}, "first": job, "second": job}
    chart = str(umbrella(tmp_path, values, first="maskrcnn", second="maskrcnn"))
    installed = mrc_values(user, "install", "platform", chart)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    for name in ("platform-first", "platform-second"):
        user.running(name)
    without_second = ("upgrade", "platform", chart, "--set=second.enabled=false")
    rejected = mrc_values(user, *without_second)
    (finding,) = rejected.stdout.splitlines()
    assert f"MRC107: the upgrade would delete the run {user.namespace}/platform-second" in finding
    assert rejected.returncode == 1
    user.running("platform-second")
    upgraded = mrc_values(user, *without_second, "--end-run=platform-second")
    assert upgraded.returncode == 0, upgraded.stdout + upgraded.stderr
    assert user.names("mpijob") == {"mpijob.kubeflow.org/platform-first"}


def test_without_mpijobs_a_job_says_what_to_install_first(fresh: Client, user: Client, helm: str) -> None:
    with pytest.raises(CommandFailed, match=r"the cluster has no MPIJobs\. Install the chart mpijob first"):
        install(user.with_program(helm), "demo", "maskrcnn", P4D)
    (text,) = messages(findings_of(user, P4D), "MRC101", Severity.ERROR)
    assert "helm install mpijob charts/mpijob" in text


def test_mpijobs_of_another_operator_are_named_by_every_command(
    fresh: Client, user: Client, helm: str
) -> None:
    other = definition("kubeflow.org", "v1", "MPIJob", "mpijobs")
    user.apply(other)
    user.kubectl("wait", "--for=condition=Established", f"crd/{CRD}", "--timeout=60s")
    client = user.with_program(helm)
    for flag in ("crd.create=true", "crd.create=false"):
        with pytest.raises(CommandFailed, match=f"version v1, of another operator.*kubectl delete crd {CRD}"):
            client.helm("install", "own", str(MPIJOB), f"--set={flag},global.namespace={user.namespace}")
    with pytest.raises(CommandFailed, match="have version v1, of another operator, but v2beta1 is needed"):
        install(client, "demo", "maskrcnn", P4D)
    (text,) = messages(findings_of(user, P4D), "MRC101", Severity.ERROR)
    fix = re.search("run `(kubectl delete crd .*?)`", text)
    assert "has only version v1" in text and fix
    user.kubectl(*fix[1].split()[1:])
    client.helm(
        "install", "own", str(MPIJOB), "--set=operator.scope=namespace,global.namespace=" + user.namespace
    )
    install(client, "demo", "maskrcnn", P4D, "tensorboard.enabled=false")
    user.running("demo")
    client.helm("uninstall", "own")


def rendered(user: Client, *values: str) -> str:
    flags = settings("maskrcnn", P4D, "tensorboard.enabled=false", *values)
    return user.helm("template", "demo", str(CHARTS / "maskrcnn"), *flags)


def test_applying_another_image_to_a_live_job_changes_nothing_and_status_says_so(
    user: Client, helm: str
) -> None:
    user = user.with_program(helm)
    user.kubectl("apply", "--filename=-", stdin=rendered(user))
    user.running("demo")
    assert "changed" not in mrc_values(user, "status", "demo").stdout
    before = {pod["metadata"]["uid"] for pod in user.objects("pods")}
    user.kubectl("apply", "--filename=-", stdin=rendered(user))
    assert "changed" not in mrc_values(user, "status", "demo").stdout
    user.kubectl("apply", "--filename=-", stdin=rendered(user, "maskrcnn.image=trainer:2"))
    assert {pod["metadata"]["uid"] for pod in user.objects("pods")} == before
    output = mrc_values(user, "status", "demo").stdout
    assert (
        "warning: the MPIJob was changed after its pods had started, which the MPI Operator ignores" in output
    )
    assert "(image trainer:1, not trainer:2)" in output
    assert json.loads(mrc_values(user, "status", "demo", "--format=json").stdout)["ignored_change"]
    user.kubectl("delete", "mpijob", "demo")
    user.kubectl("apply", "--filename=-", stdin=rendered(user, "maskrcnn.image=trainer:2"))
    user.running("demo")
    assert "changed" not in mrc_values(user, "status", "demo").stdout


def test_deleting_the_rendered_operator_keeps_jobs_only_without_namespace_and_crd(
    user: Client, helm: str
) -> None:
    user = user.with_program(helm)
    install(user, "demo", "maskrcnn", P4D, "tensorboard.enabled=false")
    user.running("demo")
    everything = Client(user.cluster, "default", helm).helm("template", "mpijob", str(MPIJOB))
    kubeflow = Client(user.cluster, "kubeflow")
    would = kubeflow.kubectl("delete", "--filename=-", "--dry-run=client", "--output=name", stdin=everything)
    assert {"namespace/kubeflow", f"customresourcedefinition.apiextensions.k8s.io/{CRD}"} <= set(
        would.split()
    )
    flags = (
        f"--set=global.namespace={user.namespace},operator.scope=namespace",
        "--set=namespace.create=false,crd.create=false",
    )
    operator = user.helm("template", "own", str(MPIJOB), *flags)
    user.kubectl("apply", "--filename=-", stdin=operator)
    user.kubectl("delete", "--filename=-", stdin=operator)
    assert user.get("namespace", user.namespace)["status"]["phase"] == "Active"
    assert "deletionTimestamp" not in user.get("crd", CRD)["metadata"]
    user.running("demo")


def test_values_from_stdin_and_a_packaged_chart_can_be_installed(
    user: Client, helm: str, tmp_path: Path
) -> None:
    (tmp_path / "helm").symlink_to(user.cluster.bin / helm)
    user.with_program(helm).helm("package", str(CHARTS / "maskrcnn"), f"--destination={tmp_path}")
    (archive,) = tmp_path.glob("*.tgz")
    values = {
        "global": {"namespace": user.namespace},
        "maskrcnn": {"image": "trainer:1", "node_group": "p4d"},
    }
    done = program(
        user,
        *("install", "demo", archive, "-f", "-", f"--namespace={user.namespace}"),
        "--set-string=tensorboard.name=board",
        stdin=yaml.safe_dump(values),
        PATH=f"{tmp_path}:{user.cluster.environment['PATH']}",
    )
    assert done.returncode == 0, done.stderr
    user.running("demo")
    assert user.names("deployment") == {"deployment.apps/demo-board"}


def test_printed_commands_work_as_printed(user: Client, tmp_path: Path) -> None:
    install(user, "demo", "maskrcnn", P4D, "maskrcnn.backoff_limit=0")
    user.running("demo")
    launcher_log(user, tmp_path).write("launch: 2 workers answer after 3 s")
    end_launcher(user, "demo", 3)
    user.wait("mpijob/demo", "condition=Failed")
    reasons = mrc_values(user, "status", "demo", "--format=json").stdout
    logs = re.search(r"Read (mrc-values logs [^;.]*)", reasons)
    assert logs and "launch: 2 workers" in command(user, *shlex.split(logs[1])[1:]).stdout
    again = program(user, "install", "demo", CHARTS / "maskrcnn", *given(user, P4D))
    delete = re.search("or first: (mrc-values delete .*)", again.stderr)
    assert delete and command(user, *shlex.split(delete[1])[1:]).returncode == 0
    assert user.names("mpijob") == set()
