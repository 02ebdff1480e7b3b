"""Hosts of a job here: each has its own network, name, processes and /opt/ml, in Linux namespaces."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from mrc_cli.errors import UserError

_NETWORK = "198.18.201"
"""Of the block for tests of network devices, RFC 2544, so that no real network has these addresses."""

INTERFACE = "eth0"

_START_TIMEOUT = 30.0

_SYSTEM = ":/usr/sbin:/sbin"
"""Where sshd and ip are when PATH does not say so."""

# Arguments: host name, address, directory with hosts and passwd, /opt/ml, command.
_SETUP = """\
set -euo pipefail
name=$1 address=$2 files=$3 ml=$4
shift 4
hostname "$name"
mount --bind "$files/hosts" /etc/hosts
mount --bind "$files/passwd" /etc/passwd
mkdir "$files/run-$name"
mount -t tmpfs -o mode=755 tmpfs "$files/run-$name"
mkdir "$files/run-$name/opt" "$files/run-$name/opt/ml"
mount --rbind "$ml" "$files/run-$name/opt/ml"
for entry in /opt/*/; do
  [ "$entry" != /opt/ml/ ] && [ "$entry" != "/opt/*/" ] || continue
  mkdir "$files/run-$name$entry"
  mount --rbind "$entry" "$files/run-$name$entry"
done
mount --rbind "$files/run-$name/opt" /opt
mount -t tmpfs -o mode=755 tmpfs /run
ip link set lo up
until ip link show eth0 >/dev/null 2>&1; do sleep 0.05; done
ip addr add "$address/24" dev eth0
ip link set eth0 up
exec "$@"
"""


class Host:
    """A running host."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    @property
    def first_process(self) -> int:
        """Process 1 of the host, as numbered outside. Raises UserError when the host does not start."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        deadline = time.monotonic() + _START_TIMEOUT
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(FileNotFoundError):
                if text := children.read_text().strip():
                    return int(text.split()[0])
            time.sleep(0.05)
        raise UserError("a host did not start; are namespaces allowed here (unshare --net true)?")

    def send(self, number: signal.Signals) -> None:
        """A signal for the host's first process, as SageMaker sends it."""
        with suppress(UserError, ProcessLookupError):
            os.kill(self.first_process, number)


def unavailable(path: str | None = None) -> str:
    """Why no hosts can be made here, with what to do; empty if they can.

    Args:
        path: PATH of the hosts; None: this process's.
    """
    if os.geteuid() != 0:
        return "making hosts here needs root; run the command with sudo"
    search_path = f"{path or os.environ.get('PATH', '')}{_SYSTEM}"
    packages = {"unshare": "util-linux", "ip": "iproute2", "sshd": "openssh-server", "ssh": "openssh-client"}
    missing = [program for program in packages if not shutil.which(program, path=search_path)]
    needed = " ".join(packages[program] for program in missing)
    return f"making hosts here needs {', '.join(missing)}; apt-get install {needed}" if missing else ""


@contextmanager
def running(
    directories: Mapping[str, Path],
    names: Sequence[str],
    command: Sequence[str],
    environment: Mapping[str, str],
    output: Callable[[str], IO[bytes] | int],
) -> Iterator[dict[str, Host]]:
    """Run a command on hosts that reach one another by name; they end with the block.

    Args:
        directories: what is /opt/ml on each host.
        names: of all hosts of the job, in order; those without a directory do not exist.
        output: where stdout and stderr of a host go, as for Popen.

    Raises:
        UserError: when a host does not start.
    """
    bridge = f"mrcsm{os.getpid()}"
    addresses = {name: f"{_NETWORK}.{number}" for number, name in enumerate(names, 1)}
    with TemporaryDirectory(prefix="mrc-hosts-") as temporary, ExitStack() as stack:
        files = Path(temporary)
        lines = "".join(f"{address} {name}\n" for name, address in addresses.items())
        (files / "hosts").write_text(f"127.0.0.1 localhost\n{lines}")
        (files / "passwd").write_text(_passwd())
        _ip("link", "add", bridge, "type", "bridge")
        stack.callback(_ip, "link", "del", bridge)
        _ip("link", "set", bridge, "up")
        hosts: dict[str, Host] = {}
        for name, directory in directories.items():
            inside = ["bash", "-c", _SETUP, "host", name, addresses[name], str(files), str(directory)]
            host = Host(_start([*inside, *command], environment, output(name)))
            stack.callback(_end, host)
            cable = f"mrcv{names.index(name) + 1}-{os.getpid()}"[:15]
            # The kernel removes it with the host's network, but some time later.
            stack.callback(_remove, cable)
            _connect(bridge, cable, host.first_process)
            hosts[name] = host
        yield hosts


def _start(
    command: Sequence[str], environment: Mapping[str, str], output: IO[bytes] | int
) -> "subprocess.Popen[str]":
    namespaces = ["unshare", "--net", "--uts", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return subprocess.Popen(  # noqa: S603
        [*namespaces, *command],
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, **environment},
        # Ctrl-C reaches only this process, which passes on what SageMaker would send.
        start_new_session=True,
    )


def _end(host: Host) -> None:
    host.process.kill()
    host.process.wait()


def _connect(bridge: str, cable: str, process: int) -> None:
    """Give a host an interface on the bridge."""
    deadline = time.monotonic() + _START_TIMEOUT
    # The new process is for a moment still in this machine's network.
    while Path(f"/proc/{process}/ns/net").readlink() == Path("/proc/self/ns/net").readlink():
        if time.monotonic() > deadline:
            raise UserError("a host got no network namespace")
        time.sleep(0.05)
    _ip("link", "add", cable, "type", "veth", "peer", "name", INTERFACE, "netns", str(process))
    _ip("link", "set", cable, "master", bridge, "up")


def _remove(cable: str) -> None:
    with suppress(UserError):
        _ip("link", "del", cable)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)  # noqa: S603, S607
    if done.returncode:
        raise UserError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def _passwd() -> str:
    """This machine's users, with sshd's own."""
    users = Path("/etc/passwd").read_text()
    return users if "\nsshd:" in users else f"{users}sshd:x:22222:22222::/run/sshd:/usr/sbin/nologin\n"
