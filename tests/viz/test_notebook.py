"""The test notebook: the file in the repository, and its result when executed."""

import base64
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import nbformat
import numpy as np
import pytest
from mrc_viz.runs import validation_splits

NOTEBOOK = Path(__file__).parents[2] / "container-viz" / "notebooks" / "test-model.ipynb"
JUPYTER = Path(sys.executable).with_name("jupyter")
APS = ("AP50", "AP75", "AP")


def execute(output: Path, runs: Path) -> subprocess.CompletedProcess[str]:
    command = [JUPYTER, "nbconvert", "--to", "html", "--execute", "--output-dir", output, NOTEBOOK]
    environment = {**os.environ, "MRC_RUNS": str(runs)}
    return subprocess.run(command, capture_output=True, text=True, timeout=180, env=environment)


@pytest.fixture(scope="module")
def page(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The executed notebook as HTML."""
    output = tmp_path_factory.mktemp("page")
    done = execute(output, finished.parent)
    assert done.returncode == 0, done.stderr
    return (output / "test-model.html").read_text()


def test_the_notebook_file_has_no_outputs_and_uses_the_python3_kernel() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.outputs for cell in code] == [[]] * len(code)
    assert [cell.execution_count for cell in code] == [None] * len(code)
    assert notebook.metadata.kernelspec.name == "python3"


def images(page: str) -> list[np.ndarray]:
    encoded = re.findall(r'src="data:image/(?:png|jpeg);base64,([^"]+)"', page)
    return [
        cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_COLOR) for text in encoded
    ]


def tables(page: str) -> list[list[list[str]]]:
    """Cells of every table, row by row."""
    return [
        [re.findall(r"<t[hd]>([^<]*)</t[hd]>", row) for row in table.split("</tr>")[:-1]]
        for table in re.findall(r"<table>(.*?)</table>", page, re.DOTALL)
    ]


def test_the_executed_notebook_shows_curves_and_each_image_beside_its_ground_truth(
    page: str, finished: Path
) -> None:
    shown = images(page)
    for image in shown:
        assert image.std() > 20, "an image is blank"
    (split,) = validation_splits(finished)
    named = [name for name in re.findall(r"<figcaption>([^:<]+):", page) if name != "ground truth"]
    assert named[:4] == [record.path.name for record in split.records]
    scenes = [image for image in shown if image.shape == (512, 512, 3)]  # 64 x 64, enlarged
    # The section with the worst images has four pairs as well, since all images have errors here.
    assert len(scenes) == 2 * len(named) == 16
    assert len(shown) - len(scenes) == 3, "curves, precision over recall and the confusion matrix are plots"


def test_every_annotated_object_has_an_element_with_its_class(page: str, finished: Path) -> None:
    (split,) = validation_splits(finished)
    titles = re.findall(r'<rect class="mrc-ground-truth"[^>]*><title>([^<]*)</title>', page)
    annotated = [split.categories.name_of(label) for record in split.records for label in record.labels]
    assert sorted(titles) == sorted(2 * annotated)


def test_the_executed_notebook_names_the_run_its_checkpoint_and_its_classes(
    page: str, finished: Path
) -> None:
    text = re.sub(r"<[^>]+>", "", page)
    assert f"{finished}: model-6 detects circle, square, triangle, star" in text
    assert "4 images of val2017" in text


def test_the_executed_notebook_has_the_table_of_both_evaluations(page: str) -> None:
    rows, _ = tables(page)
    assert rows[0] == ["step", "loss", "box AP50", "mask AP50", "box AP", "mask AP"]
    assert [row[0] for row in rows[1:]] == ["3", "6"]


def test_the_executed_notebook_has_a_row_for_each_class_and_the_trainers_own_metrics_below(
    page: str,
) -> None:
    evaluations, classes = tables(page)
    assert classes[0] == ["class", "objects", *(f"{kind} {ap}" for kind in ("box", "mask") for ap in APS)]
    assert {row[0] for row in classes[1:-1]} == {"circle", "square", "triangle", "star"}
    _, _, box50, mask50, box, mask = evaluations[-1]
    assert [classes[-1][column] for column in (2, 4, 5, 7)] == [box50, box, mask50, mask]


def test_no_cell_of_the_executed_notebook_prints_a_warning(page: str) -> None:
    assert 'data-mime-type="application/vnd.jupyter.stderr"' not in page
