"""The charts with the real helm programs, from a plain checkout, without a cluster."""

import subprocess
import tarfile
from pathlib import Path

import pytest
import releases
import yaml
from releases import CHART_NAMES

LINKS = "found symbolic link in path"


def run(program: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *arguments], capture_output=True, text=True)


def given(chart: str) -> list[str]:
    return [f"--set={value}" for value in releases.given(chart)]


@pytest.mark.parametrize("chart", CHART_NAMES)
def test_helm_lint_finds_nothing_in_a_fresh_checkout(helm_program: Path, charts: Path, chart: str) -> None:
    linted = run(helm_program, "lint", "--strict", charts / chart)
    assert linted.returncode == 0, linted.stdout
    assert "[WARNING]" not in linted.stdout
    assert "[ERROR]" not in linted.stdout


@pytest.mark.parametrize("chart", CHART_NAMES)
def test_helm_template_says_nothing_but_where_the_links_are(
    helm_program: Path, charts: Path, chart: str
) -> None:
    rendered = run(helm_program, "template", "demo", charts / chart, *given(chart))
    assert rendered.returncode == 0, rendered.stderr
    assert [line for line in rendered.stderr.splitlines() if LINKS not in line] == []
    assert [item["kind"] for item in yaml.safe_load_all(rendered.stdout) if item]


@pytest.mark.parametrize(
    ("chart", "value"),
    [("maskrcnn", "maskrcnn.image"), ("maskrcnn-optimized", "maskrcnn.image"), ("jupyter", "image")],
)
def test_the_image_is_all_that_a_user_has_to_give(
    helm_program: Path, charts: Path, chart: str, value: str
) -> None:
    rejected = run(helm_program, "template", "demo", charts / chart)
    assert rejected.returncode == 1
    assert f"{value} is not set. Set " in rejected.stderr
    assert f"--set {value}=<registry>/<name>:<tag>" in rejected.stderr
    assert run(helm_program, "template", "demo", charts / chart, f"--set={value}=x:1").returncode == 0


@pytest.mark.parametrize("chart", CHART_NAMES)
def test_a_packaged_chart_renders_what_the_folder_renders(
    helm_program: Path, charts: Path, chart: str, tmp_path: Path
) -> None:
    package = packaged(helm_program, charts / chart, tmp_path)
    # Jupyter's token and certificate are other ones each time.
    flags = given(chart) + (["--set=token_secret=t,tls_secret=t"] if chart == "jupyter" else [])
    from_folder = run(helm_program, "template", "demo", charts / chart, *flags)
    from_package = run(helm_program, "template", "demo", package, *flags)
    assert from_package.returncode == 0, from_package.stderr
    assert from_package.stderr == ""
    assert from_package.stdout == from_folder.stdout


@pytest.mark.parametrize("chart", CHART_NAMES)
def test_a_packaged_chart_holds_the_files_of_its_linked_folders(
    helm_program: Path, charts: Path, chart: str, tmp_path: Path
) -> None:
    package = packaged(helm_program, charts / chart, tmp_path)
    with tarfile.open(package) as archive:
        archive.extractall(tmp_path, filter="data")
    unpacked = tmp_path / chart
    files = contents(unpacked)
    assert not any(path.is_symlink() for path in unpacked.rglob("*"))
    assert files.keys() == {path for path in contents(charts / chart) if not left_out(path)}
    for path in files.keys() - chart_files(files):
        assert files[path] == (charts / chart / path).read_bytes(), path
    # Helm rewrites Chart.yaml.
    for path in chart_files(files):
        written, source = (
            yaml.safe_load(text) for text in (files[path], (charts / chart / path).read_text())
        )
        for dependency in source.get("dependencies", []):
            dependency["repository"] = ""
        assert written == source, path


def packaged(program: Path, chart: Path, to: Path) -> Path:
    done = run(program, "package", chart, "--destination", to)
    assert done.returncode == 0, done.stderr
    (package,) = to.glob("*.tgz")
    return package


def contents(directory: Path) -> dict[str, bytes]:
    """Every file of a directory, links followed, by its path there."""
    files: dict[str, bytes] = {}
    for path in directory.iterdir():
        if path.is_dir():
            files |= {f"{path.name}/{name}": content for name, content in contents(path).items()}
        else:
            files[path.name] = path.read_bytes()
    return files


def chart_files(paths: dict[str, bytes]) -> set[str]:
    return {path for path in paths if Path(path).name == "Chart.yaml"}


def left_out(path: str) -> bool:
    """Whether a package leaves a file out: examples, guides, and the sources of the schemas."""
    return path.startswith("examples/") or path.endswith((".md", "values.schema.yaml"))
