"""The chart mpijob: the operator, its rights, and what a release leaves behind."""

from collections.abc import Callable
from typing import Any

import pytest
from mrc_values.helm import RenderError, render
from rendering import CHARTS, NEWEST, OLDEST, Object, check_object, only, render_objects
from server_charts import restricted_violations

CHART = CHARTS / "mpijob"
KEEP = {"helm.sh/resource-policy": "keep"}
OPERATOR_FLAGS = ["--lock-namespace=kubeflow", "--kube-api-qps=50", "--kube-api-burst=100"]
NAMESPACE_SCOPE = {"operator": {"scope": "namespace"}}

# What the operator 0.8 does with the API, by its source (github.com/kubeflow/mpi-operator, tag v0.8.0).
# Informers list and watch: pkg/controller/mpi_job_controller.go, NewMPIJobControllerWithClock. They run for
# priority classes in every case, and the operator ends when one is rejected ("Unable to sync cache").
READS = {"list", "watch"}
JOB_RIGHTS = {
    ("kubeflow.org", "mpijobs"): READS,
    ("kubeflow.org", "mpijobs/status"): {"update"},  # doUpdateJobStatus
    # Its objects are owned by the job with blockOwnerDeletion, which is a right on OpenShift:
    # https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#ownerreferencespermissionenforcement
    ("kubeflow.org", "mpijobs/finalizers"): {"update"},
    ("", "configmaps"): READS | {"create", "update"},  # getOrCreateConfigMap: the hostfile
    ("", "secrets"): READS | {"create", "update"},  # getOrCreateSSHAuthSecret
    ("", "services"): READS | {"create", "update"},  # getOrCreateService: the workers' host names
    ("", "pods"): READS | {"create", "delete"},  # getOrCreateWorker, deleteWorkerPods
    ("batch", "jobs"): READS | {"create", "update"},  # syncHandler: the launcher, suspend and resume
    ("batch", "jobs/status"): {"update"},  # syncHandler: UpdateStatus before it resumes
    ("", "events"): {"create", "patch"},  # the recorder
}
# k8s.io/client-go/tools/leaderelection/resourcelock/leaselock.go; the lease's name is the controller's
# (cmd/mpi-operator/app/server.go).
LEASE_RIGHTS = {("coordination.k8s.io", "leases"): {"get", "create", "update"}}
PRIORITY_RIGHTS = {("scheduling.k8s.io", "priorityclasses"): READS}
# pkg/controller/podgroup.go
POD_GROUP_RIGHTS = READS | {"create", "update", "delete"}


def install(values: dict[str, Any] | None = None, release: str = "mpijob", namespace: str = "default") -> Any:
    return render_objects(CHART, values or {}, release, namespace)


def kinds(objects: list[Object]) -> set[str]:
    return {item["kind"] for item in objects}


def container(objects: list[Object]) -> Any:
    return only(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]


def operator_role(objects: list[Object]) -> Object:
    """The cluster role of the operator, not those that are added to Kubernetes' roles."""
    (role,) = (
        item
        for item in objects
        if item["kind"] == "ClusterRole"
        and item["metadata"]["labels"]["app.kubernetes.io/component"] == "operator"
    )
    return role


def rights(role: Object) -> dict[tuple[str, str], set[str]]:
    """Verbs by API group and resource."""
    verbs: dict[tuple[str, str], set[str]] = {}
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                verbs.setdefault((group, resource), set()).update(rule["verbs"])
    return verbs


def test_a_plain_install_brings_the_crd_the_namespace_and_the_operator() -> None:
    assert kinds(install()) == {
        "CustomResourceDefinition",
        "Namespace",
        "Deployment",
        "ServiceAccount",
        "ClusterRole",
        "ClusterRoleBinding",
        "Role",
        "RoleBinding",
    }


