"""Files of public servers, read in ranges from whichever mirror answers."""

import random
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from mrc_cli.errors import ServiceError, UsageError

ATTEMPTS = 8
"""Of one range, over all mirrors."""

CONNECT_TIMEOUT, READ_TIMEOUT = 10.0, 60.0
"""Seconds."""


class Remote(NamedTuple):
    """A file with its mirrors. Without a size it is asked for; without a digest only https is used."""

    key: str
    mirrors: Sequence[str]
    size: int = 0
    sha256: str = ""


_COCO = "images.cocodataset.org"
# https://images.cocodataset.org fails its certificate, which is S3's. With digests the transport is of no
# importance. These agree in many public repositories.
_HOSTS = (f"https://s3.amazonaws.com/{_COCO}", f"http://{_COCO}")

COCO_2017 = tuple(
    Remote(path.rpartition("/")[2], [f"{host}/{path}" for host in _HOSTS], size, digest)
    for path, size, digest in (
        (
            "annotations/annotations_trainval2017.zip",
            252_907_541,
            "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
        ),
        (
            "zips/val2017.zip",
            815_585_330,
            "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
        ),
        (
            "zips/train2017.zip",
            19_336_861_798,
            "69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
        ),
    )
)

WEIGHTS_URL = "https://models.tensorpack.com/FasterRCNN/ImageNet-R50-AlignPadding.npz"
"""The backbone of the tutorial's values. No digest of it is published."""


def from_url(url: str, directory: str) -> Remote:
    """A file of any server, as ``https://…/name``, or with its digest as ``http://…/name#sha256=HEX``.

    Raises:
        UsageError: when it is http without a digest, or no URL of a file.
    """
    plain, _, fragment = url.partition("#")
    digest = fragment.removeprefix("sha256=").lower()
    name = plain.partition("?")[0].rpartition("/")[2]
    if fragment and (not fragment.startswith("sha256=") or len(digest) != 64):
        raise UsageError(f"{url}: write the digest as #sha256= and 64 hexadecimal digits.")
    if not plain.startswith("https://") and not digest:
        raise UsageError(f"{url}: anyone on the way could change it. Use https, or append #sha256=DIGEST.")
    if not name:
        raise UsageError(f"{url}: names no file.")
    return Remote(directory + name, [plain], 0, digest)


class Mirrors:
    """The mirrors of a file that have the expected size. Usable by several threads.

    Raises:
        ServiceError: when there is none, with the reason of each.
    """

    def __init__(self, remote: Remote) -> None:
        import urllib3
        from botocore.httpsession import get_cert_path

        self._pool: Any = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT),
            retries=False,
            maxsize=8,
            ca_certs=get_cert_path(True),
        )
        self._failed: type[Exception] = urllib3.exceptions.HTTPError
        self._key = remote.key
        self.size = remote.size
        self._urls: list[str] = []
        reasons = []
        for url in remote.mirrors:
            reason = self._probe(url)
            if reason:
                reasons.append(f"{url}: {reason}")
            else:
                self._urls.append(url)
        if not self._urls:
            raise ServiceError(f"{remote.key} cannot be downloaded. {'; '.join(reasons)}. Try again later.")

    def read(self, start: int, end: int) -> bytes:
        """Bytes ``start`` to ``end`` (exclusive).

        Raises:
            ServiceError: when no mirror sends them.
        """
        reason = ""
        for attempt in range(ATTEMPTS):
            url = self._urls[attempt % len(self._urls)]
            if attempt:
                time.sleep(random.uniform(0.5, 1.0) * min(20.0, 0.2 * 2**attempt))  # noqa: S311
            try:
                answer = self._pool.request("GET", url, headers={"Range": f"bytes={start}-{end - 1}"})
            except self._failed as error:
                reason = f"{url}: {error}"
                continue
            if answer.status == 206 and len(answer.data) == end - start:
                data: bytes = answer.data
                return data
            reason = f"{url}: status {answer.status}, {len(answer.data)} bytes"
        raise ServiceError(
            f"{self._key}: bytes {start} to {end} could not be downloaded in {ATTEMPTS} attempts ({reason}). "
            "Run again; what was sent is kept."
        )

    def _probe(self, url: str) -> str:
        """Why a mirror cannot be used, or an empty string."""
        try:
            answer = self._pool.request("GET", url, headers={"Range": "bytes=0-0"}, preload_content=False)
        except self._failed as error:
            return str(error)
        answer.close()
        total = answer.headers.get("Content-Range", "").rpartition("/")[2]
        if answer.status != 206 or not total.isdecimal():
            return f"status {answer.status} instead of a range"
        if self.size and int(total) != self.size:
            return f"{total} bytes instead of {self.size}"
        self.size = int(total)
        return ""
