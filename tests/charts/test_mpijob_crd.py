"""The CRD of the chart mpijob: a compact schema of MPIJobs.

Whether a real API server takes the CRD, its rules in CEL included, and whether the real operator runs such
jobs, is tested on a cluster.
"""

from copy import deepcopy
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
from maskrcnn_chart import run
from rendering import CHARTS, NEWEST, OLDEST, Object, mpijob_schema, only, render_objects, unknown_fields

CRD = only(render_objects(CHARTS / "mpijob", {}), "CustomResourceDefinition")
SCHEMA = mpijob_schema()
JOB: Object = run(node_group="p4d", run_as_user=1000, gang=True, priority_class="high").job

# Fields of the operator's API, version 0.8.0: pkg/apis/kubeflow/v2beta1/types.go.
FIELDS = {
    "": {"slotsPerWorker", "runLauncherAsWorker", "runPolicy", "mpiReplicaSpecs", "sshAuthMountPath"}
    | {"launcherCreationPolicy", "mpiImplementation"},
    "runPolicy": {"cleanPodPolicy", "ttlSecondsAfterFinished", "activeDeadlineSeconds", "backoffLimit"}
    | {"schedulingPolicy", "suspend", "managedBy"},
    "runPolicy.schedulingPolicy": {"minAvailable", "queue", "minResources", "priorityClass"}
    | {"scheduleTimeoutSeconds"},
    "mpiReplicaSpecs": {"Launcher", "Worker"},
    "mpiReplicaSpecs.Launcher": {"replicas", "restartPolicy", "template"},
    "mpiReplicaSpecs.Worker": {"replicas", "restartPolicy", "template"},
}
STATUS = {"conditions", "replicaStatuses", "startTime", "completionTime", "lastReconcileTime"}


def at(schema: Any, path: str) -> Any:
    for name in filter(None, path.split(".")):
        schema = schema["properties"][name]
    return schema


def changed(path: str, value: Any) -> Object:
    """A valid job with one field of its spec changed; None removes it."""
    job = deepcopy(JOB)
    *parents, last = path.split(".")
    place = job["spec"]
    for name in parents:
        place = place[int(name)] if isinstance(place, list) else place.setdefault(name, {})
    if value is None:
        del place[last]
    else:
        place[last] = value
    return job


def faults(job: Object) -> list[str]:
    """The schema's errors for the job."""
    errors = jsonschema.Draft202012Validator(SCHEMA).iter_errors(job)
    return [error.message for error in errors] + list(unknown_fields(job["spec"], at(SCHEMA, "spec"), "spec"))


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_the_definition_is_valid(version: str) -> None:
    kubernetes_validate.validate(CRD, version, strict=True)


def test_its_names_are_the_operators() -> None:
    assert CRD["metadata"]["name"] == "mpijobs.kubeflow.org"
    assert (CRD["spec"]["group"], CRD["spec"]["scope"]) == ("kubeflow.org", "Namespaced")
    assert (CRD["spec"]["names"]["kind"], CRD["spec"]["names"]["plural"]) == ("MPIJob", "mpijobs")


def test_its_only_version_is_served_with_a_status_subresource() -> None:
    (version,) = CRD["spec"]["versions"]
    assert (version["name"], version["served"], version["storage"]) == ("v2beta1", True, True)
    assert version["subresources"] == {"status": {}}


def test_a_table_of_jobs_shows_state_and_size() -> None:
    columns = CRD["spec"]["versions"][0]["additionalPrinterColumns"]
    assert [column["name"] for column in columns] == [
        "State",
        "Suspended",
        "Workers",
        "Started",
        "Completed",
        "Age",
    ]


@pytest.mark.parametrize("path", FIELDS)
def test_it_has_every_field_of_the_operators_api_and_no_other(path: str) -> None:
    assert set(at(SCHEMA, "spec" + (path and f".{path}"))["properties"]) == FIELDS[path]


def test_it_has_every_field_of_the_status() -> None:
    assert set(at(SCHEMA, "status")["properties"]) == STATUS


def test_it_is_structural() -> None:
    # https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
    def check(schema: dict[str, Any], path: str) -> None:
        assert "type" in schema or schema.get("x-kubernetes-int-or-string"), path
        assert not ("properties" in schema and "additionalProperties" in schema), path
        assert set(schema.get("required", [])) <= set(schema.get("properties", {})), path
        if "x-kubernetes-list-map-keys" in schema:
            assert set(schema["x-kubernetes-list-map-keys"]) <= set(schema["items"]["properties"]), path
        for name, part in schema.get("properties", {}).items():
            check(part, f"{path}.{name}")
        for name in ("items", "additionalProperties"):
            if name in schema:
                check(schema[name], f"{path}.{name}")

    check(SCHEMA, "")