FEATURES: dict[str, tuple[dict[str, Any], Callable[[list[Object]], Any], Any]] = {
    "everything is in global.namespace": (
        {"global": {"namespace": "training"}},
        lambda rendered: {item["metadata"].get("namespace", "training") for item in rendered},
        {"training"},
    ),
    "which is created": (
        {"global": {"namespace": "training"}},
        lambda rendered: only(rendered, "Namespace")["metadata"]["name"],
        "training",
    ),
    "unless somebody else does": (
        {"namespace": {"create": False}},
        lambda rendered: "Namespace" in kinds(rendered),
        False,
    ),
    "empty means the release's": (
        {"global": {"namespace": ""}},
        lambda rendered: (
            only(rendered, "Deployment")["metadata"]["namespace"],
            "Namespace" in kinds(rendered),
        ),
        ("default", False),
    ),
    "without the crd": (
        {"crd": {"create": False}},
        lambda rendered: "CustomResourceDefinition" in kinds(rendered),
        False,
    ),
    "without the operator": (
        {"operator": {"enabled": False}},
        kinds,
        {"CustomResourceDefinition", "Namespace", "ClusterRole"},
    ),
    "nothing at all": (
        {"operator": {"enabled": False}, "crd": {"create": False}, "namespace": {"create": False}},
        kinds,
        set(),
    ),
    "the operator sees the whole cluster": (
        {},
        lambda rendered: container(rendered)["args"],
        OPERATOR_FLAGS,
    ),
    "or one namespace": (
        NAMESPACE_SCOPE,
        lambda rendered: container(rendered)["args"],
        [*OPERATOR_FLAGS, "--namespace=kubeflow"],
    ),
    "with a gang scheduler": (
        {"operator": {"gang_scheduling": "volcano"}},
        lambda rendered: container(rendered)["args"],
        [*OPERATOR_FLAGS, "--gang-scheduling=volcano"],
    ),
    "image and policy": (
        {"operator": {"image": "example.org/operator:1", "image_pull_policy": "Always"}},
        lambda rendered: (container(rendered)["image"], container(rendered)["imagePullPolicy"]),
        ("example.org/operator:1", "Always"),
    ),
    "the image is the version that Chart.yaml names": (
        {},
        lambda rendered: (
            container(rendered)["image"].rpartition(":")[2],
            only(rendered, "Deployment")["metadata"]["labels"]["app.kubernetes.io/version"],
        ),
        ("0.8.0", "0.8.0"),
    ),
    "replicas": (
        {"operator": {"replicas": 3}},
        lambda rendered: only(rendered, "Deployment")["spec"]["replicas"],
        3,
    ),
    "resources": (
        {"operator": {"resources": {"requests": {"cpu": 1}, "limits": None}}},
        lambda rendered: container(rendered)["resources"],
        {"requests": {"cpu": 1, "memory": "128Mi"}},
    ),
    "placement": (
        {
            "operator": {
                "node_selector": {"role": "system"},
                "tolerations": [{"key": "system", "operator": "Exists"}],
                "priority_class": "high",
            }
        },
        lambda rendered: [
            only(rendered, "Deployment")["spec"]["template"]["spec"][name]
            for name in ("nodeSelector", "tolerations", "priorityClassName")
        ],
        [{"role": "system"}, [{"key": "system", "operator": "Exists"}], "high"],
    ),
}


@pytest.mark.parametrize(("values", "extract", "expected"), FEATURES.values(), ids=FEATURES)
def test_a_value_has_the_documented_effect(
    values: dict[str, Any], extract: Callable[[list[Object]], Any], expected: Any
) -> None:
    assert extract(install(values)) == expected


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("values", [row[0] for row in FEATURES.values()], ids=FEATURES)
def test_every_object_is_valid(values: dict[str, Any], version: str) -> None:
    for item in install(values):
        check_object(item, version)


def test_helm_delete_keeps_the_crd_with_all_jobs_and_the_namespace_and_nothing_else() -> None:
    kept = {
        item["kind"] for item in install() if KEEP.items() <= item["metadata"].get("annotations", {}).items()
    }
    assert kept == {"CustomResourceDefinition", "Namespace"}


def test_the_namespace_that_holds_the_release_is_left_to_helm() -> None:
    # With --create-namespace Helm makes it after rendering, and then cannot create it a second time.
    assert "Namespace" not in kinds(install(namespace="kubeflow"))


@pytest.mark.parametrize("values", [{}, NAMESPACE_SCOPE], ids=["cluster", "namespace"])
def test_the_operator_has_the_rights_that_its_source_uses_and_no_others(values: dict[str, Any]) -> None:
    rendered = install(values)
    near, far = rights(only(rendered, "Role")), rights(operator_role(rendered))
    if values:
        assert near == LEASE_RIGHTS | JOB_RIGHTS
        assert far == PRIORITY_RIGHTS
    else:
        assert near == LEASE_RIGHTS
        assert far == PRIORITY_RIGHTS | JOB_RIGHTS


