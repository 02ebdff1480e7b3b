import io
import subprocess
import sys

import cv2
import numpy as np
import pytest
from coco_files import jpeg_with_exif_rotation
from mrc_train.data.decoding import UnreadableImage, decode
from numpy.typing import NDArray
from PIL import Image


def png(pixels: NDArray[np.generic]) -> bytes:
    _, encoded = cv2.imencode(".png", pixels)
    return encoded.tobytes()


def test_exif_rotation_is_applied() -> None:
    image = decode(jpeg_with_exif_rotation(), "rotated.jpg")
    assert image.shape == (40, 20, 3)
    assert image[:15].min() > 200 and image[25:].max() < 50


def test_the_stored_orientation_is_available_too() -> None:
    assert decode(jpeg_with_exif_rotation(), "rotated.jpg", apply_exif=False).shape == (20, 40, 3)


def test_a_gray_image_gets_three_equal_channels() -> None:
    np.testing.assert_array_equal(
        decode(png(np.full((8, 9), 77, np.uint8)), "gray.png"), np.full((8, 9, 3), 77)
    )


def test_an_alpha_channel_is_dropped() -> None:
    pixels = np.full((8, 9, 4), [10, 20, 30, 128], np.uint8)
    np.testing.assert_array_equal(decode(png(pixels), "alpha.png"), pixels[..., :3])


def test_of_16_bits_the_upper_8_are_kept() -> None:
    pixels = np.full((8, 9, 3), [0x1234, 0x80FF, 0xFF00], np.uint16)
    np.testing.assert_array_equal(decode(png(pixels), "deep.png")[0, 0], [0x12, 0x80, 0xFF])


@pytest.mark.parametrize(("mode", "format"), [("CMYK", "JPEG"), ("P", "PNG"), ("1", "PNG"), ("RGB", "WEBP")])
def test_other_color_models_become_bgr(mode: str, format: str) -> None:
    orange = Image.new("RGB", (16, 8), (255, 128, 0) if mode != "1" else (255, 255, 255)).convert(mode)
    buffer = io.BytesIO()
    orange.save(buffer, format)
    image = decode(buffer.getvalue(), "color")
    expected = np.asarray(orange.convert("RGB"))[..., ::-1]
    assert image.shape == (8, 16, 3) and image.dtype == np.uint8
    assert np.abs(image.astype(int) - expected).max() <= 6


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n cut off"])
def test_what_is_not_an_image_is_named(content: bytes) -> None:
    with pytest.raises(UnreadableImage, match=r"^bad\.jpg: not an image that OpenCV can decode$"):
        decode(content, "bad.jpg")


def test_an_image_of_more_than_2_to_the_30_pixels_is_rejected_from_its_header() -> None:
    header = bytearray(png(np.zeros((1, 1), np.uint8)))
    header[16:24] = (1 << 17).to_bytes(4, "big") * 2
    with pytest.raises(UnreadableImage):
        decode(bytes(header), "bomb.png")


def test_servers_can_import_categories_and_decoding_without_tensorpack_and_tensorflow() -> None:
    script = (
        "import sys, mrc_train.data.categories, mrc_train.data.decoding\n"
        "print(*({'tensorpack', 'tensorflow', 'horovod', 'pydantic', 'pycocotools'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
