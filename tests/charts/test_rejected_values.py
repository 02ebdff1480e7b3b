"""Values files with one mistake each, which Helm rejects with a message that names the value.

rejected/<chart>/<mistake>.yaml: the first line is a part of Helm's message, the mistake is marked "# wrong".
"""

from pathlib import Path
from typing import Any

import pytest
import yaml
from mrc_cli.findings import Severity
from mrc_values.check import check
from mrc_values.helm import RenderError, render
from rendering import CHARTS

DIRECTORY = Path(__file__).with_name("rejected")
FILES = [
    pytest.param(file, id=f"{file.parent.name}/{file.stem}") for file in sorted(DIRECTORY.glob("*/*.yaml"))
]


def refusal(chart: str, values: dict[str, Any], namespace: str = "default") -> str:
    """Helm's message."""
    with pytest.raises(RenderError) as error:
        render(CHARTS / chart, values, "demo", namespace)
    return error.value.message


@pytest.mark.parametrize("file", FILES)
def test_helm_rejects_it_and_names_value_and_reason(file: Path) -> None:
    expected = file.read_text().splitlines()[0].removeprefix("# ")
    assert expected in refusal(file.parent.name, yaml.safe_load(file.read_text()))


@pytest.mark.parametrize("file", FILES)
def test_mrc_values_reports_it_on_its_line(file: Path) -> None:
    (wrong,) = (n for n, line in enumerate(file.read_text().splitlines(), 1) if line.endswith("# wrong"))
    errors = [
        finding
        for finding in check(CHARTS / file.parent.name, [file]).findings
        if finding.severity is Severity.ERROR
    ]
    assert {(finding.position.file, finding.position.line) for finding in errors} == {(str(file), wrong)}
    assert all(finding.fix for finding in errors)


def test_every_chart_has_files() -> None:
    assert {"jupyter", "maskrcnn", "mpijob", "serve", "tensorboard"} <= {
        path.name for path in DIRECTORY.iterdir()
    }
    assert len(FILES) >= 40


def test_no_mistake_occurs_twice() -> None:
    mistakes = [(file.parent, file.read_text().partition("\n")[2]) for file in DIRECTORY.glob("*/*.yaml")]
    assert len(mistakes) == len(set(mistakes))


def test_a_release_in_a_third_namespace_is_rejected() -> None:
    message = refusal("maskrcnn", {"maskrcnn": {"image": "trainer:1"}}, namespace="vision")
    assert (
        "global.namespace: the release is in namespace vision, but its objects are in kubeflow. "
        "Run helm with --namespace kubeflow, or set global.namespace to"
    ) in message
