"""/invocations: what a client gets for an image."""

import base64
import io
import json
from collections.abc import Callable

import cv2
import numpy as np
import pycocotools.mask
import pytest
from inference_server import Server, wait_for

Predicted = Callable[[bytes], list[dict[str, object]]]


def encoded(image: np.ndarray, suffix: str, *parameters: int) -> bytes:
    return cv2.imencode(suffix, image, parameters)[1].tobytes()


def npy(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, image)
    return file.getvalue()


def line(content: bytes) -> bytes:
    return json.dumps({"image": base64.b64encode(content).decode()}).encode()


def test_the_answer_is_that_of_mrc_predict_bit_by_bit(
    server: Server, jpeg: bytes, predicted: Predicted
) -> None:
    reply = server.post(jpeg, content_type="image/jpeg")
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    answer = reply.json()
    assert (answer["width"], answer["height"], answer["threshold"]) == (320, 240, 0.02)
    assert len(answer["detections"]) > 5
    assert answer["detections"] == predicted(jpeg)


def test_masks_are_the_run_lengths_that_pycocotools_writes(server: Server, jpeg: bytes) -> None:
    for detection in server.post(jpeg).json()["detections"]:
        rle = detection["segmentation"]
        bitmap = pycocotools.mask.decode(rle)
        assert bitmap.shape == (240, 320)
        assert pycocotools.mask.encode(np.asfortranarray(bitmap))["counts"].decode() == rle["counts"]


@pytest.mark.parametrize("form", ["png", "npy", "webp", "base64"])
def test_lossless_formats_of_the_same_pixels_have_the_same_detections(
    server: Server, pixels: np.ndarray, form: str
) -> None:
    bodies = {
        "png": encoded(pixels, ".png"),
        "npy": npy(pixels[:, :, ::-1]),
        "webp": encoded(pixels, ".webp", cv2.IMWRITE_WEBP_QUALITY, 101),
        "base64": line(encoded(pixels, ".png")),
    }
    bmp_like = server.post(encoded(pixels, ".png")).json()
    assert server.post(bodies[form], content_type="text/plain").json() == bmp_like
    assert bmp_like["detections"]


def test_a_gray_npy_is_three_equal_channels(server: Server, pixels: np.ndarray) -> None:
    gray = pixels[:, :, 1]
    assert server.post(npy(gray)).json() == server.post(npy(np.stack([gray] * 3, axis=2))).json()


def test_exif_orientation_is_applied(server: Server, pixels: np.ndarray) -> None:
    jpeg = encoded(pixels, ".jpg")
    # A quarter turn clockwise (6), as in a phone's portrait photo.
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    turned = jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]
    answer = server.post(turned).json()
    assert (answer["width"], answer["height"]) == (240, 320)


def test_a_large_photo_is_answered(server: Server, pixels: np.ndarray) -> None:
    large = encoded(cv2.resize(pixels, (2400, 1100)), ".jpg")
    answer = server.post(large, "?max=3").json()
    assert (answer["width"], answer["height"]) == (2400, 1100)
    assert len(answer["detections"]) == 3


def test_twenty_masks_fit_into_100_kb(server: Server, pixels: np.ndarray) -> None:
    reply = server.post(encoded(cv2.resize(pixels, (800, 600)), ".jpg"), "?max=20&threshold=0")
    assert len(reply.json()["detections"]) == 20
    assert len(reply.body) < 100_000


def test_threshold_and_max_select_the_best_detections(server: Server, jpeg: bytes) -> None:
    everything = server.post(jpeg, "?threshold=0").json()["detections"]
    scores = [detection["score"] for detection in everything]
    assert scores == sorted(scores, reverse=True)
    middle = (scores[3] + scores[4]) / 2
    assert server.post(jpeg, f"?threshold={middle}").json()["detections"] == everything[:4]
    assert server.post(jpeg, "?threshold=0&max=2").json()["detections"] == everything[:2]
    assert server.post(jpeg, "?max=0").json()["detections"] == []


def test_accept_image_png_draws_the_detections(server: Server, jpeg: bytes) -> None:
    drawings = []
    for maximum in (0, 1):
        reply = server.post(jpeg, f"?threshold=0&max={maximum}", accept="image/png")
        assert reply.headers["content-type"] == "image/png"
        drawings.append(cv2.imdecode(np.frombuffer(reply.body, np.uint8), cv2.IMREAD_COLOR))
    empty, drawn = (np.asarray(drawing).astype(int) for drawing in drawings)
    assert drawn.shape == (480, 640, 3)  # small images are enlarged
    (box,) = [d["bbox"] for d in server.post(jpeg, "?threshold=0&max=1").json()["detections"]]
    x, y, width, height = (2 * value for value in box)
    changed = np.abs(drawn - empty).max(axis=2) > 0
    at_box = changed[max(0, int(y) - 4) : int(y + height) + 4, max(0, int(x) - 4) : int(x + width) + 4]
    assert at_box.any()
    assert changed.mean() < 0.5


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("image/png;q=0.5, application/json", "application/json"),
        ("text/html, image/png, */*;q=0.8", "image/png"),
        ("image/*", "image/png"),
    ],
)
def test_accept_decides_between_json_and_drawing(
    server: Server, jpeg: bytes, accept: str, media_type: str
) -> None:
    assert server.post(jpeg, "?max=0", accept=accept).headers["content-type"] == media_type


def test_one_bad_image_of_a_batch_never_fails_its_neighbours(server: Server, jpeg: bytes) -> None:
    lines = [line(jpeg), b"{", line(b"not an image"), b'{"picture": 1}', b'{"image": "?"}', line(jpeg)]
    reply = server.post(b"\n".join(lines), "?max=2", content_type="application/jsonlines")
    assert reply.status == 200
    answers = [json.loads(entry) for entry in reply.body.splitlines()]
    assert answers[0] == answers[5] == server.post(jpeg, "?max=2").json()
    assert [answer.get("status") for answer in answers] == [None, 400, 415, 400, 400, None]
    assert answers[3]["error"] == 'expected {"image": "<base64>"}'


def test_the_access_log_has_no_image_content(server: Server, jpeg: bytes) -> None:
    sent = line(jpeg) + b" " * 77
    server.post(sent, "?max=1")
    entry = wait_for(lambda: [entry for entry in server.access_log() if entry["bytes_in"] == len(sent)])[0]
    assert set(entry) == {
        *("time", "client", "method", "path", "status", "seconds", "bytes_in", "bytes_out", "detections"),
    }
    assert (entry["path"], entry["status"], entry["detections"]) == ("/invocations", 200, 1)
    assert base64.b64encode(jpeg).decode()[:32] not in "".join(server.lines)


def test_metrics_count_requests_and_detections(server: Server, jpeg: bytes) -> None:
    before = server.metric("mrc_serve_detections_total")
    server.post(jpeg, "?threshold=0&max=3")
    assert server.metric("mrc_serve_detections_total") == before + 3
    text = server.get("/metrics").body.decode()
    assert 'mrc_serve_requests_total{path="/invocations",status="200"}' in text
    assert "mrc_serve_waiting_requests 0.0" in text
    assert "mrc_serve_ready 1.0" in text
