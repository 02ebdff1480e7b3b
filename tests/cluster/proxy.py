"""A connection to the API server that a test can cut: refused while the server is away, as in its restart."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import yaml


class Proxy:
    """Listens on 127.0.0.1, which the server's certificate names, and passes everything on.

    ``connections`` are counted, and ``passed`` is all that went through, either way.
    """

    def __init__(self, server: str) -> None:
        address = urlsplit(server)
        self._target = (address.hostname, address.port)
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port: int = self._listener.getsockname()[1]
        self.connections = 0
        self.passed = bytearray()
        self._listen()

    @property
    def server(self) -> str:
        """The address for a kubeconfig."""
        return f"https://127.0.0.1:{self._port}"

    def cut(self) -> None:
        """Ends every connection; new ones are refused."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_connections()

    def cut_connections(self) -> None:
        """Ends every connection; new ones are taken."""
        for connection in self._sockets:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def restore(self) -> None:
        """Takes connections again."""
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._listen()

    def _listen(self) -> None:
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                one, _ = listener.accept()
                other = socket.create_connection(self._target)
            except OSError:
                return
            self.connections += 1
            self._sockets += [one, other]
            for ends in ((one, other), (other, one)):
                threading.Thread(target=_pass_on, args=(*ends, self.passed), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket, passed: bytearray) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            passed += data
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def proxied(kubeconfig: Path, directory: Path) -> Iterator[tuple[Proxy, Path]]:
    """A proxy and the kubeconfig that leads through it."""
    config = yaml.safe_load(kubeconfig.read_text())
    proxy = Proxy(config["clusters"][0]["cluster"]["server"])
    config["clusters"][0]["cluster"]["server"] = proxy.server
    path = directory / "proxied"
    path.write_text(yaml.safe_dump(config))
    yield proxy, path
    proxy.cut()
