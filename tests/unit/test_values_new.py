"""mrc-values new: a chart copied from another."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from mrc_values.check import check
from mrc_values.helm import render
from mrc_values.manifests import objects
from values_files import BASE, CHART

PROGRAM = Path(sys.executable).with_name("mrc-values")
TRAINING = [
    directory.name
    for directory in sorted(CHART.parent.iterdir())
    if (directory / "files" / "launch.sh").is_file()
]
VALUES = yaml.safe_load(BASE)


@pytest.fixture
def charts(tmp_path: Path) -> Path:
    """A copy of the charts, symbolic links included."""
    shutil.copytree(CHART.parent, tmp_path / "charts", symlinks=True)
    return tmp_path / "charts"


def call(charts: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`mrc-values new ...` in the directory above the charts."""
    command: list[str | Path] = [PROGRAM, "new", *arguments]
    return subprocess.run(command, cwd=charts.parent, capture_output=True, text=True, timeout=60)


def everything(directory: Path) -> dict[str, str | bytes]:
    """Content of files and targets of links, by path."""
    content: dict[str, str | bytes] = {}
    for path in sorted(directory.rglob("*")):
        if path.is_symlink():
            content[str(path.relative_to(directory))] = str(path.readlink())
        elif path.is_file():
            content[str(path.relative_to(directory))] = path.read_bytes()
    return content


def rendered(chart: Path, release: str, namespace: str = "default") -> list[dict[str, Any]]:
    """The objects of a release with an image and every sub-chart enabled."""
    values = VALUES | {name: {"enabled": True, "image": "a/b:1"} for name in subcharts(chart)}
    return list(objects(render(chart, values, release, namespace)))


def subcharts(chart: Path) -> list[str]:
    return [
        directory.name for directory in (chart / "charts").glob("*") if (directory / "Chart.yaml").is_file()
    ]


def names(items: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    """Kind, namespace and name of objects."""
    return {(o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]) for o in items}


def selectors(value: Any) -> set[str]:
    """Every label selector in an object, as a string."""
    if isinstance(value, list):
        return {selector for item in value for selector in selectors(item)}
    if not isinstance(value, dict):
        return set()
    own = {str(value["selector"])} if value.get("selector") else set()
    return own | {selector for item in value.values() for selector in selectors(item)}


def test_new_prints_the_next_commands(charts: Path) -> None:
    result = call(charts, "team-b", "--from", "maskrcnn", "--namespace", "vision")
    assert result.returncode == 0
    assert result.stdout == (
        "mrc-values validate ./charts/team-b\n"
        "helm install team-b ./charts/team-b --namespace vision --create-namespace\n"
    )
    assert result.stderr == "charts/team-b: created from maskrcnn. Edit its values.yaml, then run:\n"


@pytest.mark.parametrize("source", ["maskrcnn", "charts/maskrcnn", "./charts/maskrcnn/"])
def test_the_source_is_a_name_or_a_directory(charts: Path, source: str) -> None:
    assert call(charts, "mine", "--from", source).stdout == (
        "mrc-values validate ./charts/mine\nhelm install mine ./charts/mine\n"
    )
    assert (charts / "mine" / "Chart.yaml").is_file()


@pytest.mark.parametrize("old", TRAINING)
def test_only_name_and_namespace_differ(charts: Path, old: str) -> None:
    before = everything(charts)
    assert call(charts, "mine", "--from", old, "--namespace", "vision").returncode == 0
    assert {path: data for path, data in everything(charts).items() if not path.startswith("mine/")} == before

    for path in (charts / "mine").rglob("*"):
        assert not path.is_symlink()
    differing = []
    for path in (path for path in (charts / "mine").rglob("*") if path.is_file()):
        original = charts / old / path.relative_to(charts / "mine")
        assert os.access(original, os.X_OK) == os.access(path, os.X_OK)
        mine, theirs = path.read_text().splitlines(), original.read_text().splitlines()
        assert len(mine) == len(theirs)
        differing += [(path.name, *lines) for lines in zip(theirs, mine, strict=True) if lines[0] != lines[1]]
    assert sorted(differing) == [
        ("Chart.yaml", f"name: {old}", "name: mine"),
        ("values.yaml", "  namespace: kubeflow", "  namespace: vision"),
    ]


