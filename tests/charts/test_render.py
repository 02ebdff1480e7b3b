"""What each value does to the rendered job: one row, one feature."""

from collections.abc import Callable
from typing import Any

import pytest
from maskrcnn_chart import Run, check_job, run
from rendering import VERSION

EFS_CLAIM = {"name": "efs", "persistentVolumeClaim": {"claimName": "tensorpack-efs-gp-bursting"}}
FSX_CLAIM = {"name": "fsx", "persistentVolumeClaim": {"claimName": "tensorpack-fsx"}}
GPU_TAINT = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


def claims(run: Run) -> list[dict[str, Any]]:
    return [volume for volume in run.pod("Worker")["volumes"] if "persistentVolumeClaim" in volume]


def mounts(run: Run) -> dict[str, str]:
    return {mount["name"]: mount["mountPath"] for mount in run.worker["volumeMounts"]}


FEATURES: dict[str, tuple[dict[str, Any], Callable[[Run], Any], Any]] = {
    "workers are gpus / gpus_per_node": (
        {"gpus": 32, "gpus_per_node": 8},
        lambda r: (r.spec["mpiReplicaSpecs"]["Worker"]["replicas"], r.spec["slotsPerWorker"]),
        (4, 8),
    ),
    "a rank for every gpu": (
        {"gpus": 32, "gpus_per_node": 8},
        lambda r: r.launcher["args"][:3],
        ["mpirun", "-np", "32"],
    ),
    "gpu_nodes that agrees changes nothing": (
        {"gpus": 32, "gpus_per_node": 8, "gpu_nodes": 4},
        lambda r: r.spec["mpiReplicaSpecs"]["Worker"]["replicas"],
        4,
    ),
    "workers take gpus": (
        {"gpus": 4, "gpus_per_node": 4},
        lambda r: r.worker["resources"],
        {"limits": {"nvidia.com/gpu": 4}, "requests": {"nvidia.com/gpu": 4}},
    ),
    "the launcher takes none": (
        {},
        lambda r: r.launcher["resources"],
        {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}},
    ),
    "on cpu, small requests and no device": (
        {"device": "cpu", "gpus": 2, "gpus_per_node": 2},
        lambda r: r.worker["resources"],
        {"limits": {}, "requests": {"cpu": "500m", "memory": "2048Mi"}},
    ),
    "on cpu, ranks yield while they wait": (
        {"device": "cpu"},
        lambda r: (r.env["OMPI_MCA_mpi_yield_when_idle"], "OMPI_MCA_mpi_yield_when_idle" in r.exported),
        ("1", False),
    ),
    "on gpu, they do not": ({}, lambda r: "OMPI_MCA_mpi_yield_when_idle" in r.env, False),
    "on cpu, ranks see no gpu": (
        {"device": "cpu"},
        lambda r: (r.env["CUDA_VISIBLE_DEVICES"], "CUDA_VISIBLE_DEVICES" in r.exported),
        ("-1", True),
    ),
    "a node group selects its nodes": (
        {"node_group": "p4d"},
        lambda r: r.pod("Worker")["nodeSelector"],
        {"node.kubernetes.io/instance-type": "p4d.24xlarge"},
    ),
    "and tolerates their taints": (
        {"node_group": "p4d"},
        lambda r: r.pod("Worker")["tolerations"],
        [GPU_TAINT],
    ),
    "but not for the launcher": (
        {"node_group": "p4d"},
        lambda r: {"nodeSelector", "tolerations"} & set(r.pod("Launcher")),
        set(),
    ),
    "its resources are nine tenths of the node's": (
        {"node_group": "p4d"},
        lambda r: r.worker["resources"],
        {
            "requests": {
                "cpu": "86121m",
                "memory": "974440Mi",
                "nvidia.com/gpu": 8,
                "vpc.amazonaws.com/efa": 4,
            },
            "limits": {"memory": "974440Mi", "nvidia.com/gpu": 8, "vpc.amazonaws.com/efa": 4},
        },
    ),
    "a part of the node takes its part": (
        {"node_group": "p4d", "gpus": 4, "gpus_per_node": 2},
        lambda r: r.worker["resources"]["requests"],
        {"cpu": "21530m", "memory": "243610Mi", "nvidia.com/gpu": 2, "vpc.amazonaws.com/efa": 1},
    ),
    "efa by hand": (
        {"node_group": "p4d", "efa": 0},
        lambda r: ("vpc.amazonaws.com/efa" in r.worker["resources"]["limits"], "FI_PROVIDER" in r.env),
        (False, False),
    ),
    "efa for a node group of one's own": (
        {"efa": 2},
        lambda r: (r.worker["resources"]["limits"]["vpc.amazonaws.com/efa"], r.env["FI_PROVIDER"]),
        (2, "efa"),
    ),
    "efa with rdma where the node can": (
        {"node_group": "p4d"},
        lambda r: {name: value for name, value in r.env.items() if name.startswith("FI_")},
        {"FI_PROVIDER": "efa", "FI_EFA_FORK_SAFE": "1", "FI_EFA_USE_DEVICE_RDMA": "1"},
    ),
    "and without where not": (
        {"node_group": "p3dn"},
        lambda r: {name: value for name, value in r.env.items() if name.startswith("FI_")},
        {"FI_PROVIDER": "efa", "FI_EFA_FORK_SAFE": "1"},
    ),
    "half a p3dn has no efa": (
        {"node_group": "p3dn", "gpus": 4, "gpus_per_node": 4},
        lambda r: "vpc.amazonaws.com/efa" in r.worker["resources"]["limits"],
        False,
    ),
    "cpu and memory by hand": (
        {"node_group": "g5", "cpu": 0.5, "memory": "10Gi"},
        lambda r: [r.worker["resources"]["requests"][name] for name in ("cpu", "memory")],
        ["0.5", "10Gi"],
    ),
    "huge pages on request": (
        {"node_group": "p4d", "hugepages": "5120Mi"},
        lambda r: r.worker["resources"]["limits"]["hugepages-2Mi"],
        "5120Mi",
    ),
    "shared memory is a quarter of the memory": (
        {"node_group": "g4dn", "gpus": 1, "gpus_per_node": 1},
        lambda r: (r.pod("Worker")["volumes"][-1], mounts(r)["shm"]),
        ({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "3620Mi"}}, "/dev/shm"),
    ),
    "shared memory without a node group": (
        {},
        lambda r: r.pod("Worker")["volumes"][-1]["emptyDir"]["sizeLimit"],
        "8Gi",
    ),
    "and on cpu": (
        {"device": "cpu"},
        lambda r: r.pod("Worker")["volumes"][-1]["emptyDir"]["sizeLimit"],
        "1Gi",
    ),
    "shared memory by hand": (
        {"node_group": "g4dn", "gpus": 1, "gpus_per_node": 1, "shm": "2Gi"},
        lambda r: r.pod("Worker")["volumes"][-1]["emptyDir"]["sizeLimit"],
        "2Gi",
    ),
    "labels and taints besides the node group's": (
        {
            "node_group": "p4d",
            "node_selector": {"topology.kubernetes.io/zone": "us-west-2b"},
            "tolerations": [{"key": "dedicated", "operator": "Exists"}, GPU_TAINT],
        },
        lambda r: (r.pod("Worker")["nodeSelector"], r.pod("Worker")["tolerations"]),
        (
            {
                "node.kubernetes.io/instance-type": "p4d.24xlarge",
                "topology.kubernetes.io/zone": "us-west-2b",
            },
            [GPU_TAINT, {"key": "dedicated", "operator": "Exists"}],
        ),
    ),
    "the old gpu_instance_type finds its node group": (
        {"gpu_instance_type": "p4d.24xlarge"},
        lambda r: r.worker["resources"]["limits"]["vpc.amazonaws.com/efa"],
        4,
    ),
    "one file system is mounted once": (
        {},
        lambda r: (claims(r), mounts(r)),
        ([EFS_CLAIM], {"efs": "/efs", "shm": "/dev/shm"}),
    ),
    "two when they differ": (
        {"data_fs": "fsx"},
        lambda r: (claims(r), mounts(r)),
        ([EFS_CLAIM, FSX_CLAIM], {"efs": "/efs", "fsx": "/fsx", "shm": "/dev/shm"}),
    ),
    "the launcher has what it writes to": (
        {"data_fs": "fsx"},
        lambda r: (r.pod("Launcher")["volumes"], r.launcher["volumeMounts"]),
        (
            [EFS_CLAIM, FSX_CLAIM],
            [{"name": "efs", "mountPath": "/efs"}, {"name": "fsx", "mountPath": "/fsx"}],
        ),
    ),
    "the data's directory follows its file system": (
        {"data_fs": "fsx", "data_dir": "coco"},
        lambda r: (r.env["DATA_FS"], r.setting("DATA.BASEDIR")),
        ("/fsx", "$(DATA_FS)/coco"),
    ),
    "the shared file system is also the data's": (
        {"global_": {"shared_fs": "fsx"}},
        lambda r: (claims(r), r.env["SHARED_FS"], r.env["DATA_FS"]),
        ([FSX_CLAIM], "/fsx", "/fsx"),
    ),
    "claims by name": (
        {
            "global_": {"shared_fs": "fsx", "shared_pvc": "pv-fsx"},
            "data_fs": "efs",
            "data_pvc": "pv-efs",
        },
        lambda r: [volume["persistentVolumeClaim"]["claimName"] for volume in claims(r)],
        ["pv-fsx", "pv-efs"],
    ),
    "the shared claim named twice is one": (
        {"global_": {"shared_pvc": "pv-efs"}, "data_pvc": "pv-efs"},
        lambda r: [volume["persistentVolumeClaim"]["claimName"] for volume in claims(r)],
        ["pv-efs"],
    ),
    "the log directory is stable and named after the job": (
        {"run": "lr-02"},
        lambda r: r.launcher["args"][r.launcher["args"].index("--logdir") + 1],
        "$(SHARED_FS)/kubeflow/demo-lr-02",
    ),
    "the ranks' output is stored in it": (
        {},
        lambda r: r.launcher["args"][r.launcher["args"].index("--output-filename") + 1],
        "$(SHARED_FS)/kubeflow/demo/ranks",
    ),
    "a run may be a number": ({"run": 0}, lambda r: r.name, "demo-0"),
    "the job may have a name": (
        {"name": "maskrcnn", "run": 2},
        lambda r: r.name,
        "maskrcnn-2",
    ),
    "our trainer": (
        {},
        lambda r: r.launcher["args"][r.launcher["args"].index("--logdir") - 1],
        "mrc-train",
    ),
    "or the image's own": (
        {"train_script": "/tensorpack/examples/FasterRCNN/train.py"},
        lambda r: r.launcher["args"][r.launcher["args"].index("--logdir") - 2 :][:2],
        ["python3", "/tensorpack/examples/FasterRCNN/train.py"],
    ),
    "working directory": (
        {"working_dir": "/mask-rcnn-tensorflow"},
        lambda r: (r.launcher["workingDir"], r.worker["workingDir"]),
        ("/mask-rcnn-tensorflow", "/mask-rcnn-tensorflow"),
    ),
    "image and pull policy": (
        {"image": "trainer:2", "image_pull_policy": "Never"},
        lambda r: [(c["image"], c["imagePullPolicy"]) for c in (r.launcher, r.worker)],
        [("trainer:2", "Never")] * 2,
    ),
    "as the image's user, no user is set": (
        {},
        lambda r: (r.pod("Worker")["securityContext"], r.worker["securityContext"]),
        ({"seccompProfile": {"type": "RuntimeDefault"}}, {"allowPrivilegeEscalation": False}),
    ),
    "services of the namespace set no variables": (
        {},
        lambda r: (r.pod("Worker")["enableServiceLinks"], r.pod("Launcher")["enableServiceLinks"]),
        (False, False),
    ),
    "ssh knows the key of the job's workers, and no other": (
        {},
        lambda r: (
            "-o StrictHostKeyChecking=yes -o UserKnownHostsFile=/tmp/mpi_known_hosts "
            in r.env["SSH_OPTIONS"],
            # Workers connect to one another as well.
            '$(cat /root/.ssh/id_rsa.pub)" >/tmp/mpi_known_hosts && exec' in r.worker["command"][2],
        ),
        (True, True),
    ),
    "as another user, restricted": (
        {"run_as_user": 1000, "run_as_group": 100},
        lambda r: (r.pod("Launcher")["securityContext"], r.worker["securityContext"]),
        (
            {
                "runAsUser": 1000,
                "runAsGroup": 100,
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        ),
    ),
    "user 0 is root": (
        {"run_as_user": 0},
        lambda r: (r.pod("Worker")["securityContext"], r.spec["sshAuthMountPath"]),
        ({"runAsUser": 0, "seccompProfile": {"type": "RuntimeDefault"}}, "/root/.ssh"),
    ),
    "root's sshd listens on 22": (
        {},
        lambda r: (r.worker["ports"], " -p 22 " in r.worker["command"][2], r.env["SSH_OPTIONS"][:6]),
        ([{"name": "ssh", "containerPort": 22}], True, "-p 22 "),
    ),
    "another user's on 2222, with its own key": (
        {"run_as_user": 1000},
        lambda r: (
            r.worker["ports"],
            " -p 2222 " in r.worker["command"][2],
            r.env["SSH_OPTIONS"][:38],
            r.spec["sshAuthMountPath"],
        ),
        (
            [{"name": "ssh", "containerPort": 2222}],
            True,
            "-p 2222 -i /home/mpiuser/.ssh/id_rsa -",
            "/home/mpiuser/.ssh",
        ),
    ),
    "the launcher waits for the workers' sshd": (
        {},
        lambda r: (r.spec["launcherCreationPolicy"], r.worker["readinessProbe"]["tcpSocket"]),
        ("WaitForWorkersReady", {"port": "ssh"}),
    ),
    "failed launchers keep their logs, workers come back": (
        {},
        lambda r: {name: spec["restartPolicy"] for name, spec in r.spec["mpiReplicaSpecs"].items()},
        {"Launcher": "Never", "Worker": "OnFailure"},
    ),
    "retries": (
        {"backoff_limit": 5},
        lambda r: [r.spec["runPolicy"][name] for name in ("cleanPodPolicy", "backoffLimit")],
        ["Running", 5],
    ),
    "no pod has a token of the API": (
        {},
        lambda r: [r.pod(role)["automountServiceAccountToken"] for role in ("Launcher", "Worker")],
        [False, False],
    ),
    "without gang scheduling no pod waits for another": (
        {},
        lambda r: r.spec["runPolicy"]["schedulingPolicy"],
        {"minAvailable": 1},
    ),
    "gang scheduling counts the workers alone": (
        {"gang": True, "priority_class": "high"},
        lambda r: r.spec["runPolicy"]["schedulingPolicy"],
        {"minAvailable": 2, "priorityClass": "high"},
    ),
    "priority class": (
        {"priority_class": "high"},
        lambda r: [r.pod(role)["priorityClassName"] for role in ("Launcher", "Worker")],
        ["high", "high"],
    ),
    "queue": (
        {"queue": "gpu"},
        lambda r: r.job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"],
        "gpu",
    ),
    "the launcher's own place and size": (
        {
            "launcher": {
                "node_selector": {"pool": "cpu"},
                "tolerations": [{"key": "cpu", "operator": "Exists"}],
                "resources": {"limits": {"memory": "4Gi"}},
            }
        },
        lambda r: (
            r.pod("Launcher")["nodeSelector"],
            r.pod("Launcher")["tolerations"],
            r.launcher["resources"]["limits"],
        ),
        ({"pool": "cpu"}, [{"key": "cpu", "operator": "Exists"}], {"memory": "4Gi"}),
    ),
    "objects go to the release's namespace when global.namespace is empty": (
        {"global_": {"namespace": ""}, "namespace": "vision"},
        lambda r: (r.job["metadata"]["namespace"], "$(SHARED_FS)/vision/demo" in r.launcher["args"]),
        ("vision", True),
    ),
    "a release may be in the namespace of its objects": (
        {"global_": {"namespace": "vision"}, "namespace": "vision"},
        lambda r: r.job["metadata"]["namespace"],
        "vision",
    ),
    "recommended labels": (
        {},
        lambda r: r.job["metadata"]["labels"],
        {
            "app.kubernetes.io/name": "maskrcnn",
            "app.kubernetes.io/instance": "demo",
            "app.kubernetes.io/component": "training",
            "app.kubernetes.io/version": VERSION,
            "app.kubernetes.io/part-of": "mask-rcnn",
            "app.kubernetes.io/managed-by": "Helm",
            "helm.sh/chart": f"maskrcnn-{VERSION}",
        },
    ),
    "interfaces that Open MPI leaves alone": (
        {"if_exclude": "lo,docker0"},
        lambda r: r.launcher["args"][r.launcher["args"].index("btl_tcp_if_exclude") - 1 :][:3],
        ["--mca", "btl_tcp_if_exclude", "lo,docker0"],
    ),
}


