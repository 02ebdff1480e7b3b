"""The settings that the tool derives from values, against those that Helm renders."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from mrc_train.config import parse_literal
from mrc_values import helm, values
from mrc_values.trainer_settings import settings
from values_files import CHART

CASES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "strings": {"lr_schedule": "1x", "extra_config": "A.B=[1, 2] C=3\n  D.E=x y"},
    "lists": {
        "lr_schedule": [1000, 2000],
        "lr_epoch_schedule": [[1, 0.1], [2, None]],
        "data_train": ["a", "b"],
    },
    "numbers": {"base_lr": 1e-05, "gradient_clip": 0.36, "batch_size_per_gpu": 4, "images_per_epoch": 120000},
    "booleans": {"mode_mask": False, "mode_fpn": "True", "extra_config": ["A=1", " B=2 "]},
    "empty": {
        "data_dir": "",
        "backbone_weights": "",
        "lr_schedule": None,
        "extra_config": None,
        "eval_period_in_epochs": 0,
    },
}


@pytest.mark.parametrize("name", CASES)
def test_settings_are_those_of_the_rendered_launcher(name: str, tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump({"maskrcnn": {"image": "a/b:1", **CASES[name]}}))
    loaded, _ = values.load(CHART, [file])
    rendered = yaml.safe_load(helm.render(CHART, loaded.user, "run")["maskrcnn/templates/mpijob.yaml"])
    launcher = rendered["spec"]["mpiReplicaSpecs"]["Launcher"]["template"]["spec"]["containers"][0]
    passed = launcher["args"][launcher["args"].index("--config") + 1 :]
    theirs = [text for text in passed if text != "TRAINER=horovod"]  # set by no value
    assert sorted(map(as_read, (s.text for s in settings(loaded)))) == sorted(map(as_read, theirs))


def as_read(setting: str) -> tuple[str, str]:
    """Key and value as the trainer parses them: 1e-05 and 0.00001 are the same number."""
    key, _, value = setting.partition("=")
    return key, repr(parse_literal(value))
