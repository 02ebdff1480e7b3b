"""The directory of a chart that is given as a directory, a packaged chart (.tgz), or an address (oci://).

Everything else reads charts as directories, so a packaged chart is unpacked into the user's cache, under the
digest of its archive. The findings about its files name paths that exist, and Helm installs what was checked.
"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from mrc_cli.errors import ServiceError, UsageError

from mrc_values import helm

_ADDRESS = "oci://"
_ARCHIVES = (".tgz", ".tar.gz")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_NOT_FOUND = ("not found", "name unknown", "manifest unknown", "could not locate a version")


def is_packaged(chart: str) -> bool:
    """Whether this is the address or the archive of a chart, not a directory."""
    return chart.startswith(_ADDRESS) or chart.endswith(_ARCHIVES)


def directory(chart: str, version: str | None) -> Path:
    """The directory of a chart. ``version`` is a version or a range of an ``oci://`` address, as for Helm.

    Raises UsageError for a chart that does not exist, ServiceError if its registry cannot be reached or
    denies the request.
    """
    if chart.startswith(_ADDRESS):
        with tempfile.TemporaryDirectory(prefix="mrc-values-") as pulled:
            return _unpacked(_pull(chart, version, Path(pulled)), chart)
    if version:
        raise UsageError(f"--version {version}: selects a version of an {_ADDRESS} chart; {chart} has one.")
    return _unpacked(Path(chart), chart) if is_packaged(chart) else Path(chart)


def _pull(address: str, version: str | None, to: Path) -> Path:
    """The archive of a chart in a registry, with the login of `helm registry login`."""
    # A registry on this machine has no certificate, so HTTP is used for it, as docker does.
    plain = urlsplit(address).hostname in _LOOPBACK
    try:
        helm.pull(address, version, to, plain_http=plain)
    except helm.PullError as error:
        what = f"{address}: {error}."
        if any(text in str(error) for text in _NOT_FOUND):
            raise UsageError(f"{what} Check the address and --version.") from None
        raise ServiceError(f"{what} Check the network, or log in: helm registry login.") from None
    (archive,) = (file for file in to.iterdir() if file.name.endswith(_ARCHIVES))
    return archive


def _unpacked(archive: Path, chart: str) -> Path:
    """The directory of the unpacked archive in the cache."""
    try:
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"{chart}: {(error.strerror or str(error)).lower()}") from None
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mrc-values" / "charts"
    target = cache / digest[:16]
    if not target.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=".", dir=cache))
        try:
            helm.unpack(archive, unfinished)
            unfinished.rename(target)
        except helm.RenderError as error:
            raise UsageError(f"{chart}: Helm cannot unpack this chart: {error}.") from None
        except OSError:
            if not target.is_dir():  # else another process has unpacked it meanwhile
                raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return next(file.parent for file in target.glob("*/Chart.yaml"))