@pytest.mark.parametrize(("values", "extract", "expected"), FEATURES.values(), ids=FEATURES)
def test_a_value_has_the_documented_effect(
    values: dict[str, Any], extract: Callable[[Run], Any], expected: Any
) -> None:
    rendered = run(**values)
    check_job(rendered.job)
    assert extract(rendered) == expected


@pytest.mark.parametrize("version", ["1.27", "1.37"])
def test_the_job_is_valid_for_the_oldest_and_the_newest_kubernetes(version: str) -> None:
    check_job(run(node_group="p4d", data_fs="fsx", run_as_user=1000).job, version)


def test_pods_need_nothing_that_pod_security_baseline_forbids() -> None:
    # https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline
    for values in ({"node_group": "p4d"}, {"run_as_user": 1000}, {"device": "cpu"}):
        rendered = run(**values)
        for replica in ("Launcher", "Worker"):
            pod = rendered.pod(replica)
            assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
            assert all(set(volume) & {"persistentVolumeClaim", "emptyDir"} for volume in pod["volumes"])
            for container in pod["containers"]:
                context = container.get("securityContext", {})
                assert "privileged" not in context
                assert "add" not in context.get("capabilities", {})
                assert all("hostPort" not in port for port in container.get("ports", []))


def test_pods_keep_their_labels_when_only_the_chart_is_newer() -> None:
    labels = run().spec["mpiReplicaSpecs"]["Worker"]["template"]["metadata"]["labels"]
    assert labels == {
        "app.kubernetes.io/name": "maskrcnn",
        "app.kubernetes.io/instance": "demo",
        "app.kubernetes.io/component": "worker",
        "sidecar.istio.io/inject": "false",
    }


def test_the_notes_name_the_job_its_log_and_its_directory() -> None:
    notes = run(name="maskrcnn", run="b", global_={"shared_fs": "fsx"}).notes
    assert "Run maskrcnn-b: 16 ranks in 2 workers" in notes
    assert "kubectl logs --namespace kubeflow --follow" in notes
    assert "training.kubeflow.org/job-name=maskrcnn-b,training.kubeflow.org/job-role=launcher" in notes
    assert "/fsx/kubeflow/maskrcnn-b on the claim tensorpack-fsx" in notes
    assert "helm delete demo --namespace default" in notes
