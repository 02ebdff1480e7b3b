from pathlib import Path

import cv2
import numpy as np
import pytest
from coco_files import write_picture
from mrc_train.config import parse
from mrc_train.data.images import UnreadableImage, inference_image, padded, read_annotated, read_image


def write_turned_jpeg(path: Path) -> None:
    """A stored 40 x 20 picture, left half white, whose EXIF says: turn a quarter clockwise."""
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, :20] = 255
    _, encoded = cv2.imencode(".jpg", pixels)
    # APP1 with one little-endian IFD entry: tag 0x0112 (orientation), SHORT, count 1, value 6.
    tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    app1 = b"\xff\xe1" + (len(tiff) + 8).to_bytes(2, "big") + b"Exif\0\0" + tiff
    data = encoded.tobytes()
    path.write_bytes(data[:2] + app1 + data[2:])


def test_a_picture_is_turned_as_its_exif_says(tmp_path: Path) -> None:
    write_turned_jpeg(tmp_path / "turned.jpg")
    picture = read_image(tmp_path / "turned.jpg")
    assert picture.shape == (40, 20, 3)
    assert picture[:15].min() > 200 and picture[25:].max() < 50


@pytest.mark.parametrize(("height", "width"), [(40, 20), (20, 40)])
def test_annotations_may_be_for_the_turned_or_the_stored_picture(
    tmp_path: Path, height: int, width: int
) -> None:
    write_turned_jpeg(tmp_path / "turned.jpg")
    assert read_annotated(tmp_path / "turned.jpg", height, width).shape == (height, width, 3)


def test_a_picture_of_another_size_than_annotated_is_unreadable(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", 30, 50)
    with pytest.raises(UnreadableImage, match=r"a.png: 50 x 30 pixels, annotated as 51 x 30"):
        read_annotated(tmp_path / "a.png", 30, 51)


def test_a_grey_picture_gets_three_channels(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((8, 9), 77, np.uint8))
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), np.full((8, 9, 3), 77))


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "not a picture"), (b"no picture", "not a picture"), (None, "No such file")],
)
def test_a_picture_that_cannot_be_decoded_is_named(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "bad.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnreadableImage, match=f"bad.jpg: {reason}"):
        read_image(path)


@pytest.mark.parametrize(("length", "expected"), [(1, 32), (32, 32), (33, 64), (800, 800), (1333, 1344)])
def test_lengths_are_padded_to_multiples_of_32(length: int, expected: int) -> None:
    assert padded(length) == expected


def test_a_picture_for_inference_is_resized_and_padded_with_zeros() -> None:
    cfg = parse(["PREPROC.TEST_SHORT_EDGE_SIZE=100"])
    batch, image_size = inference_image(cfg, np.full((50, 80, 3), 9, np.uint8))
    assert batch.shape == (1, 128, 160, 3) and batch.dtype == np.uint8
    np.testing.assert_array_equal(image_size, np.array([[100, 160]], np.float32))
    assert (batch[0, :100, :160] == 9).all()
    assert not batch[0, 100:].any()