def test_defaults_are_those_that_the_operator_would_set() -> None:
    # pkg/apis/kubeflow/v2beta1/default.go
    defaults = {
        name: part["default"] for name, part in at(SCHEMA, "spec")["properties"].items() if "default" in part
    }
    assert defaults == {
        "slotsPerWorker": 1,
        "runLauncherAsWorker": False,
        "sshAuthMountPath": "/root/.ssh",
        "launcherCreationPolicy": "AtStartup",
        "mpiImplementation": "OpenMPI",
    }


JOBS: dict[str, dict[str, Any]] = {
    "on one node": {"gpus": 1, "gpus_per_node": 1},
    "on cpus": {"device": "cpu", "gpus": 2, "gpus_per_node": 2},
    "on both file systems": {"data_fs": "fsx"},
    "in a queue": {"queue": "gpu"},
    "of another user": {"run_as_user": 1000, "run_as_group": 1000},
    "with a secret in its environment": {
        "env": {"TOKEN": {"valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}}
    },
}


@pytest.mark.parametrize("values", JOBS.values(), ids=JOBS)
def test_jobs_of_the_chart_maskrcnn_are_legal(values: dict[str, Any]) -> None:
    assert faults(run(**values).job) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("runPolicy.suspend", True),
        ("runPolicy.managedBy", "kueue.x-k8s.io/multikueue"),
        ("runPolicy.cleanPodPolicy", "All"),
        ("runPolicy.ttlSecondsAfterFinished", 60),
        ("runPolicy.activeDeadlineSeconds", 3_000_000_000),
        ("runPolicy.schedulingPolicy.minResources", {"cpu": 1, "memory": "1Gi"}),
        ("runLauncherAsWorker", True),
        ("mpiImplementation", "MPICH"),
        ("slotsPerWorker", 0),
        ("mpiReplicaSpecs.Worker", None),
        ("mpiReplicaSpecs.Worker.replicas", 1000),
        ("mpiReplicaSpecs.Worker.template.spec.a_field_of_tomorrow", 1),
        ("mpiReplicaSpecs.Worker.template.metadata.finalizers", ["a/b"]),
    ],
)
def test_what_the_operator_accepts_is_legal(path: str, value: Any) -> None:
    assert faults(changed(path, value)) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        # Fields that do not exist, which the API server drops or, asked to be strict, rejects.
        ("slotPerWorker", 8),
        ("cleanPodPolicy", "Running"),
        ("runPolicy.backofLimit", 2),
        ("runPolicy.schedulingPolicy.minAvailables", 2),
        ("mpiReplicaSpecs.Workers", {}),
        ("mpiReplicaSpecs.worker", {}),
        ("mpiReplicaSpecs.Launcher.restartPolicies", "Never"),
        ("mpiReplicaSpecs.Worker.template.specs", {}),
        # Values that the operator's validation.go rejects.
        ("mpiReplicaSpecs", {}),
        ("mpiReplicaSpecs.Launcher", None),
        ("mpiReplicaSpecs.Launcher.replicas", 2),
        ("mpiReplicaSpecs.Worker.replicas", 0),
        ("mpiReplicaSpecs.Worker.restartPolicy", "Always"),
        ("mpiReplicaSpecs.Worker.restartPolicy", "ExitCode"),
        ("mpiReplicaSpecs.Worker.template.spec.containers", []),
        ("mpiReplicaSpecs.Worker.template.spec.containers", None),
        ("runPolicy.cleanPodPolicy", "Always"),
        ("runPolicy.managedBy", "me"),
        ("runPolicy.backoffLimit", -1),
        ("runPolicy.ttlSecondsAfterFinished", -1),
        ("runPolicy.activeDeadlineSeconds", -1),
        ("slotsPerWorker", -1),
        ("sshAuthMountPath", ""),
        ("mpiImplementation", "openmpi"),
        # One that it takes for WaitForWorkersReady, whatever it is.
        ("launcherCreationPolicy", "AtStart"),
        # Values of another type.
        ("slotsPerWorker", "8"),
        ("mpiReplicaSpecs.Worker.template.metadata.labels", {"a": 1}),
        ("mpiReplicaSpecs.Worker.template.spec.containers.0.name", None),
        ("mpiReplicaSpecs.Worker.template.spec.volumes.0.name", None),
    ],
)
def test_a_mistake_is_rejected(path: str, value: Any) -> None:
    assert len(faults(changed(path, value))) == 1


@pytest.mark.parametrize("field", ["containers", "initContainers", "volumes"])
def test_a_pods_lists_have_no_duplicates(field: str) -> None:
    pod = at(SCHEMA, "spec.mpiReplicaSpecs.Worker.template.spec")
    assert at(pod, field)["x-kubernetes-list-type"] == "map"
    assert at(pod, field)["x-kubernetes-list-map-keys"] == ["name"]


def test_it_is_small() -> None:
    # Upstream's is 670 kB; a release's Secret, which holds all objects, takes 1 MiB.
    assert len(str(CRD)) < 20_000