@pytest.mark.parametrize(
    ("scheduler", "group"),
    [("volcano", "scheduling.volcano.sh"), ("scheduler-plugins-scheduler", "scheduling.x-k8s.io")],
)
def test_a_gang_scheduler_adds_the_right_to_its_pod_groups(scheduler: str, group: str) -> None:
    rendered = install({"operator": {"gang_scheduling": scheduler}})
    assert rights(operator_role(rendered)) == PRIORITY_RIGHTS | JOB_RIGHTS | {
        (group, "podgroups"): POD_GROUP_RIGHTS
    }


def test_whoever_may_edit_or_view_a_namespace_may_do_so_with_its_jobs() -> None:
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    verbs: dict[str, set[str]] = {}
    for item in install():
        labels = item["metadata"]["labels"]
        for level in ("view", "edit", "admin"):
            if labels.get(prefix + level) == "true":
                verbs[level] = rights(item)["kubeflow.org", "mpijobs"]
    edit = {"create", "update", "patch", "delete", "deletecollection"}
    assert verbs == {"view": {"get", "list", "watch"}, "edit": edit, "admin": edit}
    # Where Kubeflow has installed the CRD, it has roles of its own.
    without = install({"crd": {"create": False}})
    assert not any(name.startswith(prefix) for item in without for name in item["metadata"]["labels"])


@pytest.mark.parametrize("level", ["restricted", "", None])
def test_the_namespace_enforces_a_level_of_pod_security(level: str | None) -> None:
    label = "pod-security.kubernetes.io/enforce"
    assert only(install(), "Namespace")["metadata"]["labels"][label] == "baseline"
    namespace = only(install({"namespace": {"pod_security": level}}), "Namespace")
    assert namespace["metadata"]["labels"].get(label, "") == (level or "")


def test_the_operator_changes_no_lease_but_its_own() -> None:
    changing = [
        rule
        for rule in only(install(), "Role")["rules"]
        if "leases" in rule["resources"] and "update" in rule["verbs"]
    ]
    assert [rule["resourceNames"] for rule in changing] == [["mpi-operator"]]


def test_the_rights_are_bound_to_the_account_of_the_pods() -> None:
    rendered = install()
    account = only(rendered, "ServiceAccount")["metadata"]
    pod = only(rendered, "Deployment")["spec"]["template"]["spec"]
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == (account["name"], True)
    for kind in ("RoleBinding", "ClusterRoleBinding"):
        binding = only(rendered, kind)
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
        ]
        role = operator_role(rendered) if kind == "ClusterRoleBinding" else only(rendered, "Role")
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) == (
            role["kind"],
            role["metadata"]["name"],
        )


def test_the_operator_runs_under_pod_security_restricted() -> None:
    pod = only(install(), "Deployment")["spec"]["template"]["spec"]
    assert restricted_violations(pod) == []


def test_the_operator_writes_no_files() -> None:
    assert container(install())["securityContext"]["readOnlyRootFilesystem"] is True


def test_the_probes_ask_the_operators_health_port() -> None:
    # 8080 and /healthz: cmd/mpi-operator/app/server.go.
    operator = container(install())
    assert operator["ports"] == [{"name": "health", "containerPort": 8080}]
    for probe in ("livenessProbe", "readinessProbe"):
        assert operator[probe]["httpGet"] == {"path": "/healthz", "port": "health"}


def test_selectors_find_the_pods_and_stay_the_same_over_versions() -> None:
    deployment = only(install(), "Deployment")
    selector = deployment["spec"]["selector"]["matchLabels"]
    assert selector.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    assert selector == {
        "app.kubernetes.io/name": "mpijob",
        "app.kubernetes.io/instance": "mpijob",
        "app.kubernetes.io/component": "operator",
    }


RELEASES = ["mpijob", "a", "0-starts-with-a-digit", "dots.in.a.release", "x" * 53, "true", "1e3"]


