"""Keys and certificates of a cluster, made with openssl, and kubeconfigs that contain them."""

import base64
import subprocess
from pathlib import Path
from typing import Any

import yaml

DAYS = "3650"
NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

Kubeconfig = dict[str, Any]


class Authority:
    """A certificate authority and its directory, with ``ca.crt``, ``ca.key`` and issued certificates."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True)
        self.directory = directory
        self._openssl(
            "req",
            "-x509",
            *NEW_KEY,
            "-keyout",
            "ca.key",
            "-out",
            "ca.crt",
            "-days",
            DAYS,
            "-subj",
            "/CN=test",
        )

    def service_account_keys(self) -> None:
        """Creates ``sa.key`` and ``sa.pub``, which sign and verify service account tokens."""
        self._openssl("genrsa", "-out", "sa.key", "2048")
        self._openssl("rsa", "-in", "sa.key", "-pubout", "-out", "sa.pub")

    def server(self, name: str, subject: str, alternative_names: list[str]) -> None:
        """Creates ``<name>.crt`` and ``<name>.key`` for a server; alternative names: ``DNS:x``, ``IP:x``."""
        self._sign(name, subject, "serverAuth", f"subjectAltName={','.join(alternative_names)}\n")

    def client(self, name: str, subject: str) -> None:
        """Creates ``<name>.crt`` and ``<name>.key`` for a client; its subject is ``/O=<group>/CN=<user>``."""
        self._sign(name, subject, "clientAuth", "")

    def kubeconfig(self, name: str, server: str) -> Kubeconfig:
        """Returns the kubeconfig of a client, with its certificate."""
        user = {
            "client-certificate-data": self._data(f"{name}.crt"),
            "client-key-data": self._data(f"{name}.key"),
        }
        return kubeconfig(server, self._data("ca.crt"), user)

    def token_kubeconfig(self, server: str, token: str, namespace: str) -> Kubeconfig:
        """Returns the kubeconfig of a service account."""
        return kubeconfig(server, self._data("ca.crt"), {"token": token}, namespace)

    def _data(self, name: str) -> str:
        return base64.b64encode((self.directory / name).read_bytes()).decode()

    def _sign(self, name: str, subject: str, usage: str, more: str) -> None:
        extensions = self.directory / f"{name}.ext"
        extensions.write_text(f"keyUsage=critical,digitalSignature\nextendedKeyUsage={usage}\n{more}")
        self._openssl(
            "req", "-new", *NEW_KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject
        )
        signer = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", DAYS]
        self._openssl(
            *("x509", "-req", "-in", f"{name}.csr", *signer),
            *("-extfile", extensions.name, "-out", f"{name}.crt"),
        )

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.directory, check=True, capture_output=True)


def kubeconfig(server: str, ca: str, user: dict[str, str], namespace: str = "default") -> Kubeconfig:
    """Returns a kubeconfig with one context; ``ca`` is base64."""
    context = {"cluster": "test", "user": "test", "namespace": namespace}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority-data": ca}}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": context}],
        "current-context": "test",
    }


def write_kubeconfig(path: Path, config: Kubeconfig) -> None:
    """Writes a kubeconfig atomically, readable only by its owner."""
    unfinished = path.with_name(f".{path.name}")
    unfinished.touch(mode=0o600)
    unfinished.write_text(yaml.safe_dump(config, sort_keys=False))
    unfinished.rename(path)
