"""The deploy notebook: executed against the stand-in, with the real inference server as its endpoint."""

import os
from pathlib import Path

import nbformat
import sagemaker_tool
from nbclient import NotebookClient
from pytest import MonkeyPatch
from sagemaker_tool import CHART, OFFLINE, VALUES
from standin import SageMaker, serving

NOTEBOOK = Path(__file__).parents[2] / "sagemaker" / "deploy.ipynb"


def test_the_notebook_hosts_detects_and_deletes(
    tmp_path: Path, served: tuple[str, int], tiny_scenes: Path, monkeypatch: MonkeyPatch
) -> None:
    service = SageMaker(tmp_path / "jobs", tiny_scenes)
    service.server = served
    notebook = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    assert not any(cell.outputs for cell in notebook.cells if cell.cell_type == "code")
    image = next(iter(sorted((tiny_scenes / "val2017").iterdir())))
    values = sagemaker_tool.write(tmp_path / "values.yaml", VALUES)
    with serving(service) as url:
        variables = {
            **OFFLINE,
            "AWS_ENDPOINT_URL": url,
            "MRC_DEPLOY_VALUES": str(values),
            "MRC_DEPLOY_IMAGE": str(image),
            "MRC_DEPLOY_CHART": os.fspath(CHART),
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        done = NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    outputs = [output for cell in done.cells if cell.cell_type == "code" for output in cell.outputs]
    text = "".join(output.text for output in outputs if output.output_type == "stream")
    assert "maskrcnn InService" in text
    assert " detections\n" in text
    assert any("image/png" in output.data for output in outputs if output.output_type == "display_data")
    assert text.count("deleted ") == 3
    assert [call for call in service.calls if call.startswith("Delete")] == [
        *("DeleteEndpoint", "DeleteEndpointConfig", "DeleteModel")
    ]
