"""A minimal client of the API server, for the cluster's supervisor."""

import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any


class Api:
    """Sends requests with a client certificate. Raises OSError (HTTPError) when one fails."""

    def __init__(self, server: str, pki: Path, client: str) -> None:
        self.server = server
        self._tls = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self._tls.load_cert_chain(pki / f"{client}.crt", pki / f"{client}.key")

    def text(self, path: str) -> str:
        """Returns the body of the response to GET."""
        return self._send("GET", path, None, "").decode()

    def get(self, path: str) -> Any:
        """Returns the object or list at a path."""
        return json.loads(self.text(path))

    def create(self, path: str, body: dict[str, Any]) -> Any:
        """Creates an object and returns it as stored by the server."""
        return json.loads(self._send("POST", path, body, "application/json"))

    def patch_status(self, path: str, status: dict[str, Any]) -> None:
        """Merges fields into the status of the object at a path."""
        self._send("PATCH", f"{path}/status", {"status": status}, "application/strategic-merge-patch+json")

    def delete_now(self, path: str) -> None:
        """Deletes the object at a path without a grace period; it may be gone already."""
        try:
            self._send("DELETE", f"{path}?gracePeriodSeconds=0", None, "")
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise

    def _send(self, method: str, path: str, body: dict[str, Any] | None, content_type: str) -> bytes:
        request = urllib.request.Request(f"{self.server}{path}", method=method)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", content_type)
        with urllib.request.urlopen(request, timeout=30, context=self._tls) as answer:
            content: bytes = answer.read()
        return content
