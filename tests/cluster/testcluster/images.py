"""The images of the node's pods, built by buildah from this checkout's Dockerfiles.

There is no registry in a test: the base is made by debootstrap, and the node gets all images in one archive,
which lies in the cache under a name that depends on everything that goes into it.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from testcluster.errors import ClusterError
from testcluster.programs import build, cache

ROOT = Path(__file__).parents[3]
CONTEXT = [
    ".dockerignore",
    "LICENSE",
    "README.md",
    "pyproject.toml",
    "packaging",
    "tools/mrc_values",
    "containers/train",
    "container-viz",
]
"""What decides how the images come out."""

BASE = "localhost/debian:bookworm"
TRAIN = "localhost/mask-rcnn:0.1.0"
VIZ = "localhost/mask-rcnn-viz:0.1.0"
PAUSE = "localhost/pause:1"
PROGRAMS = {
    # Named as the chart mpijob names it: the published image is the same program.
    "mpi-operator": ("docker.io/mpioperator/mpi-operator:0.8.0", "/opt/mpi-operator"),
    "pause": (PAUSE, "/pause"),
}
"""Images of one program alone: name, and path of the program in it."""

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def archive() -> Path:
    """A tar file (OCI layout) with all images, built now unless the cache has it. Raises ClusterError."""
    programs = {name: build(name) for name in PROGRAMS}
    target = cache() / f"images-{_digest(programs)}.tar"
    with _lock():
        if not target.exists():
            for old in cache().glob("images-*.tar"):
                old.unlink()
            _say("Building the images: 10 minutes the first time, 1 after a change of the code.")
            _base()
            _dockerfiles()
            for name, (image, path) in PROGRAMS.items():
                _program(image, programs[name], path)
            _write([TRAIN, VIZ, *(image for image, _ in PROGRAMS.values())], target)
    return target


def renew() -> None:
    """Builds trainer and notebook anew where the checkout has changed. Raises ClusterError."""
    with _lock():
        _dockerfiles()


def known(image: str) -> bool:
    """Whether buildah has an image of this name, of whatever state of the checkout."""
    return subprocess.run(["buildah", "inspect", "--type=image", image], capture_output=True).returncode == 0


@contextmanager
def _lock() -> Iterator[None]:
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "images.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _dockerfiles() -> None:
    _dockerfile(TRAIN, "containers/train/Dockerfile", BASE)
    _dockerfile(VIZ, "container-viz/Dockerfile", TRAIN)


def _digest(programs: Mapping[str, Path]) -> str:
    digest = hashlib.sha256()
    for program in programs.values():
        digest.update(str(program).encode())
    for name in CONTEXT:
        top = ROOT / name
        for file in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def _base() -> None:
    """Debian as debootstrap installs it, unless it is there."""
    if known(BASE):
        return
    with tempfile.TemporaryDirectory() as folder:
        _run("debootstrap", "--variant=minbase", "bookworm", folder)
        shutil.rmtree(Path(folder) / "var/cache/apt/archives")
        _image(BASE, lambda container: _run("buildah", "add", "--quiet", container, folder, "/"))


def _program(image: str, program: Path, path: str) -> None:
    def fill(container: str) -> None:
        _run("buildah", "add", "--quiet", container, str(program), path)
        _run("buildah", "config", f'--entrypoint=["{path}"]', container)

    _image(image, fill)


def _image(name: str, fill: Callable[[str], object]) -> None:
    """An image from nothing but what ``fill`` puts into the container that it is called with."""
    container = _run("buildah", "from", "scratch").strip()
    try:
        fill(container)
        _run("buildah", "commit", "--quiet", container, name)
    finally:
        _run("buildah", "rm", container)


def _dockerfile(image: str, dockerfile: str, base: str) -> None:
    # --isolation=chroot: no runtime of its own. The certificates: behind a proxy, the machine's are needed.
    _run(
        *("buildah", "bud", "--quiet", "--isolation=chroot", "--layers", "--pull-never"),
        *(f"--volume={CERTIFICATES}:/usr/local/share/ca-certificates/machine.crt:ro",),
        *(f"--build-arg=BASE_IMAGE={base}", f"--tag={image}", f"--file={dockerfile}", "."),
    )


def _write(images: list[str], target: Path) -> None:
    """All images in one archive, so that layers that they share are there once."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        for image in images:
            _run("buildah", "push", "--quiet", "--disable-compression", image, f"oci:{folder}:{image}")
        unfinished = target.with_suffix(".unfinished")
        _run("tar", "--create", f"--directory={folder}", f"--file={unfinished}", ".")
        unfinished.rename(target)


def _run(*argv: str) -> str:
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-10:])
        raise ClusterError(f"{' '.join(argv)} failed:\n{last}")
    return done.stdout


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
