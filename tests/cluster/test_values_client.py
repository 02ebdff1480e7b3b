"""How mrc-values asks the API server, as a proxy records it."""

import json
import subprocess
from pathlib import Path

from mrc_values.cluster.client import Resource, connect
from proxy import Proxy
from testcluster.client import Client
from testcluster.pki import kubeconfig, write_kubeconfig

TEXT = "loss=0.8123 " * 25_000
"""The server leaves answers below 128 KiB as they are."""


def test_large_answers_are_asked_for_and_come_compressed(user: Client, tmp_path: Path) -> None:
    large = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "large"}, "data": {"text": TEXT}}
    user.kubectl("create", "--filename=-", stdin=json.dumps(large))
    # It takes the encryption off, and leaves headers and body as they are.
    argv: list[str | Path] = [user.cluster.bin / "kubectl", "proxy", "--port=0"]
    with subprocess.Popen(argv, env=user.cluster.environment, stdout=subprocess.PIPE, text=True) as plain:
        try:
            line = plain.stdout.readline() if plain.stdout else ""
            proxy = Proxy(f"http://{line.split()[-1]}")
            file = tmp_path / "kubeconfig"
            write_kubeconfig(file, kubeconfig(proxy.server.replace("https", "http"), "", {}))
            received = connect(kubeconfig=file).get(
                Resource("/api/v1", "configmaps"), "large", user.namespace
            )
        finally:
            plain.terminate()
    assert received["data"]["text"] == TEXT
    assert b"\r\nAccept-Encoding: gzip\r\n" in proxy.passed
    assert b"\r\nContent-Encoding: gzip\r\n" in proxy.passed
    assert len(proxy.passed) < len(TEXT) / 10
