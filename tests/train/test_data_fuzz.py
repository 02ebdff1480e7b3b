"""Damaged annotation files: read as far as they can be used, or rejected in one line, never a traceback.

``MRC_FUZZ_SECONDS=600 pytest tests/train/test_data_fuzz.py`` searches longer, from another seed each time.
"""

import copy
import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_files import CATEGORIES, annotation, image, write_image
from mrc_data.check import check
from mrc_data.convert import read_source
from mrc_train.data.annotations import MIN_BOX_SIDE, read_annotations
from mrc_train.data.coco import load_split
from mrc_train.data.masks import encode_rle, segmentation_to_mask
from mrc_train.data.problems import RULES, DataError
from mrc_train.evaluation.coco_metrics import check_can_be_scored

SECONDS = float(os.environ.get("MRC_FUZZ_SECONDS", 0))
ROUNDS = 300
SEED = 1

ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 7, 63, 1 << 63, -(1 << 63), 10**400, 0.5, 1e308, -1e308, 1e-320, 64.0),
    *(
        float("nan"),
        float("inf"),
        float("-inf"),
        "",
        "0",
        "1",
        "true",
        "x",
        "\ud800",
        "\x1b[31m",
        "a\0b",
        "é" * 300,
    ),
    *(
        [],
        [[]],
        [0],
        [1, 2, 3, 4],
        [1, 2, 3, 4, 5, 6],
        [[1, 2, 3, 4, 5, 6]],
        [["a"] * 6],
        [None] * 4,
        [1e308] * 4,
    ),
    *(
        {},
        {"size": [40, 60], "counts": []},
        {"size": [40, 60], "counts": "0"},
        {"counts": [2400], "size": [40, 60]},
    ),
    *(
        {"size": [40, 60], "counts": "\x00"},
        {"size": [1e9, 1e9], "counts": [1]},
        {"size": None, "counts": None},
    ),
    *("../1.png", "/etc/passwd", "train2017/1.png", "sub\\1.png", "1.png", "%31.png", "//", ".", ".."),
]


def sound() -> dict[str, Any]:
    bitmap = np.zeros((40, 60), np.uint8)
    bitmap[5:20, 10:30] = 1
    return {
        "info": {},
        "images": [image(1), image(2)],
        "annotations": [
            {"id": 1, **annotation(1, [10, 5, 20, 15])},
            {"id": 2, **annotation(1, [10, 5, 20, 15], 2), "segmentation": encode_rle(bitmap)},
            {"id": 3, **annotation(2, [1, 2, 30, 20])},
        ],
        "categories": copy.deepcopy(CATEGORIES),
    }


def damaged(chance: random.Random) -> bytes:
    """A sound file with a few values replaced, removed, repeated or moved, and sometimes bytes changed."""
    content: Any = sound()
    for _ in range(chance.randint(1, 4)):
        parent, key = chance.choice(list(_places(content)))
        match chance.randrange(5):
            case 0 | 1:
                parent[key] = copy.deepcopy(chance.choice(ODD))
            case 2:
                del parent[key]
            case 3 if isinstance(parent, list):
                parent.append(copy.deepcopy(parent[key]))
            case _:
                other, other_key = chance.choice(list(_places(content)))
                parent[key] = copy.deepcopy(other[other_key])
        if not list(_places(content)):
            break
    text = json.dumps(content).encode("utf-8", "surrogatepass")
    if chance.random() < 0.1:
        at = chance.randrange(len(text))
        text = (
            text[:at]
            + bytes([chance.randrange(256)]) * chance.randint(0, 3)
            + text[at + chance.randint(0, 4) :]
        )
    return text


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a JSON value: the list or mapping, and the index or key."""
    for key in (
        list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    ):
        yield value, key
        yield from _places(value[key])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for number in (1, 2):
        (tmp_path / "train2017").mkdir(exist_ok=True)
        write_image(tmp_path / "train2017" / f"{number}.png", 40, 60)
    (tmp_path / "annotations").mkdir()
    return tmp_path


def assert_holds(data: Path, content: bytes) -> None:
    """What must be true of every file, sound or not."""
    file = data / "annotations" / "instances_train2017.json"
    file.write_bytes(content)
    checked = check(data, masks=True, decode=0)
    assert all("\n" not in str(finding) and finding.rule in RULES for finding in checked.findings)
    for masks in (True, False):
        try:
            split = load_split(data, "train2017", masks)
        except DataError as error:
            assert "\n" not in str(error) and len(str(error)) < 2000
            if masks:
                assert any(finding.severity == "error" for finding in checked.findings), str(error)
            continue
        for record in split.records:
            assert record.path.resolve().is_relative_to(data.resolve() / "train2017")
            assert np.isfinite(record.boxes).all()
            assert (record.boxes[:, 2:] - record.boxes[:, :2] >= MIN_BOX_SIDE / 2).all()
            for segmentation in record.segmentations:
                if record.height * record.width < 1 << 20:
                    assert segmentation_to_mask(segmentation, record.height, record.width).any()
        split.summary().encode()
        check_can_be_scored(file, masks)
    try:
        read_source(file, data / "train2017", None)
    except DataError as error:
        assert "\n" not in str(error)


def test_damaged_annotation_files_are_used_or_rejected_in_one_line(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = time.time_ns() % 10**9 if SECONDS else SEED
    end = time.monotonic() + SECONDS
    for number in range(ROUNDS if not SECONDS else 10**9):
        if SECONDS and time.monotonic() > end:
            with capsys.disabled():
                print(f"{number} files from seed {seed}")
            break
        content = damaged(random.Random(f"{seed}/{number}"))
        try:
            assert_holds(data, content)
        except Exception as error:
            raise AssertionError(f"seed {seed}/{number}: {content!r}") from error


def test_a_sound_file_is_accepted(data: Path) -> None:
    assert_holds(data, json.dumps(sound()).encode())
    assert len(read_annotations(data / "annotations" / "instances_train2017.json", True).objects[1]) == 2