@pytest.mark.parametrize("release", RELEASES)
def test_any_release_has_legal_names(release: str) -> None:
    for item in install(release=release):
        check_object(item)
        assert len(item["metadata"]["name"]) <= 63 or item["kind"].startswith("Cluster")
        for label in item["metadata"]["labels"].values():
            assert len(label) <= 63


def test_two_releases_share_nothing_but_the_crd_and_the_namespace() -> None:
    def names(rendered: list[Object]) -> set[tuple[str, str, str]]:
        return {
            (item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"])
            for item in rendered
            if item["kind"] not in ("CustomResourceDefinition", "Namespace")
        }

    places = [("a", "kubeflow"), ("b", "kubeflow"), ("a", "other"), ("a-b", "c"), ("b", "c-a"), ("a", "b-c")]
    installed = [names(install({"global": {"namespace": ns}}, release)) for release, ns in places]
    assert len(set().union(*installed)) == sum(map(len, installed))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"operator": None}, "operator is null but requires a value."),
        ({"operator": {"replicas": None}}, "operator.replicas is null but requires a value. Set it, or"),
        ({"crd": {"create": None}}, "crd.create is null but requires a value."),
        ({"global": None}, "global is null but requires a value."),
        ({"operator": {"replicas": 0}}, "at '/operator/replicas': minimum: got 0, want 1"),
        (
            {"operator": {"scope": "node"}},
            "at '/operator/scope': value must be one of 'cluster', 'namespace'",
        ),
        ({"operator": {"image": ""}}, "at '/operator/image'"),
        ({"operator": {"replica": 2}}, "at '/operator': additional properties 'replica' not allowed"),
        ({"crds": {"create": False}}, "additional properties 'crds' not allowed"),
        ({"operator": {"enabled": "yes"}}, "at '/operator/enabled': got string, want boolean"),
        ({"global": {"namespace": "Kube_Flow"}}, "at '/global/namespace'"),
        ({"operator": {"gang_scheduling": True}}, "at '/operator/gang_scheduling'"),
    ],
    ids=str,
)
def test_a_wrong_value_is_rejected_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(RenderError) as error:
        install(values)
    assert message in str(error.value)


def test_a_release_in_a_third_namespace_is_rejected() -> None:
    with pytest.raises(RenderError, match=r"global\.namespace: the release is in namespace elsewhere"):
        install(namespace="elsewhere")


NOTES: list[tuple[dict[str, Any], str, list[str]]] = [
    (
        {},
        "default",
        [
            "kubectl rollout status deployment mpijob-operator --namespace kubeflow",
            "helm install maskrcnn ./charts/maskrcnn --set maskrcnn.image=<registry>/<name>:<tag>",
            "helm delete mpijob --namespace default",
        ],
    ),
    (
        {"global": {"namespace": "training"}, **NAMESPACE_SCOPE},
        "training",
        [
            "manages jobs of namespace training",
            "./charts/maskrcnn --namespace training --set global.namespace=training --set maskrcnn.image=",
            "helm delete mpijob --namespace training",
        ],
    ),
    ({"operator": {"enabled": False}}, "default", ["The operator is disabled (operator.enabled)"]),
]


@pytest.mark.parametrize(("values", "namespace", "lines"), NOTES)
def test_the_notes_give_the_next_commands(values: dict[str, Any], namespace: str, lines: list[str]) -> None:
    notes = render(CHART, values, "mpijob", namespace)["mpijob/templates/NOTES.txt"]
    for line in lines:
        assert line in notes


@pytest.mark.parametrize("kind", ["Namespace", "CustomResourceDefinition"])
def test_helm_argo_cd_and_flux_keep_namespace_and_crd(kind: str) -> None:
    annotations = only(render_objects(CHARTS / "mpijob", {}), kind)["metadata"]["annotations"]
    assert annotations == {
        "helm.sh/resource-policy": "keep",
        "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
        "kustomize.toolkit.fluxcd.io/prune": "disabled",
    }


def test_for_kubectl_delete_namespace_and_crd_can_be_left_out() -> None:
    values = {"namespace": {"create": False}, "crd": {"create": False}}
    kinds = {item["kind"] for item in render_objects(CHARTS / "mpijob", values)}
    assert kinds & {"Namespace", "CustomResourceDefinition", "PersistentVolumeClaim"} == set()
