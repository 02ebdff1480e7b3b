"""The control plane: etcd, API server, controller manager and scheduler, configured as in a real cluster."""

import json
from dataclasses import dataclass
from pathlib import Path

from testcluster.api import Api
from testcluster.pki import Authority, write_kubeconfig
from testcluster.processes import Processes

SERVICES = "10.96.0.0/16"
ETCD = "http://127.0.0.1:2379"

CLIENTS = {
    "admin": "/O=system:masters/CN=admin",
    "controllers": "/CN=system:kube-controller-manager",
    "scheduler": "/CN=system:kube-scheduler",
    "apiserver-kubelet": "/O=system:masters/CN=kube-apiserver",
}

AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "rules": [
        {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]},
        {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
    ],
}
"""``audit.log`` records the requests of the charts' service accounts and no others."""


@dataclass(frozen=True)
class ControlPlane:
    """A running control plane: ``state`` is its data directory, ``api`` an administrator's client."""

    authority: Authority
    server: str
    state: Path
    api: Api

    def kubeconfig(self, client: str) -> Path:
        """Writes and returns the kubeconfig of one of the authority's clients."""
        path = self.state / f"{client}.kubeconfig"
        write_kubeconfig(path, self.authority.kubeconfig(client, self.server))
        return path


def start(processes: Processes, kube: Path, address: str, state: Path) -> ControlPlane:
    """Starts the control plane at an address and waits until the API server is ready."""
    authority = _certificates(state / "pki", address)
    server = f"https://{address}:6443"
    plane = ControlPlane(authority, server, state, Api(server, authority.directory, "admin"))
    processes.start("etcd", [kube, "etcd", *_etcd(state / "etcd")])
    audit_policy = state / "audit-policy.json"
    audit_policy.write_text(json.dumps(AUDIT))
    audit_log = processes.logs / "audit.log"
    flags = _apiserver(authority.directory, address, audit_policy, audit_log)
    processes.start("kube-apiserver", [kube, "kube-apiserver", *flags])
    processes.wait("API server", lambda: plane.api.text("/readyz") == "ok")
    controllers = _controllers(authority.directory, plane.kubeconfig("controllers"))
    processes.start("kube-controller-manager", [kube, "kube-controller-manager", *controllers])
    scheduler = _component(plane.kubeconfig("scheduler"))
    processes.start("kube-scheduler", [kube, "kube-scheduler", *scheduler])
    return plane


def _certificates(directory: Path, address: str) -> Authority:
    authority = Authority(directory)
    authority.service_account_keys()
    service = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    names = [f"DNS:{name}" for name in [*service, "kubernetes.default.svc.cluster.local"]]
    authority.server(
        "apiserver", "/CN=kube-apiserver", [*names, "IP:127.0.0.1", f"IP:{address}", "IP:10.96.0.1"]
    )
    for name, subject in CLIENTS.items():
        authority.client(name, subject)
    return authority


def _etcd(data: Path) -> list[str]:
    peer = "http://127.0.0.1:2380"
    return [
        f"--data-dir={data}",
        "--name=etcd",
        "--unsafe-no-fsync",  # the data does not outlive the process
        f"--listen-client-urls={ETCD}",
        f"--advertise-client-urls={ETCD}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=etcd={peer}",
    ]


def _apiserver(pki: Path, address: str, audit_policy: Path, audit_log: Path) -> list[str]:
    return [
        f"--etcd-servers={ETCD}",
        f"--bind-address={address}",
        f"--advertise-address={address}",
        "--secure-port=6443",
        f"--service-cluster-ip-range={SERVICES}",
        "--allow-privileged=true",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--client-ca-file={pki}/ca.crt",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki}/sa.pub",
        f"--service-account-signing-key-file={pki}/sa.key",
        f"--kubelet-client-certificate={pki}/apiserver-kubelet.crt",
        f"--kubelet-client-key={pki}/apiserver-kubelet.key",
        "--kubelet-preferred-address-types=InternalIP",
        "--authorization-mode=Node,RBAC",
        # In addition to the defaults, which include PodSecurity.
        "--enable-admission-plugins=NodeRestriction",
        f"--audit-policy-file={audit_policy}",
        f"--audit-log-path={audit_log}",
        "--profiling=false",
    ]


def _controllers(pki: Path, kubeconfig: Path) -> list[str]:
    return [
        *_component(kubeconfig),
        f"--service-account-private-key-file={pki}/sa.key",
        f"--root-ca-file={pki}/ca.crt",
        f"--cluster-signing-cert-file={pki}/ca.crt",
        f"--cluster-signing-key-file={pki}/ca.key",
        "--use-service-account-credentials=true",
        # With the default of 20 a second, the first service account takes 5 s.
        "--kube-api-qps=300",
        "--kube-api-burst=600",
        # A claim can miss its volume at first; by default the controller retries after 15 s.
        "--pvclaimbinder-sync-period=1s",
    ]


def _component(kubeconfig: Path) -> list[str]:
    return [
        f"--kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        "--profiling=false",
    ]
