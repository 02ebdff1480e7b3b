"""The committed wheel of Horovod's missing headers."""

import tomllib
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[2]
STUB = ROOT / "packaging" / "horovod-xla-stub"


def test_the_wheel_has_the_headers_beside_it_and_the_version_that_the_build_asks_for() -> None:
    version = tomllib.loads((STUB / "pyproject.toml").read_text())["project"]["version"]
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["extra-build-dependencies"]
    assert f"horovod-xla-stub=={version}" in build["horovod"]

    (file,) = (STUB / "wheel").glob("*.whl")
    assert file.name.split("-")[1] == version
    with ZipFile(file) as wheel:
        marker = f"horovod_xla_stub-{version}.data/data/"
        packed = {
            name.removeprefix(marker): wheel.read(name)
            for name in wheel.namelist()
            if name.startswith(marker)
        }
    headers = {
        str(header.relative_to(STUB)): header.read_bytes() for header in (STUB / "include").rglob("*.h")
    }
    assert packed == headers
