"""Pure functions about a cluster and its releases: diffs, kept objects, versions, resources."""

import subprocess
import sys
from pathlib import Path

import pytest
from mrc_values.cluster import releases
from mrc_values.cluster.changes import diff
from mrc_values.cluster.kept import kept_after_delete
from mrc_values.cluster.preflight.operator import flag_value, in_range
from mrc_values.cluster.preflight.resources import asked, fitting, free, shown
from mrc_values.rules import CLUSTER_RULES, RULES, Rule

PROGRAM = Path(sys.executable).with_name("mrc-values")


# Diffs


def manifest(kind: str, name: str, body: str) -> str:
    return f"---\n# Source: x.yaml\nkind: {kind}\nmetadata: {{name: {name}, namespace: ns}}\n{body}\n"


def test_order_and_comments_make_no_diff() -> None:
    one, two = manifest("Service", "a", "spec: {b: 1, a: 2}"), manifest("Service", "b", "spec: {}")
    assert (
        diff(one + two, two.replace("# Source: x.yaml", "") + one.replace("{b: 1, a: 2}", "{a: 2, b: 1}"))
        == ""
    )


def test_a_changed_object_is_shown_as_a_unified_diff() -> None:
    before, after = (manifest("Service", "a", f"spec: {{port: {port}}}") for port in (80, 81))
    assert diff(before, after) == (
        "--- live: Service ns/a\n+++ new: Service ns/a\n@@ -4,3 +4,3 @@\n   namespace: ns\n spec:\n"
        "-  port: 80\n+  port: 81\n"
    )


def test_added_and_removed_objects_are_one_line_each() -> None:
    assert diff(manifest("Service", "a", ""), manifest("Secret", "b", "data: {key: c2VjcmV0}")) == (
        "- Service ns/a is removed\n+ Secret ns/b is added\n"
    )


def test_a_new_run_is_compared_with_the_run_that_it_replaces() -> None:
    text = diff(manifest("MPIJob", "a", "spec: {x: 1}"), manifest("MPIJob", "a-b", "spec: {x: 2}"))
    assert text.startswith("--- live: MPIJob ns/a\n+++ new: MPIJob ns/a-b\n")
    assert "-  x: 1\n+  x: 2\n" in text


def test_a_diff_of_a_secret_names_the_changed_entry_and_hides_its_content() -> None:
    before = manifest("Secret", "a", "data: {same: c2FtZQ==, other: b25l}\nstringData: {plain: word}")
    after = manifest("Secret", "a", "data: {same: c2FtZQ==, other: dHdv}\nstringData: {plain: other-word}")
    text = diff(before, after)
    assert "-  other: (hidden)\n+  other: (hidden), changed\n" in text
    assert not {"c2FtZQ", "b25l", "dHdv", "word"} & set(text.replace("-", " ").split())


# Objects that remain after delete


def test_objects_that_a_chart_keeps_are_named() -> None:
    kept = "metadata: {name: mpijobs.kubeflow.org, annotations: {helm.sh/resource-policy: keep}}"
    assert kept_after_delete(f"kind: CustomResourceDefinition\n{kept}") == [
        "the CustomResourceDefinition mpijobs.kubeflow.org, and all MPIJobs"
    ]


# Versions and quantities


@pytest.mark.parametrize(
    ("version", "constraint", "inside"),
    [
        ("v1.34.2-eks-1a2b3c4", ">=1.27.0-0", True),
        ("v1.27.0", ">=1.27.0-0", True),
        ("v1.26.15+k3s1", ">=1.27.0-0", False),
        ("v1.9.0", ">=1.27", False),
        ("v1.34.0", ">=1.27.0 <1.34.0", False),
        ("v1.34.0", "", True),
        ("v1.34.0", "^1.27.0", None),
        ("", ">=1.27.0-0", None),
    ],
)
def test_the_clusters_version_is_compared_with_the_charts_range(
    version: str, constraint: str, inside: bool | None
) -> None:
    assert in_range(version, constraint) is inside


def container(**requests: str) -> dict[str, object]:
    return {"resources": {"requests": requests}}


