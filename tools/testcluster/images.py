"""The container images of a real node's pods, built with buildah from this checkout's Dockerfiles.

Tests use no registry: debootstrap makes the base image, and the cache has a root directory of containerd with
all images unpacked, under a hash of everything that goes into them. A node starts from a hard-linked copy.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mrc_cli.errors import UserError
from mrc_images import building
from mrc_images.builders import Buildah
from mrc_images.table import find

from testcluster.errors import ClusterError
from testcluster.programs import build, cache

ROOT = Path(__file__).parents[2]
BASE = "localhost/debian:bookworm"
TAG = "0.1.0"
IMAGES = [find("train-cpu"), find("viz"), find("stage")]
TRAIN, VIZ, STAGE = (image.local(TAG) for image in IMAGES)
S3 = "localhost/versitygw:1"
PAUSE = "localhost/pause:1"
PROGRAMS = {
    # The name in the mpijob chart. The published image contains the same program.
    "mpi-operator": ("docker.io/mpioperator/mpi-operator:0.8.0", "/opt/mpi-operator"),
    "pause": (PAUSE, "/pause"),
    # A server of S3's protocol, for buckets that are in the cluster.
    "versitygw": (S3, "/versitygw"),
}
"""Images with a single program: their names, and the path of the program."""

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def provide(directory: Path) -> None:
    """Creates containerd's root directory with all images, after building them if they are not in the cache.

    Raises ClusterError.
    """
    programs = {name: build(name) for name in PROGRAMS}
    store = cache() / f"images-{_digest(programs)}"
    with _lock():
        if not store.exists():
            _say("Building the container images: 10 minutes the first time, 3 after a change of the code.")
            _base()
            _dockerfiles()
            for name, (image, path) in PROGRAMS.items():
                _program(image, programs[name], path)
            _fill(store, [TRAIN, VIZ, STAGE, *(image for image, _ in PROGRAMS.values())])
        _copy(store, directory)


def renew() -> None:
    """Rebuilds the images of the Dockerfiles if the checkout has changed. Raises ClusterError."""
    with _lock():
        _dockerfiles()


def known(image: str) -> bool:
    """Whether buildah has an image of this name, which may be outdated."""
    return subprocess.run(["buildah", "inspect", "--type=image", image], capture_output=True).returncode == 0


@contextmanager
def _lock() -> Iterator[None]:
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "images.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _dockerfiles() -> None:
    # The isolation needs no container runtime. Builds behind a proxy need the machine's certificates.
    options = [
        "--quiet",
        "--isolation=chroot",
        f"--volume={CERTIFICATES}:/usr/local/share/ca-certificates/machine.crt:ro",
        f"--build-arg=BASE_IMAGE={BASE}",
    ]
    for image in IMAGES:
        try:
            building.build(Buildah(), image, TAG, ROOT, options)
        except UserError as error:
            raise ClusterError(str(error)) from None


def _sources() -> list[str]:
    """What the images are built from: the context, as .dockerignore lists it, and the Dockerfiles."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    context = [line.removeprefix("!") for line in lines if line.startswith("!")]
    return [".dockerignore", *context, *(image.dockerfile for image in IMAGES)]


def _digest(programs: Mapping[str, Path]) -> str:
    digest = hashlib.sha256()
    for program in programs.values():
        digest.update(str(program).encode())
    for name in _sources():
        top = ROOT / name
        for file in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def _base() -> None:
    """Makes the base image with debootstrap unless it already exists."""
    if known(BASE):
        return
    with tempfile.TemporaryDirectory() as directory:
        _run("debootstrap", "--variant=minbase", "bookworm", directory)
        shutil.rmtree(Path(directory) / "var/cache/apt/archives")
        _image(BASE, lambda container: _run("buildah", "add", "--quiet", container, directory, "/"))


def _program(image: str, program: Path, path: str) -> None:
    def fill(container: str) -> None:
        _run("buildah", "add", "--quiet", container, str(program), path)
        _run("buildah", "config", f'--entrypoint=["{path}"]', container)

    _image(image, fill)


def _image(name: str, fill: Callable[[str], object]) -> None:
    """Makes an image from scratch; ``fill`` is called with the container and adds its content."""
    container = _run("buildah", "from", "scratch").strip()
    try:
        fill(container)
        _run("buildah", "commit", "--quiet", container, name)
    finally:
        _run("buildah", "rm", container)


def _fill(store: Path, images: list[str]) -> None:
    """Imports the images into a containerd directory, starting from the previous one to reuse layers."""
    unfinished = store.with_name("images-unfinished")
    for old in cache().glob("images-*"):
        if old.is_dir() and not unfinished.exists():
            old.rename(unfinished)
        elif old != unfinished:
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    with tempfile.TemporaryDirectory(dir=cache()) as name, _containerd(unfinished, Path(name)) as ctr:
        for image in images:
            archive = f"{name}/image.tar"
            _run("buildah", "push", "--quiet", image, f"docker-archive:{archive}:{image}")
            _run(*ctr, "images", "import", archive)
            Path(archive).unlink()
    unfinished.rename(store)


@contextmanager
def _containerd(root: Path, state: Path) -> Iterator[list[str]]:
    """Runs containerd on a root directory, and yields the ``ctr`` command that connects to it."""
    config = state / "config.toml"
    config.write_text(_CONTAINERD.format(root=root, state=state))
    argv = ["unshare", "--mount", "--propagation=private", "containerd", f"--config={config}"]
    with (state / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        ctr = ["ctr", f"--address={state}/containerd.sock", "--namespace=k8s.io"]
        while subprocess.run([*ctr, "version"], capture_output=True).returncode:
            if process.poll() is not None:
                raise ClusterError(f"containerd did not start:\n{(state / 'log').read_text()[-2000:]}")
            time.sleep(0.1)
        yield ctr
    finally:
        process.terminate()
        process.wait()


_CONTAINERD = """\
version = 2
root = "{root}"
state = "{state}/run"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{state}/containerd.sock"
"""


def _copy(store: Path, directory: Path) -> None:
    """Copies a containerd directory: hard links for files that never change, content for the databases."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.parent.mkdir(parents=True, exist_ok=True)
    try:
        _run("cp", "--archive", "--link", str(store), str(directory))
    except ClusterError:
        # The directories are on different file systems.
        shutil.rmtree(directory, ignore_errors=True)
        _run("cp", "--archive", str(store), str(directory))
    for database in directory.glob("io.containerd.*/*.db"):
        database.unlink()
        shutil.copy2(store / database.relative_to(directory), database)


def _run(*argv: str) -> str:
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-10:])
        raise ClusterError(f"{' '.join(argv)} failed:\n{last}")
    return done.stdout


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
