"""docker and buildah: build an image, look at it, push it."""

import os
import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mrc_cli.errors import ServiceError, UserError
from mrc_cli.terminal import printable

from mrc_images.table import PLATFORM

TAIL = 40
"""Lines of a program's output that are searched for the reason of its failure."""


@dataclass(frozen=True)
class Built:
    """An image on this machine.

    Attributes:
        ids: digests that identify its content: of its configuration, or of its manifest where docker keeps
            images in containerd.
        architecture: as Go names it, such as amd64.
    """

    ids: frozenset[str]
    architecture: str


class Builder(Protocol):
    """A program that builds and pushes images."""

    def build(
        self,
        dockerfile: str,
        name: str,
        arguments: Mapping[str, str],
        context: Path,
        more: Sequence[str] = (),
    ) -> None:
        """Build for PLATFORM; ``more`` are options of the program.

        Raises UserError or ServiceError with the reason of a failure.
        """

    def find(self, name: str) -> Built | None:
        """The image of this name, or None."""

    def push(self, name: str, destination: str, auth: Path, insecure: bool) -> None:
        """Push an image; ``auth`` is a directory with a config.json. Raises UserError or ServiceError."""


class Buildah:
    """buildah, which needs no daemon."""

    def build(
        self,
        dockerfile: str,
        name: str,
        arguments: Mapping[str, str],
        context: Path,
        more: Sequence[str] = (),
    ) -> None:
        local = any(option.startswith("--build-arg=BASE_IMAGE=localhost/") for option in more)
        stream(
            *("buildah", "bud", "--layers", *(["--pull-never"] if local else [])),
            *_options(dockerfile, name, arguments, more),
            cwd=context,
        )

    def find(self, name: str) -> Built | None:
        form = "--format={{.FromImageID}} {{.OCIv1.Architecture}}"
        words = _output("buildah", "inspect", "--type=image", form, name)
        return Built(frozenset({f"sha256:{words[0]}"}), words[1]) if words else None

    def push(self, name: str, destination: str, auth: Path, insecure: bool) -> None:
        stream(
            *("buildah", "push", f"--authfile={auth / 'config.json'}"),
            *(["--tls-verify=false"] if insecure else []),
            *(name, f"docker://{destination}"),
        )


class Docker:
    """docker with buildx."""

    def build(
        self,
        dockerfile: str,
        name: str,
        arguments: Mapping[str, str],
        context: Path,
        more: Sequence[str] = (),
    ) -> None:
        # Without provenance the result is one manifest, which is what ECR scans and SageMaker accepts.
        stream(
            *("docker", "buildx", "build", "--load", "--provenance=false", "--progress=plain"),
            *_options(dockerfile, name, arguments, more),
            cwd=context,
        )

    def find(self, name: str) -> Built | None:
        words = _output("docker", "image", "inspect", "--format={{.Id}} {{.Architecture}}", name)
        return Built(frozenset({words[0]}), words[1]) if words else None

    def push(self, name: str, destination: str, auth: Path, insecure: bool) -> None:
        # docker treats the registries on loopback as insecure by itself. The context is part of the user's
        # configuration, which the login of its own replaces.
        host = _output("docker", "context", "inspect", "--format={{.Endpoints.docker.Host}}")
        environment = {"DOCKER_CONFIG": str(auth)} | ({"DOCKER_HOST": host[0]} if host else {})
        stream("docker", "tag", name, destination)
        stream("docker", "push", destination, environment=environment)


def builder() -> Builder:
    """docker where its daemon runs, else buildah. Raises UserError."""
    if shutil.which("docker") and _output("docker", "version", "--format={{.Server.Version}}"):
        if not _output("docker", "buildx", "version"):
            raise UserError("docker: has no buildx. Install the package docker-buildx, or buildah.")
        return Docker()
    if shutil.which("buildah"):
        return Buildah()
    if shutil.which("docker"):
        raise UserError("docker: its daemon does not answer. Start it, or install buildah, which needs none.")
    raise UserError("docker and buildah: not found. Install one of them.")


def _options(dockerfile: str, name: str, arguments: Mapping[str, str], more: Sequence[str]) -> list[str]:
    """What both programs are told in the same words."""
    pairs = [f"--build-arg={key}={value}" for key, value in arguments.items()]
    return [f"--platform={PLATFORM}", f"--file={dockerfile}", *pairs, f"--tag={name}", *more, "."]


def _output(*argv: str) -> list[str]:
    """The words that a program prints, or none if it fails."""
    done = subprocess.run(argv, capture_output=True, text=True)
    return [] if done.returncode else done.stdout.split()


def stream(*argv: str, cwd: Path | None = None, environment: Mapping[str, str] | None = None) -> None:
    """Run a program with its output on stderr, as progress. Raises UserError with the reason of a failure."""
    tail: deque[str] = deque(maxlen=TAIL)
    with subprocess.Popen(
        argv,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                print(printable(line), end="", file=sys.stderr, flush=True)
                tail.append(line.strip())
        except BaseException:
            process.terminate()  # the end of the block waits for it
            raise
    if process.returncode:
        raise reason(" ".join(argv[:2]), [line for line in tail if line])


_REASONS: list[tuple[str, type[UserError], str]] = [
    ("no space left on device", UserError, "the disk is full. Remove images that are not needed"),
    ("immutable|tag invalid", UserError, "the tag already exists and is not moved. Commit for a new tag"),
    ("token has expired|expiredtoken", ServiceError, "the login has expired. Run the command again"),
    ("unauthorized|authentication required|no basic auth", ServiceError, "the registry rejects the login"),
    ("denied|forbidden", ServiceError, "the registry denies the push"),
    (
        "connection (refused|reset)|no such host|i/o timeout|broken pipe|unexpected eof|tls handshake"
        "|network is unreachable|temporary failure in name resolution|temporary failure resolving|dns error",
        ServiceError,
        "the network failed. Run the command again: finished parts are not repeated",
    ),
]


def reason(program: str, lines: Sequence[str]) -> UserError:
    """The error for a failed program: what its last lines say, and what to do."""
    for line in reversed(lines):
        for pattern, error, sentence in _REASONS:
            if re.search(pattern, line, re.IGNORECASE):
                return error(f"{program}: {sentence}: {line}")
    own = [line for line in lines if not _NOT_THE_REASON.search(line)]
    return UserError(f"{program}: failed: {own[-1] if own else 'without a message'}")


_NOT_THE_REASON = re.compile(r"^(Error: building at STEP|subprocess exited|-{4,}|ERROR: failed to|\d+ \|)")
"""What buildah and buildx print after the message of the program that failed."""
