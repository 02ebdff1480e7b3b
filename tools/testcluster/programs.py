"""The programs of a cluster, built from the Go modules in ``go/``.

They are cached outside the checkout under a hash of everything that determines the build, so that all
checkouts share them and none uses a stale one.
"""

import fcntl
import hashlib
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from testcluster.errors import ClusterError

MODULES = Path(__file__).parent / "go"

GO = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false -trimpath", "GOWORK": "off"}
"""Static programs, built with the installed compiler: Go must not download another one."""

KUBERNETES = "1.34"


@dataclass(frozen=True)
class Program:
    """A main package of a Go module.

    ``description``: for messages; ``minutes``: duration of the first build on two cores;
    ``variables``: set at link time.
    """

    module: str
    package: str
    description: str
    minutes: int
    variables: tuple[str, ...] = ()


_major, _minor = KUBERNETES.split(".")

PROGRAMS = {
    # Without a version each component reports v0.0.0, which others treat as an old release.
    "kube": Program(
        "kubernetes",
        "./kube",
        "Kubernetes 1.34 and etcd",
        5,
        (
            f"k8s.io/component-base/version.gitVersion=v{KUBERNETES}.10",
            f"k8s.io/component-base/version.gitMajor={_major}",
            f"k8s.io/component-base/version.gitMinor={_minor}",
            "k8s.io/component-base/version.gitTreeState=clean",
        ),
    ),
    "coredns": Program("kubernetes", "./coredns", "CoreDNS", 1),
    "pause": Program("pause", ".", "the first process of a pod", 1),
    "kwok": Program("kwok", "sigs.k8s.io/kwok/cmd/kwok", "kwok, which simulates nodes", 2),
    "mpi-operator": Program(
        "operator", "github.com/kubeflow/mpi-operator/cmd/mpi-operator", "the Kubeflow MPI Operator", 3
    ),
    # Helm 3 assumes Kubernetes 1.20 by default; Helm 4 takes the version of its client library.
    "helm3": Program(
        "helm3",
        "helm.sh/helm/v3/cmd/helm",
        "Helm 3",
        2,
        tuple(
            f"helm.sh/helm/v3/pkg/{package}.k8sVersion{part}={number}"
            for package in ("chartutil", "lint/rules")
            for part, number in (("Major", _major), ("Minor", _minor))
        ),
    ),
    "versitygw": Program(
        "versitygw", "github.com/versity/versitygw/cmd/versitygw", "versitygw, a server of S3's protocol", 3
    ),
    "lambda-emulator": Program(
        "lambda",
        "github.com/aws/aws-lambda-runtime-interface-emulator/cmd/aws-lambda-rie",
        "AWS's emulator of Lambda's runtime",
        1,
    ),
    "helm4": Program("helm4", "helm.sh/helm/v4/cmd/helm", "Helm 4", 2),
}


def build(name: str) -> Path:
    """Returns the path of the executable, after building it if it is not in the cache.

    Raises ClusterError when Go is missing or too old for the module, or when the build fails.
    """
    program = PROGRAMS[name]
    version = _go_version(MODULES / program.module / "go.mod")
    target = cache() / f"{name}-{_digest(program, version)}" / name
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            _go_build(program, target)
    return target


def cache() -> Path:
    """Returns the cache directory, which all checkouts share."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "mask-rcnn-test-cluster"


def _digest(program: Program, go_version: str) -> str:
    directory = MODULES / program.module
    parts = [go_version, program.package, *program.variables, *(f"{k}={v}" for k, v in GO.items())]
    for source in sorted([*directory.glob("go.*"), *directory.glob(f"{program.package}/*.go")]):
        parts.append(source.read_text())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _go_version(go_mod: Path) -> str:
    """Returns the version of the installed compiler, such as "1.26.8"."""
    match = re.search(r"^go (\S+)$", go_mod.read_text(), re.MULTILINE)
    assert match, f"{go_mod} names no Go version"
    needed = match[1]
    how = f"Install Go {needed} or newer (https://go.dev/dl) and have it in PATH."
    try:
        done = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, env=_environment())
    except FileNotFoundError:
        raise ClusterError(f"go is not installed; the cluster's programs are built with it. {how}") from None
    version = done.stdout.strip().removeprefix("go").split()[0] if done.stdout.strip() else "unknown"
    if _numbers(version) < _numbers(needed):
        raise ClusterError(
            f"the installed Go is version {version}, but {go_mod.parent.name} needs {needed}. {how}"
        )
    return version


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def _go_build(program: Program, target: Path) -> None:
    link = " ".join(["-s", "-w", *(f"-X {variable}" for variable in program.variables)])
    unfinished = target.with_suffix(".unfinished")
    argv = ["go", "build", "-ldflags", link, "-o", str(unfinished), program.package]
    print(
        f"Building {program.description}: up to {program.minutes} min the first time, without output.",
        file=sys.stderr,
        flush=True,
    )
    began = time.monotonic()
    done = subprocess.run(
        argv, cwd=MODULES / program.module, env=_environment(), stderr=subprocess.PIPE, text=True
    )
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-10:])
        raise ClusterError(f"go build of {program.package} failed in {MODULES / program.module}:\n{last}")
    unfinished.rename(target)
    print(f"  built in {time.monotonic() - began:.0f} s: {target}", file=sys.stderr, flush=True)


def _environment() -> dict[str, str]:
    return os.environ | GO
