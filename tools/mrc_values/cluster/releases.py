"""Helm releases, through the user's helm program, which is never called through a shell."""

import json
import re
import shlex
import shutil
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrc_cli.errors import ServiceError, UserError
from mrc_cli.terminal import say

from mrc_values.cluster.client import Cluster

Release = Mapping[str, Any]
"""The output of ``helm status --output json``: name, namespace, version, info, manifest, ..."""

READ_TIMEOUT = 120.0
"""Seconds for a helm command that reads; Helm has no timeout for an API server that is silent."""
WRITE_TIMEOUT = 900.0
"""Seconds for an install, upgrade or deletion, hooks included."""

MIN_VERSION = (3, 18)
"""The oldest Helm that the charts are tested with."""

_CHECK = "Check the network, and that the cluster's API server responds (kubectl get --raw /readyz)."
_NOTICE = "found symbolic link in path"


class HelmFailed(ServiceError):
    """Helm failed; the message is its output."""


@dataclass(frozen=True)
class Helm:
    """The helm program, for releases in one namespace of a cluster."""

    program: str
    flags: tuple[str, ...]
    namespace: str

    def release(self, name: str) -> Release | None:
        """A release, or None when it does not exist in the namespace."""
        try:
            result: Release = json.loads(self._captured("status", name, "--output=json"))
        except HelmFailed as error:
            if "release: not found" in str(error):
                return None
            raise
        return None if status(result) == "uninstalled" else result

    def rendered(self, verb: str, name: str, chart: Path, values: Sequence[str]) -> str:
        """The manifest that an install or upgrade would apply, rendered with access to the cluster."""
        argv = [verb, name, str(chart), *values, "--dry-run=server", "--output=json"]
        manifest: str = json.loads(self._captured(*argv))["manifest"]
        return manifest

    def command(self, *arguments: str) -> str:
        """A command as ``run`` runs it, quoted for a shell."""
        return shlex.join(["helm", *self._argv(arguments)[1:]])

    def run(self, *arguments: str) -> None:
        """Run a command that writes; Helm's output goes to the terminal."""
        self._shown(*arguments)

    def apply(self, verb: str, name: str, chart: Path, values: Sequence[str]) -> None:
        """Install or upgrade; Helm's output goes to the terminal."""
        self._shown(verb, name, str(chart), *values)

    def uninstall(self, name: str) -> None:
        """Delete a release."""
        self._shown("uninstall", name)

    def releases(self, everywhere: bool) -> list[dict[str, str]]:
        """Releases in the namespace or in all: name, namespace, revision, updated, status, chart."""
        argv = ["list", "--max=0", "--output=json"] + (["--all-namespaces"] if everywhere else [])
        result: list[dict[str, str]] = json.loads(self._captured(*argv))
        return result

    def not_found(self, name: str, fix: str = "") -> UserError:
        """The error for a release that does not exist, with the names of those that do."""
        existing = ", ".join(release["name"] for release in self.releases(everywhere=False)) or "none"
        return UserError(
            f"{name}: release not found in the namespace {self.namespace}. "
            f"Existing releases: {existing}. {fix}".rstrip()
        )

    def _argv(self, arguments: Sequence[str]) -> list[str]:
        return [self.program, *arguments, *self.flags, f"--namespace={self.namespace}"]

    def _captured(self, *arguments: str) -> str:
        try:
            done = subprocess.run(  # noqa: S603 (an argument list)
                self._argv(arguments),
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                check=False,
                timeout=READ_TIMEOUT,
            )
        except subprocess.TimeoutExpired:
            raise HelmFailed(f"helm {arguments[0]}: no result after {READ_TIMEOUT:g} s. {_CHECK}") from None
        message = "\n".join(_worth_showing(done.stderr.splitlines())).strip()
        if done.returncode:
            raise HelmFailed(f"helm {arguments[0]}: {' '.join(message.removeprefix('Error: ').split())}")
        return done.stdout

    def _shown(self, *arguments: str) -> None:
        with subprocess.Popen(  # noqa: S603 (an argument list)
            self._argv(arguments), stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL
        ) as process:
            assert process.stderr
            expired = threading.Event()

            def give_up() -> None:
                expired.set()
                process.terminate()  # Helm then marks the release as failed

            timer = threading.Timer(WRITE_TIMEOUT, give_up)
            timer.start()
            try:
                for line in process.stderr:
                    if _worth_showing([line]):
                        say(line.rstrip("\n"))
            finally:
                timer.cancel()
        if expired.is_set():
            raise HelmFailed(
                f"helm {arguments[0]} {arguments[1]}: not done after {WRITE_TIMEOUT:g} s, so it was stopped. "
                f"{_CHECK}"
            )
        if process.returncode:
            raise HelmFailed(f"helm {arguments[0]} {arguments[1]} failed; see its output above.")


def helm(cluster: Cluster, namespace: str, kubeconfig: Path | None = None) -> Helm:
    """The user's helm, for the releases in a namespace.

    Raises UserError when it is missing or too old, and ClusterError when the cluster does not respond, with a
    better message than Helm's.
    """
    program = shutil.which("helm")
    if program is None:
        raise UserError(
            "helm: not found in PATH. Install Helm 3.18 or newer: https://helm.sh/docs/intro/install/"
        )
    done = subprocess.run(  # noqa: S603 (an argument list)
        [program, "version", "--template={{.Version}}"], capture_output=True, text=True, check=False
    )
    version = re.search(r"v?(\d+)\.(\d+)", done.stdout)
    if version and (int(version[1]), int(version[2])) < MIN_VERSION:
        raise UserError(
            f"{program}: Helm {done.stdout.strip()} is too old. Install "
            f"{MIN_VERSION[0]}.{MIN_VERSION[1]} or newer: https://helm.sh/docs/intro/install/"
        )
    cluster.version()
    flags = [f"--kube-context={cluster.context}"]
    if kubeconfig:
        flags.append(f"--kubeconfig={kubeconfig}")
    return Helm(program, tuple(flags), namespace)


def status(release: Release) -> str:
    """``deployed``, ``failed``, ``pending-install``, ..."""
    return str((release.get("info") or {}).get("status", ""))


def _worth_showing(lines: Sequence[str]) -> list[str]:
    """Lines without Helm's notices about linked sub-charts."""
    return [line for line in lines if _NOTICE not in line]
