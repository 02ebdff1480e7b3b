"""Packaged charts, and charts in a real registry on loopback: Debian's docker-registry."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import helm_python
import pytest
from loopback import free_port
from mrc_cli.errors import ServiceError, UsageError
from mrc_values import chart_source
from values_files import CHART

PROGRAM = Path(sys.executable).with_name("mrc-values")
VERSION = "0.1.0"
CONFIG = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: {directory}/store}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart maskrcnn as `helm package` makes it."""
    directory = tmp_path_factory.mktemp("packaged")
    with helm_python.Chart.load(CHART) as chart:
        chart.save(directory)
    return directory / f"maskrcnn-{VERSION}.tgz"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, archive: Path) -> Iterator[str]:
    """The address of a registry that has the chart."""
    if not shutil.which("docker-registry"):
        pytest.skip("needs Debian's package docker-registry")
    directory = tmp_path_factory.mktemp("registry")
    port = free_port()
    (directory / "config.yml").write_text(CONFIG.format(directory=directory, port=port))
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen(
            ["docker-registry", "serve", str(directory / "config.yml")], stdout=log, stderr=log
        )
    try:
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert server.poll() is None, (directory / "log").read_text()
            time.sleep(0.05)
        helm_python.push(archive, f"oci://127.0.0.1:{port}/charts", plain_http=True)
        yield f"oci://127.0.0.1:{port}/charts"
    finally:
        server.terminate()
        server.wait()


def validate(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, "validate", *arguments], input=stdin, capture_output=True, text=True)


def test_a_packaged_chart_has_the_findings_of_its_directory(archive: Path, tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text("maskrcnn: {image: 'a/b:1', node_group: p4d, gpus: 20, gpu: 1}\ntensorboard: {prt: 1}\n")
    packed, plain = validate(archive, "-f", file), validate(CHART, "-f", file)
    assert len(packed.stdout.splitlines()) == 3
    assert packed.stdout == plain.stdout
    assert packed.stderr == f"{archive}: 3 errors\n"


def test_findings_about_a_packaged_chart_name_files_that_exist(archive: Path, cache: Path) -> None:
    file, line = validate(archive).stdout.split(":")[:2]
    assert Path(file).is_relative_to(cache)
    assert "image:" in Path(file).read_text().splitlines()[int(line) - 1]


def test_a_chart_in_a_registry_is_checked(registry: str) -> None:
    for version in ([], ["--version", VERSION], ["--version", "~0.1"]):
        done = validate(
            f"{registry}/maskrcnn", *version, "-f", "-", stdin="maskrcnn:\n  gpus: 20\n  image: a/b:1"
        )
        assert "-:2:9: error MRC014 maskrcnn.gpus: 20 is not a multiple of 8" in done.stdout, done.stderr
        assert done.stderr == f"{registry}/maskrcnn: 1 error, 1 info\n"


@pytest.mark.parametrize(("chart", "version"), [("maskrcnn", "9.9.9"), ("maskrcnn", "^7"), ("nothing", None)])
def test_a_chart_that_the_registry_lacks_is_wrong_usage(
    registry: str, chart: str, version: str | None
) -> None:
    with pytest.raises(UsageError, match=r"Check the address and --version\.$"):
        chart_source.directory(f"{registry}/{chart}", version)


def test_a_registry_that_does_not_respond_is_exit_code_3() -> None:
    address = f"oci://127.0.0.1:{free_port()}/charts/maskrcnn"
    with pytest.raises(ServiceError, match="connection refused"):
        chart_source.directory(address, None)


def test_a_damaged_package_and_a_version_of_a_directory_are_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "a.tgz").write_bytes(b"no archive")
    with pytest.raises(UsageError, match=r"a\.tgz: Helm cannot unpack this chart"):
        chart_source.directory(str(tmp_path / "a.tgz"), None)
    with pytest.raises(UsageError, match="--version 1: selects a version of an oci:// chart"):
        chart_source.directory(str(CHART), "1")