@pytest.mark.parametrize("old", TRAINING)
def test_the_copy_renders_the_same_objects_except_for_the_charts_name(charts: Path, old: str) -> None:
    assert call(charts, "mine", "--from", old).returncode == 0

    def texts(chart: str) -> dict[str, str]:
        rendered = render(charts / chart, VALUES, "one")
        return {path.removeprefix(f"{chart}/"): text for path, text in rendered.items()}

    # Two labels and the hash of the job's settings contain the chart's name.
    old_texts, new_texts = texts(old), texts("mine")
    assert set(old_texts) == set(new_texts)
    labels = (f"app.kubernetes.io/name: {old}", f"helm.sh/chart: {old}-")
    for path, text in new_texts.items():
        for was, line in zip(old_texts[path].splitlines(), text.splitlines(), strict=True):
            if was != line:
                assert was.strip().startswith((*labels, "mask-rcnn/settings-sha256")), was
                assert line.replace("mine", old) == was or "sha256" in was


@pytest.mark.parametrize("namespace", [None, "vision"])
@pytest.mark.parametrize("old", TRAINING)
def test_source_and_copy_can_be_installed_side_by_side(charts: Path, old: str, namespace: str | None) -> None:
    assert (
        call(charts, "mine", "--from", old, *(["--namespace", namespace] if namespace else [])).returncode
        == 0
    )
    one, other = rendered(charts / old, old), rendered(charts / "mine", "mine", namespace or "default")
    assert one and {item["kind"] for item in one} == {item["kind"] for item in other}
    assert names(one).isdisjoint(names(other))
    assert selectors(one).isdisjoint(selectors(other))
    assert {space for _, space, _ in names(other)} == {namespace or "kubeflow"}


def test_a_fixed_job_name_of_the_source_is_not_copied(charts: Path) -> None:
    values = charts / "maskrcnn" / "values.yaml"
    values.write_text(values.read_text().replace('  name: ""', "  name: coco  # of the old chart", 1))
    assert call(charts, "mine", "--from", "maskrcnn").returncode == 0
    lines = (charts / "mine" / "values.yaml").read_text().splitlines()
    assert ["name:", '""', "#", "of", "the", "old", "chart"] in [line.split() for line in lines]
    assert names(rendered(charts / "maskrcnn", "one")).isdisjoint(names(rendered(charts / "mine", "mine")))


@pytest.mark.parametrize("old", TRAINING)
def test_validate_accepts_the_copy_as_a_chart(charts: Path, old: str) -> None:
    call(charts, "mine", "--from", old)
    values = charts.parent / "values.yaml"
    values.write_text(BASE.replace("node_group: p4d", "node_group: p4d, gpus: 20"))
    assert [
        (f.rule, f.position.line) for f in check(charts / "mine", [values]).findings if f.severity == "error"
    ] == [("MRC014", 1)]


def test_a_copy_can_be_copied(charts: Path) -> None:
    call(charts, "mine", "--from", "maskrcnn", "--namespace", "vision")
    call(charts, "mine-2", "--from", "mine", "--namespace", "1e3")
    assert yaml.safe_load((charts / "mine-2" / "Chart.yaml").read_text())["name"] == "mine-2"
    assert {space for _, space, _ in names(rendered(charts / "mine-2", "mine-2"))} == {"1e3"}


NAME_RULE = "Use lower-case letters, digits and hyphens, starting with a letter and not ending with a hyphen."
NAMENAMESPACE_RULE = (
    "Use at most 63 lower-case letters, digits and hyphens, not starting or ending with a hyphen."
)
LONG = "x" * 54


