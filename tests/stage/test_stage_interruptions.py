"""What interrupts staging costs neither a byte nor the work that is complete."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from data_sets import data_set, tree
from hurting_proxy import HurtingProxy
from mrc_stage import preparing, sources
from mrc_stage.objects import Bucket
from s3_server import S3Server


@pytest.fixture
def proxy(bucket: Bucket, server: S3Server) -> Iterator[HurtingProxy]:
    running = HurtingProxy(server.port, 0)
    yield running
    running.stop()


def start(bucket: Bucket, out: Path, shard: str, port: int) -> subprocess.Popen[str]:
    # Small ranges, so that there are many of them to be interrupted.
    program = (
        "from mrc_stage import archive, staging, cli; archive.RANGE_BYTES = 1 << 18; "
        "staging.SECONDS_BETWEEN_FLUSHES = 0.1; cli.main()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program, "stage", str(bucket.where), str(out), "--shard", shard],
        env=os.environ | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_killed_at_random_moments_it_completes_and_fetches_only_what_is_missing(
    bucket: Bucket, tmp_path: Path, proxy: HurtingProxy
) -> None:
    original = data_set(tmp_path / "original", 2000, 40_000)
    preparing.prepare(bucket, sources.local(original))
    out = tmp_path / "out"
    out.mkdir()
    rng = random.Random(5)

    for _ in range(2):
        shards = [start(bucket, out, f"{index}/2", proxy.port) for index in range(2)]
        for process in shards:
            # From the first journal on; when it is there depends on the machine.
            while process.poll() is None and not list(out.glob(".mrc-stage/journal-*")):
                time.sleep(0.05)
            time.sleep(rng.uniform(0, 0.5))
            process.send_signal(signal.SIGKILL)
            process.communicate()
    journalled = sum(
        max(0, len(path.read_text().splitlines()) - 1) for path in out.glob(".mrc-stage/journal-*")
    )
    complete = (out / "train2017").exists()
    proxy.reads.clear()
    for index in range(2):
        process = start(bucket, out, f"{index}/2", proxy.port)
        _, stderr = process.communicate()
        assert process.returncode == 0, stderr

    assert tree(out) == tree(original)
    if not complete:
        ranges = sum((original / name).stat().st_size for name in tree(original)) / (1 << 18)
        directories = 2 * 2 * 2  # Each shard reads the manifest and two directories, in up to two reads.
        assert len(proxy.reads) <= ranges * 1.2 - journalled + directories


def test_reads_that_are_hurt_are_repeated_until_every_byte_is_right(
    bucket: Bucket, tmp_path: Path, proxy: HurtingProxy
) -> None:
    original = data_set(tmp_path / "original", 1000, 40_000)
    preparing.prepare(bucket, sources.local(original))
    out = tmp_path / "out"
    out.mkdir()
    proxy.share = 0.3

    process = start(bucket, out, "0/1", proxy.port)
    _, stderr = process.communicate()

    assert process.returncode == 0, stderr
    assert tree(out) == tree(original)
    assert set(proxy.counts) == set(proxy.kinds), proxy.counts


@pytest.mark.parametrize(
    ("kind", "code", "line"),
    [
        ("cut", 3, "could not be read in"),
        ("internal", 3, "could not be read in"),
        ("flip", 4, "The object is damaged"),
        ("expired", 3, "the AWS credentials have expired. Log in again."),
        ("denied", 3, "add --requester-pays"),
        ("kms", 3, "Allow kms:Decrypt in your policy and in the policy of the key."),
        ("changed", 1, "was replaced meanwhile. Run again."),
    ],
)
def test_what_never_succeeds_ends_in_one_line(
    bucket: Bucket,
    tmp_path: Path,
    proxy: HurtingProxy,
    kind: str,
    code: int,
    line: str,
) -> None:
    original = data_set(tmp_path / "original", 50)
    preparing.prepare(bucket, sources.local(original))
    out = tmp_path / "out"
    out.mkdir()
    # Manifest and both directories are read unhurt.
    proxy.spared, proxy.share, proxy.kinds = 3, 1.0, (kind,)
    program = "from mrc_stage import objects, cli; objects.LONGEST_PAUSE = 0.01; cli.main()"

    process = subprocess.run(
        [sys.executable, "-c", program, "stage", str(bucket.where), str(out)],
        env=os.environ | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}"},
        stderr=subprocess.PIPE,
        text=True,
    )

    stderr = process.stderr
    assert process.returncode == code, stderr
    assert line in stderr.splitlines()[-1]
    assert "Traceback" not in stderr
    assert not (out / "train2017").exists()


def test_a_token_that_expires_in_the_midst_is_loaded_again(
    bucket: Bucket, tmp_path: Path, proxy: HurtingProxy
) -> None:
    original = data_set(tmp_path / "original", 300, 20_000)
    preparing.prepare(bucket, sources.local(original))
    out = tmp_path / "out"
    out.mkdir()
    proxy.spared, proxy.share, proxy.kinds, proxy.limit = 6, 1.0, ("expired",), 1

    process = start(bucket, out, "0/1", proxy.port)
    _, stderr = process.communicate()

    assert process.returncode == 0, stderr
    assert proxy.counts == {"expired": 1}
    assert tree(out) == tree(original)


def test_sigterm_writes_down_what_is_complete(bucket: Bucket, tmp_path: Path, server: S3Server) -> None:
    original = data_set(tmp_path / "original", 2000, 40_000)
    preparing.prepare(bucket, sources.local(original))
    out = tmp_path / "out"
    out.mkdir()
    process = start(bucket, out, "0/1", server.port)
    while process.poll() is None and not list(out.glob(".mrc-stage/tree/train2017/*")):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate()

    assert "Traceback" not in stderr
    if process.returncode:  # else it was faster
        assert process.returncode == 128 + signal.SIGTERM
        (journal,) = out.glob(".mrc-stage/journal-*")
        assert len(journal.read_text().splitlines()) > 1
