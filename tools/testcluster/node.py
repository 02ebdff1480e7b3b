"""A real node: containerd, kubelet, kube-proxy and DNS. Its pods run as processes."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from testcluster.control_plane import ControlPlane
from testcluster.images import PAUSE
from testcluster.processes import Processes

NAME = "node-1"
PODS = "10.244.0.0/24"
SOCKET = "/run/containerd/containerd.sock"

CLIENTS = {
    "kubelet": f"/O=system:nodes/CN=system:node:{NAME}",
    "proxy": "/CN=system:kube-proxy",
    "dns": "/CN=test:dns",
}

SYSCTLS = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1000000,
    "kernel/keys/root_maxbytes": 25000000,
}
"""Kernel settings that the kubelet would otherwise change on the host."""


def prepare(state: Path) -> None:
    """Prepares the namespaces for a kubelet: shared mounts for containers, private sysctls."""
    # Mounts propagate between the kubelet and its containers, but not to the host.
    _run("mount", "--make-rprivate", "/")
    _run("mount", "--make-rshared", "/")
    for name, value in SYSCTLS.items():
        # The kubelet finds the value that it wants in this file and does not change the host's.
        stand_in = state / name.replace("/", "-")
        stand_in.write_text(f"{value}\n")
        _run("mount", "--bind", str(stand_in), f"/proc/sys/{name}")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    _run("hostname", NAME)


def start(
    processes: Processes,
    programs: Mapping[str, str],
    plane: ControlPlane,
    address: str,
    disk: Path,
    group: str,
) -> None:
    """Starts the node and waits until it is ready.

    ``disk``: directory for large files; ``images_of(disk)`` already contains the container images;
    ``group``: control group of all pods.
    """
    for name, subject in CLIENTS.items():
        plane.authority.client(name, subject)
    plane.authority.server("kubelet-server", f"/O=system:nodes/CN=system:node:{NAME}", [f"IP:{address}"])
    for directory in ("kubelet", "logs"):
        (disk / directory).mkdir()
    state = plane.state
    cni = state / "cni"
    config = state / "containerd.toml"
    config.write_text(_CONTAINERD.format(root=images_of(disk), socket=SOCKET, pause=PAUSE, cni=cni))
    processes.start("containerd", ["containerd", "--config", config])
    ctr = ["ctr", "--address", SOCKET, "--namespace", "k8s.io"]
    processes.wait("containerd", lambda: _succeeds(*ctr, "version"))
    cni.mkdir(exist_ok=True)
    _write(cni / "10-pods.conflist", _CNI)
    make_groups(group)
    kubelet = _write(state / "kubelet.json", _kubelet(plane.authority.directory, address, disk, group, state))
    processes.start(
        "kubelet",
        [
            *(programs["kube"], "kubelet", f"--config={kubelet}", f"--root-dir={disk / 'kubelet'}"),
            *(f"--kubeconfig={plane.kubeconfig('kubelet')}", f"--hostname-override={NAME}"),
            *(f"--node-ip={address}", f"--cert-dir={state / 'kubelet-pki'}"),
        ],
    )
    proxy = _write(state / "proxy.json", _proxy(plane.kubeconfig("proxy")))
    processes.start("kube-proxy", [programs["kube"], "kube-proxy", f"--config={proxy}"])
    for path, body in _DNS_RIGHTS.items():
        plane.api.create(path, body)
    corefile = state / "Corefile"
    corefile.write_text(_COREFILE.format(address=address, kubeconfig=plane.kubeconfig("dns")))
    processes.start("coredns", [programs["coredns"], "-conf", corefile])
    processes.wait("node", lambda: _ready(plane))


def images_of(disk: Path) -> Path:
    """Returns containerd's root directory."""
    return disk / "containerd"


def make_groups(name: str) -> None:
    """Creates the control group of all pods in every hierarchy."""
    for top in _hierarchies():
        (top / name).mkdir(exist_ok=True)
        shares = top / name / "cpu.shares"
        if shares.exists():
            # As the kubelet does for its own group: by default, all pods together weigh as much as one.
            shares.write_text(str(1024 * (os.cpu_count() or 1)))


def remove_groups(name: str) -> None:
    """Removes the control group, with empty groups that pods left."""
    for top in _hierarchies():
        for directory in sorted((top / name).rglob("*"), reverse=True):
            if directory.is_dir():
                directory.rmdir()
        if (top / name).exists():
            (top / name).rmdir()


def _hierarchies() -> list[Path]:
    """Returns the cgroup hierarchies: one with cgroups v2, several with v1, some of which have two names."""
    top = Path("/sys/fs/cgroup")
    if (top / "cgroup.controllers").exists():
        return [top]
    return [directory for directory in top.iterdir() if directory.is_dir() and not directory.is_symlink()]


def _ready(plane: ControlPlane) -> bool:
    node = plane.api.get(f"/api/v1/nodes/{NAME}")
    conditions = {
        condition["type"]: condition["status"] for condition in node["status"].get("conditions", [])
    }
    return conditions.get("Ready") == "True" and not node["spec"].get("taints")


_CONTAINERD = """\
version = 2
root = "{root}"
state = "/run/containerd"
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # For machines without systemd, AppArmor or huge pages.
  restrict_oom_score_adj = true
  disable_apparmor = true
  tolerate_missing_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{cni}"
"""

_CNI = {
    "cniVersion": "0.4.0",
    "name": "pods",
    "plugins": [
        {
            "type": "ptp",
            "ipam": {
                "type": "host-local",
                "dataDir": "/run/cni",
                "ranges": [[{"subnet": PODS}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}


def _kubelet(pki: Path, address: str, disk: Path, group: str, state: Path) -> dict[str, Any]:
    no_resolvers = state / "resolv.conf"
    no_resolvers.touch()
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{pki}/kubelet-server.crt",
        "tlsPrivateKeyFile": f"{pki}/kubelet-server.key",
        "address": address,
        "healthzPort": 0,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{group}",
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "clusterDNS": [address],
        "clusterDomain": "cluster.local",
        "resolvConf": str(no_resolvers),
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "maxOpenFiles": 20000,
        "enforceNodeAllocatable": [],
        # The disk is shared with the host: no evictions when it is full.
        "evictionHard": dict.fromkeys(
            ["memory.available", "nodefs.available", "nodefs.inodesFree", "imagefs.available"], "0%"
        ),
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "podLogsDir": str(disk / "logs"),
    }


def _proxy(kubeconfig: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clusterCIDR": PODS,
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "hostnameOverride": NAME,
        # Do not change the host's connection tracking.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }


_COREFILE = """\
.:53 {{
    bind {address}
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
        ttl 1
    }}
}}
"""

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_DNS_RIGHTS: dict[str, dict[str, Any]] = {
    f"{_RBAC}/clusterroles": {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "test:dns"},
        "rules": [
            {
                "apiGroups": ["", "discovery.k8s.io"],
                "resources": ["endpointslices", "services", "pods", "namespaces"],
                "verbs": ["list", "watch"],
            }
        ],
    },
    f"{_RBAC}/clusterrolebindings": {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "test:dns"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "test:dns"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "test:dns"}],
    },
}


def _write(path: Path, content: Mapping[str, Any]) -> Path:
    path.write_text(json.dumps(content, indent=1))
    return path


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)


def _succeeds(*argv: str) -> bool:
    return subprocess.run(argv, capture_output=True).returncode == 0
