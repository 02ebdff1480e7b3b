"""What a registry has under a tag, by its HTTP API (version 2, the OCI distribution specification)."""

import hashlib
import http.client
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from mrc_cli.errors import ServiceError, UserError
from mrc_cli.files import write_atomically

TIMEOUT = 30.0
"""Seconds until a registry that does not answer is reported."""

_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)


@dataclass(frozen=True)
class Registry:
    """A registry and the login for it.

    Attributes:
        host: with port, and for a prefix of all repositories a path: ``localhost:5000/team``.
        login: ``user:password`` in base64, or empty.
        insecure: whether it is reached by HTTP instead of HTTPS.
    """

    host: str
    login: str
    insecure: bool

    def reference(self, repository: str, tag: str) -> str:
        """The name of an image for docker and the charts."""
        return f"{self.host}/{repository}:{tag}"


@dataclass(frozen=True)
class Remote:
    """An image in a registry: the digests of its manifest and of its configuration (empty for an index)."""

    digest: str
    configuration: str


def find(registry: Registry, repository: str, tag: str) -> Remote | None:
    """What the tag names, or None. Raises ServiceError."""
    address = urlsplit(f"//{registry.host}")
    path = f"/v2{address.path}/{repository}/manifests/{tag}"
    kind = http.client.HTTPConnection if registry.insecure else http.client.HTTPSConnection
    headers = {"Accept": ", ".join(_MANIFESTS)}
    if registry.login:
        headers["Authorization"] = f"Basic {registry.login}"
    connection = kind(address.netloc, timeout=TIMEOUT)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise ServiceError(f"{address.netloc}: the registry cannot be reached: {error}") from None
    finally:
        connection.close()
    if response.status == 404:
        return None
    if response.status in (401, 403):
        raise ServiceError(
            f"{address.netloc}: the registry rejects the login ({response.status}). Log in again."
        )
    if response.status != 200:
        raise ServiceError(f"{address.netloc}: the registry answers {response.status} to {path}")
    try:
        configuration = json.loads(body).get("config", {}).get("digest", "")
    except (ValueError, AttributeError):
        raise ServiceError(f"{address.netloc}: {path} is not a manifest. Is it a registry?") from None
    return Remote(f"sha256:{hashlib.sha256(body).hexdigest()}", configuration)


@contextmanager
def login_file(registry: Registry) -> Iterator[Path]:
    """A directory with a config.json that has only this login, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="mrc-images-") as name:
        host = urlsplit(f"//{registry.host}").netloc
        auths = {host: {"auth": registry.login}} if registry.login else {}
        write_atomically(Path(name) / "config.json", json.dumps({"auths": auths}), mode=0o600)
        yield Path(name)


def at(host: str) -> Registry:
    """A registry by its address, with the login that docker or buildah stored for it.

    One on loopback is reached by HTTP, as docker does. Raises UserError.
    """
    address = urlsplit(f"//{host}")
    if "://" in host or not address.hostname:
        raise UserError(f"{host}: is not the address of a registry. Write it as <host>[:<port>][/<path>].")
    loopback = address.hostname == "localhost" or address.hostname.startswith("127.")
    return Registry(host.rstrip("/"), _stored_login(address.netloc), loopback)


def _stored_login(host: str) -> str:
    directory = os.environ.get("DOCKER_CONFIG", Path.home() / ".docker")
    runtime = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    files: list[str | Path] = [
        os.environ.get("REGISTRY_AUTH_FILE", ""),
        Path(runtime) / "containers/auth.json",
        Path(f"/run/containers/{os.getuid()}/auth.json"),
        Path(directory) / "config.json",
    ]
    for file in files:
        with suppress(OSError, ValueError):
            if login := json.loads(Path(file).read_text()).get("auths", {}).get(host, {}).get("auth"):
                return str(login)
    return ""