def test_a_pod_requests_the_sum_of_its_containers_or_the_largest_init_container() -> None:
    spec = {
        "containers": [container(cpu="1", memory="1Gi"), container(cpu="500m")],
        "initContainers": [container(cpu="4"), container(memory="512Mi")],
        "overhead": {"cpu": "250m"},
    }
    assert asked(spec) == {"cpu": 4.25, "memory": 2.0**30}


def test_a_limit_is_the_request_when_no_request_is_set() -> None:
    resources = {"limits": {"nvidia.com/gpu": "8", "memory": "2Gi"}, "requests": {"memory": "1Gi"}}
    spec = {"containers": [{"resources": resources}]}
    assert asked(spec) == {"nvidia.com/gpu": 8.0, "memory": 2.0**30}
    assert asked(spec, "limits") == {"nvidia.com/gpu": 8.0, "memory": 2.0**31}


def test_the_resources_that_pods_do_not_request_are_free() -> None:
    node = {
        "metadata": {"name": "n"},
        "status": {"allocatable": {"cpu": "4", "nvidia.com/gpu": "8", "pods": "3"}},
    }
    pod = {"spec": {"nodeName": "n", "containers": [container(**{"nvidia.com/gpu": "2", "cpu": "1500m"})]}}
    (left,) = free([node], [pod, {"spec": {"nodeName": "other"}}]).values()
    assert left == {"cpu": 2.5, "nvidia.com/gpu": 6.0, "pods": 2.0}
    assert fitting(left, {"nvidia.com/gpu": 2.0}) == 2, "limited by the number of pods of the node"
    assert fitting(left, {"cpu": 1.0, "nvidia.com/gpu": 4.0}) == 1
    assert fitting(left, {"vpc.amazonaws.com/efa": 1.0}) == 0


@pytest.mark.parametrize(
    ("resource", "amount", "text"),
    [
        ("nvidia.com/gpu", 8.0, "8 nvidia.com/gpu"),
        ("cpu", 95.69, "95.69 cores"),
        ("requests.memory", 1.5 * 2**30, "1.5 GiB memory"),
        ("memory", 512 * 2**20, "512 MiB memory"),
    ],
)
def test_quantities_are_shown_in_readable_units(resource: str, amount: float, text: str) -> None:
    assert shown(resource, amount) == text


# Rules about the cluster


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule.id) for rule in CLUSTER_RULES.values()])
def test_a_rule_about_the_cluster_has_a_reason_and_examples(rule: Rule) -> None:
    assert rule.why.endswith(".") and len(rule.why) > 60
    assert rule.failing and rule.passing and not rule.title.endswith(".")
    assert rule.id not in RULES


def test_explain_and_rules_include_the_rules_about_the_cluster() -> None:
    explained = subprocess.run(
        [PROGRAM, "explain", "mrc123"], capture_output=True, text=True, timeout=60
    ).stdout
    assert explained.startswith("MRC123 (warning): enough GPUs are free now\n")
    listed = subprocess.run([PROGRAM, "rules"], capture_output=True, text=True, timeout=60).stdout
    assert "MRC101  error    the MPIJob CRD is installed\n" in listed


# Helm


def test_a_helm_command_that_does_not_end_times_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "helm"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(releases, "READ_TIMEOUT", 0.2)
    monkeypatch.setattr(releases, "WRITE_TIMEOUT", 0.2)
    helm = releases.Helm(str(program), (), "ml")
    with pytest.raises(releases.HelmFailed, match=r"^helm status: no result after 0.2 s\. Check the network"):
        helm.release("demo")
    with pytest.raises(releases.HelmFailed, match=r"^helm uninstall demo: not done after 0.2 s"):
        helm.uninstall("demo")


@pytest.mark.parametrize(
    ("container", "value"),
    [
        ({}, ""),
        ({"args": ["--namespace=ml"]}, "ml"),
        ({"command": ["/operator"], "args": ["-namespace", "ml"]}, "ml"),
        ({"args": ["--namespace"]}, ""),
    ],
)
def test_a_flag_of_an_operator_is_read_in_every_spelling(container: dict[str, object], value: str) -> None:
    deployment = {"spec": {"template": {"spec": {"containers": [container]}}}}
    assert flag_value(deployment, "namespace") == value