@pytest.mark.parametrize(
    ("name", "arguments", "code", "line"),
    [
        ("Team_B", "--from maskrcnn", 2, f"'Team_B' cannot be the name of a chart. {NAME_RULE}"),
        ("../team", "--from maskrcnn", 2, f"'../team' cannot be the name of a chart. {NAME_RULE}"),
        ("2nd", "--from maskrcnn", 2, f"'2nd' cannot be the name of a chart. {NAME_RULE}"),
        ("", "--from maskrcnn", 2, f"'' cannot be the name of a chart. {NAME_RULE}"),
        (LONG, "--from maskrcnn", 2, f"{LONG} has 54 characters. The name of a release has at most 53."),
        ("mine", "--from maskrcnn --namespace A", 2, f"'A' cannot be a namespace. {NAMENAMESPACE_RULE}"),
        ("mine", "--from maskrcnn --namespace=", 2, f"'' cannot be a namespace. {NAMENAMESPACE_RULE}"),
        (
            "mine",
            "--from maskrcn",
            2,
            "--from maskrcn: not a chart (no Chart.yaml). Did you mean maskrcnn?",
        ),
        (
            "mine",
            "--from a/b",
            2,
            "--from a/b: not a chart (no Chart.yaml). Give the directory of the chart to copy.",
        ),
        (
            "jupyter",
            "--from maskrcnn",
            1,
            "{charts}/jupyter: already exists. Choose another name, or remove it.",
        ),
    ],
)
def test_invalid_arguments_are_one_line(
    charts: Path, name: str, arguments: str, code: int, line: str
) -> None:
    before = everything(charts)
    result = call(charts, name, *arguments.split())
    assert (result.returncode, result.stdout) == (code, "")
    assert result.stderr == f"mrc-values: {line.format(charts=charts)}\n"
    assert everything(charts) == before


def test_a_directory_that_helm_cannot_load_is_rejected(charts: Path) -> None:
    (charts / "broken").mkdir()
    (charts / "broken" / "Chart.yaml").write_text("name: broken\n")
    result = call(charts, "mine", "--from", "broken")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("mrc-values: charts/broken: Helm cannot load this chart: ")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("link", "to", "message"),
    [
        (
            "templates/x.txt",
            "{outside}",
            "leads to {outside}, outside of {charts}. Replace it with the file.",
        ),
        ("files/up", "..", "leads to a directory that contains it. Remove it."),
        ("files/gone", "nowhere", "the link to nowhere is broken."),
    ],
)
def test_a_link_that_cannot_be_copied_is_rejected_and_nothing_is_left(
    charts: Path, tmp_path: Path, link: str, to: str, message: str
) -> None:
    outside = tmp_path / "secret.txt"
    outside.write_text("secret")
    chart = charts / "linked"
    (chart / "templates").mkdir(parents=True)
    (chart / "files").mkdir()
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: linked\nversion: 1.0.0\n")
    (chart / ".helmignore").write_text("files/\n")
    (chart / link).symlink_to(to.format(outside=outside))
    before = everything(charts)
    result = call(charts, "mine", "--from", "linked")
    assert (result.returncode, result.stdout) == (1, "")
    assert message.format(outside=outside, charts=charts) in result.stderr
    assert everything(charts) == before
    assert [path.name for path in charts.iterdir() if path.name.startswith(".mine")] == []


def test_a_named_pipe_in_the_chart_is_rejected(charts: Path) -> None:
    os.mkfifo(charts / "maskrcnn" / "examples" / "pipe")
    result = call(charts, "mine", "--from", "maskrcnn")
    assert result.returncode != 0
    assert not (charts / "mine").exists()


def test_a_chart_without_a_namespace_cannot_be_given_one(charts: Path) -> None:
    (charts / "plain").mkdir()
    (charts / "plain" / "Chart.yaml").write_text("apiVersion: v2\nname: plain\nversion: 1.0.0\n")
    result = call(charts, "mine", "--from", "plain", "--namespace", "vision")
    assert (result.returncode, result.stderr) == (
        1,
        "mrc-values: values.yaml of the source chart has no global.namespace that could be set.\n",
    )
    assert sorted(path.name for path in charts.iterdir() if "mine" in path.name) == []
    assert call(charts, "mine", "--from", "plain").returncode == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_is_not_writable_is_one_line(charts: Path) -> None:
    charts.chmod(0o555)
    try:
        result = call(charts, "mine", "--from", "maskrcnn")
    finally:
        charts.chmod(0o755)
    assert (result.returncode, result.stderr) == (
        1,
        f"mrc-values: {charts}: cannot be written: permission denied.\n",
    )


def test_ctrl_c_leaves_nothing_behind(charts: Path) -> None:
    many = charts / "maskrcnn" / "examples" / "many"
    many.mkdir()
    for number in range(5000):
        (many / f"{number}.yaml").touch()
    before = sorted(path.name for path in charts.iterdir())
    process = subprocess.Popen(
        [PROGRAM, "new", "mine", "--from", "maskrcnn"],
        cwd=charts.parent,
        stderr=subprocess.PIPE,
    )
    while not any(charts.glob(".mine.*/mine/examples/many")):
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) != 0
    assert sorted(path.name for path in charts.iterdir()) == before
