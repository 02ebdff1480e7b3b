"""The preflight of mrc-values as the tests call it: on the test cluster, and as part of the program."""

import subprocess
from pathlib import Path

from mrc_cli.findings import Finding, Severity, dotted, failing
from mrc_values.check import check
from mrc_values.cluster import client
from mrc_values.cluster.preflight import preflight
from mrc_values.cluster.preflight.planned import planned
from testcluster.charts import CHARTS
from testcluster.client import Client, Object
from values_tool import PROGRAM

ERROR, WARNING = Severity.ERROR, Severity.WARNING
P4D = "maskrcnn.node_group=p4d"


def sets(user: Client, *values: str) -> list[str]:
    """The values of a job in the user's namespace, as expressions of ``--set``."""
    return ["maskrcnn.image=trainer:1", f"global.namespace={user.namespace}", *values]


def findings_of(
    user: Client,
    *values: str,
    release: str = "demo",
    upgrade: bool = False,
    kubeconfig: Path | None = None,
    namespace: str | None = None,
    end_runs: tuple[str, ...] = (),
) -> list[Finding]:
    """What the preflight finds for values that are valid by themselves."""
    chart, namespace = CHARTS / "maskrcnn", namespace or user.namespace
    result = check(chart, (), sets(user, *values), release, namespace)
    assert not failing(result.findings), result.findings
    cluster = client.connect(kubeconfig=kubeconfig or user.cluster.kubeconfig)
    return preflight(cluster, planned(release, namespace, chart, result, upgrade, end_runs))


def messages(findings: list[Finding], rule: str, severity: Severity) -> list[str]:
    """``value: message fix`` of the findings of a rule."""
    return [
        f"{dotted(finding.path)}: {finding.message} {finding.fix}".removeprefix(": ")
        for finding in findings
        if (finding.rule, finding.severity) == (rule, severity)
    ]


def program(
    user: Client, *arguments: str | Path, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs the program to its end, as a process: with Helm's words, and another environment."""
    return subprocess.run(
        [PROGRAM, *arguments],
        env=user.cluster.environment | environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=180,
    )


def given(user: Client, *values: str) -> list[str]:
    """The same values as flags of the program, with the user's namespace."""
    return [f"--namespace={user.namespace}", *(f"--set={value}" for value in sets(user, *values))]


def claim(name: str, volume: str = "", mode: str = "ReadWriteMany", storage_class: str = "") -> Object:
    """A claim on a volume, or of a storage class."""
    spec = {"accessModes": [mode], "resources": {"requests": {"storage": "1Gi"}}}
    spec["storageClassName"] = storage_class
    if volume:
        spec["volumeName"] = volume
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": spec,
    }


def volume(
    name: str, driver: str, holder: Object, mode: str = "ReadWriteMany", options: tuple[str, ...] = ()
) -> Object:
    """A volume of a storage driver, kept for the claim ``holder``: one of another test might take it."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "accessModes": [mode],
            "capacity": {"storage": "1Gi"},
            "storageClassName": "",
            "csi": {"driver": driver, "volumeHandle": "fs-1"},
            "mountOptions": [*options],
            "claimRef": holder,
        },
    }


def definition(group: str, version: str, kind: str, plural: str, scope: str = "Namespaced") -> Object:
    """A CRD that takes any content, in place of the product that brings it."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                    },
                }
            ],
        },
    }
