"""The test notebook, as it is kept and as it runs."""

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

NOTEBOOK = Path(__file__).parents[2] / "container-viz" / "notebooks" / "test-model.ipynb"
JUPYTER = Path(sys.executable).with_name("jupyter")


def execute(output: Path, runs: Path) -> subprocess.CompletedProcess[str]:
    command = [JUPYTER, "nbconvert", "--to", "html", "--execute", "--output-dir", output, NOTEBOOK]
    environment = {**os.environ, "MRC_RUNS": str(runs)}
    return subprocess.run(command, capture_output=True, text=True, timeout=180, env=environment)


@pytest.fixture(scope="module")
def page(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The executed notebook as HTML."""
    output = tmp_path_factory.mktemp("page")
    done = execute(output, trained.parent)
    assert done.returncode == 0, done.stderr
    return (output / "test-model.html").read_text()


def test_the_notebook_is_kept_without_outputs_for_the_kernel_python3() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.outputs for cell in code] == [[]] * len(code)
    assert [cell.execution_count for cell in code] == [None] * len(code)
    assert notebook.metadata.kernelspec.name == "python3"


def test_the_executed_notebook_shows_detections_and_curves(page: str) -> None:
    encoded = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    pictures = [
        cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_COLOR) for text in encoded
    ]
    sheet, curves = pictures
    for picture in pictures:
        assert picture.std() > 20, "a picture is blank"
    # Four images below each other, each a detections and a truth panel of 512 x 512 (64 x 64, enlarged).
    assert sheet.shape[0] > 4 * 512 and 2 * 512 < sheet.shape[1] < 2 * 512 + 40
    assert curves.shape[1] > curves.shape[0]


def test_the_executed_notebook_names_the_run_its_checkpoint_and_its_classes(page: str, trained: Path) -> None:
    text = re.sub(r"<[^>]+>", "", page)
    assert f"0 {trained}  step 6, saved " in text
    assert "model-6 knows circle, square, triangle, star" in text
    assert "4 of the 4 images of val2017" in text


def test_the_executed_notebook_has_the_table_of_both_evaluations(page: str) -> None:
    table = re.search(r"<table>(.*?)</table>", page, re.DOTALL)
    assert table
    rows = [re.findall(r"<t[hd]>([^<]*)</t[hd]>", row) for row in table[1].split("</tr>")[:-1]]
    assert rows[0] == ["step", "loss", "box AP50", "mask AP50", "box AP", "mask AP"]
    assert [row[0] for row in rows[1:]] == ["3", "6"]


def test_no_cell_of_the_executed_notebook_warns(page: str) -> None:
    assert 'data-mime-type="application/vnd.jupyter.stderr"' not in page
