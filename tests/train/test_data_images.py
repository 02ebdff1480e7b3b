from pathlib import Path

import numpy as np
import pytest
from coco_files import jpeg_with_exif_rotation, write_image
from mrc_train.config import parse
from mrc_train.data.decoding import UnreadableImage
from mrc_train.data.images import inference_image, padded, read_annotated, read_image


@pytest.mark.parametrize(("height", "width"), [(40, 20), (20, 40)])
def test_annotations_may_refer_to_the_rotated_or_the_stored_image(
    tmp_path: Path, height: int, width: int
) -> None:
    (tmp_path / "rotated.jpg").write_bytes(jpeg_with_exif_rotation())
    assert read_annotated(tmp_path / "rotated.jpg", height, width).shape == (height, width, 3)


def test_an_image_whose_size_is_not_the_annotated_one_is_unreadable(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", 30, 50)
    with pytest.raises(UnreadableImage, match=r"a.png: 50 x 30 pixels, annotated as 51 x 30"):
        read_annotated(tmp_path / "a.png", 30, 51)


def test_a_missing_image_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match=r"gone.jpg: No such file"):
        read_image(tmp_path / "gone.jpg")


@pytest.mark.parametrize(("length", "expected"), [(1, 32), (32, 32), (33, 64), (800, 800), (1333, 1344)])
def test_lengths_are_padded_to_multiples_of_32(length: int, expected: int) -> None:
    assert padded(length) == expected


def test_an_image_for_inference_is_resized_and_padded_with_zeros() -> None:
    cfg = parse(["PREPROC.TEST_SHORT_EDGE_SIZE=100"])
    batch, image_size = inference_image(cfg, np.full((50, 80, 3), 9, np.uint8))
    assert batch.shape == (1, 128, 160, 3) and batch.dtype == np.uint8
    np.testing.assert_array_equal(image_size, np.array([[100, 160]], np.float32))
    assert (batch[0, :100, :160] == 9).all()
    assert not batch[0, 100:].any()
