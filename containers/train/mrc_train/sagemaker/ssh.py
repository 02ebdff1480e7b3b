"""Keys made at start, an ssh server that knows one client, and the command with which mpirun reaches it.

No key is part of an image, and every host key is checked: AWS's sample has one root key in a public image and
checks none.
"""

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from mrc_cli.errors import UserError

DIRECTORY = Path("/run/mrc-hosts")

_SERVER_SETTINGS = """\
Port 22
HostKey {directory}/host
AuthorizedKeysFile {directory}/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
# The directory is root's alone; what is above it is the container's matter.
StrictModes no
PidFile none
"""


def prepare() -> None:
    """Create the directory for keys, readable for this user only."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    DIRECTORY.chmod(0o700)


def make_key(name: str) -> str:
    """Make a key pair in the directory; returns the public key."""
    path = DIRECTORY / name
    path.unlink(missing_ok=True)
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)]
    subprocess.run(command, check=True)  # noqa: S603
    return path.with_suffix(".pub").read_text().strip()


def serve(client_key: str, client_address: str) -> "subprocess.Popen[bytes]":
    """Start sshd for the one client that holds this key, at this address, without any forwarding.

    Raises:
        UserError: when the image has no sshd.
    """
    program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        raise UserError("this image has no sshd, which a job on several hosts needs; install openssh-server")
    keys = DIRECTORY / "authorized_keys"
    keys.write_text(f'from="{client_address}",restrict {client_key}\n')
    keys.chmod(0o600)
    settings = DIRECTORY / "sshd_config"
    settings.write_text(_SERVER_SETTINGS.format(directory=DIRECTORY))
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    return subprocess.Popen([program, "-D", "-e", "-f", str(settings)])  # noqa: S603


def client(host_keys: Mapping[str, str]) -> str:
    """The ssh command that accepts exactly these host keys, by host name; host names follow it."""
    known = DIRECTORY / "known_hosts"
    known.write_text("".join(f"{host} {key}\n" for host, key in host_keys.items()))
    options = {
        "IdentitiesOnly": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": str(known),
        "BatchMode": "yes",
        "ConnectTimeout": "10",
    }
    flags = " ".join(f"-o {name}={value}" for name, value in options.items())
    return f"ssh -F none -i {DIRECTORY}/client {flags}"


def problem(ssh: str, host: str) -> str:
    """Why a host does not answer ssh; empty if it does."""
    command = [*shlex.split(ssh), host, "true"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)  # noqa: S603
    return (
        (done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}") if done.returncode else ""
    )
