import json
import threading
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from coco_files import annotation, image, write_split
from mrc_train.config import Config, parse
from mrc_train.data import loader
from mrc_train.data.annotations import DataError
from mrc_train.data.coco import ImageRecord, load_split, training_records
from mrc_train.scenes import Arguments, make_scenes
from pycocotools.coco import COCO


def config(basedir: Path, *settings: str) -> Config:
    plain = [
        f"DATA.BASEDIR={basedir}",
        "DATA.TRAIN=train2017",
        "DATA.NUM_WORKERS=0",
        "PREPROC.AUGMENT=none",
        "PREPROC.TRAIN_SHORT_EDGE_SIZE=40",
    ]
    return parse([*plain, *settings])


def batches(cfg: Config, count: int, rank: int = 0, size: int = 1, start_step: int = 0) -> list[list[Any]]:
    flow = loader.training_flow(cfg, training_records(cfg).records, rank, size, start_step)
    flow.reset_state()
    return list(islice(flow, count))


def assert_same(one: list[list[Any]], other: list[list[Any]]) -> None:
    assert len(one) == len(other)
    for batch, same in zip(one, other, strict=True):
        for array, expected in zip(batch, same, strict=True):
            np.testing.assert_array_equal(array, expected, strict=True)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("scenes")
    for _ in make_scenes(directory, Arguments(train=20, val=1, size=64)):
        pass
    return directory


def augmenting(basedir: Path, *settings: str) -> Config:
    both = [
        "PREPROC.AUGMENT=dihedral",
        "PREPROC.TRAIN_SHORT_EDGE_SIZE=(48, 80)",
        "TRAIN.BATCH_SIZE_PER_GPU=3",
    ]
    return config(basedir, *both, *settings)


def test_images_of_several_sizes_share_a_padded_batch(tmp_path: Path) -> None:
    wide, tall = image(1, 40, 60), image(2, 70, 40)
    objects = [
        annotation(1, [10, 5, 20, 15], 2),
        annotation(2, [0, 0, 9, 30]),
        annotation(2, [20, 30, 15, 40]),
    ]
    write_split(tmp_path, [wide, tall], objects)

    (batch,) = batches(config(tmp_path, "TRAIN.BATCH_SIZE_PER_GPU=2"), 1)

    images, image_size, gt_boxes, gt_labels, gt_masks, image_id = batch
    assert [array.dtype for array in batch] == [
        np.uint8,
        np.float32,
        np.float32,
        np.int32,
        np.uint8,
        np.int64,
    ]
    assert images.shape == (2, 96, 64, 3)
    assert gt_masks.shape == (2, 2, 96, 8)
    first, second = (image_id.tolist().index(number) for number in (1, 2))
    np.testing.assert_array_equal(image_size[[first, second]], [[40, 60], [70, 40]])
    np.testing.assert_array_equal(gt_labels[[first, second]], [[2, 0], [1, 1]])
    np.testing.assert_array_equal(gt_boxes[first], [[10, 5, 30, 20], [0, 0, 0, 0]])
    np.testing.assert_array_equal(gt_boxes[second], [[0, 0, 9, 30], [20, 30, 35, 70]])
    assert images[first, :40, :60].any() and not images[first, 40:].any() and not images[first, :, 60:].any()
    records = {record.image_id: record for record in load_split(tmp_path, "train2017").records}
    np.testing.assert_array_equal(images[second, :70, :40], records[2].read())


def test_masks_are_those_of_pycocotools_bit_by_bit(scenes: Path) -> None:
    cfg = config(scenes, "PREPROC.TRAIN_SHORT_EDGE_SIZE=64", "TRAIN.BATCH_SIZE_PER_GPU=20")
    coco = COCO(scenes / "annotations" / "instances_train2017.json")
    (batch,) = batches(cfg, 1)
    *_, gt_labels, gt_masks, image_id = batch
    unpacked = np.unpackbits(gt_masks, axis=-1)
    for index, number in enumerate(image_id.tolist()):
        expected = [coco.annToMask(annotation) for annotation in coco.imgToAnns[number]]
        np.testing.assert_array_equal(unpacked[index, : len(expected)], expected)
        assert not unpacked[index, len(expected) :].any()
        assert np.count_nonzero(gt_labels[index]) == len(expected)


def test_packed_masks_reach_the_last_column_of_any_width(tmp_path: Path) -> None:
    write_split(tmp_path, [image(1, 40, 45)], [annotation(1, [0, 0, 45, 40])])
    ((_, _, _, _, gt_masks, _),) = batches(config(tmp_path), 1)
    expected = np.zeros((64, 64), np.uint8)
    expected[:40, :45] = 1
    np.testing.assert_array_equal(np.unpackbits(gt_masks, axis=-1)[0, 0], expected)


def test_without_mask_mode_there_are_no_masks(tmp_path: Path) -> None:
    write_split(tmp_path, [image(1)], [annotation(1, [0, 0, 9, 9], segmentation=[])])
    (batch,) = batches(config(tmp_path, "MODE_MASK=False"), 1)
    assert [array.shape for array in batch] == [(1, 64, 64, 3), (1, 2), (1, 1, 4), (1, 1), (1,)]


def test_a_crowd_is_label_minus_1_with_its_box_and_no_mask(tmp_path: Path) -> None:
    runs = {"size": [40, 60], "counts": [0, 2400]}
    crowd = annotation(1, [0, 0, 60, 40], 2, iscrowd=1, segmentation=runs)
    write_split(tmp_path, [image(1)], [annotation(1, [0, 0, 9, 9]), crowd])
    ((_, _, gt_boxes, gt_labels, gt_masks, _),) = batches(config(tmp_path), 1)
    assert gt_labels.tolist() == [[1, -1]]
    np.testing.assert_array_equal(gt_boxes[0, 1], [0, 0, 60, 40])
    assert gt_masks[0, 0].any() and not gt_masks[0, 1].any()


def test_an_image_without_objects_has_one_object_of_padding(tmp_path: Path) -> None:
    write_split(tmp_path, [image(1)], [])
    ((_, _, gt_boxes, gt_labels, gt_masks, _),) = batches(
        config(tmp_path, "DATA.FILTER_EMPTY_ANNOTATIONS=False"), 1
    )
    assert gt_boxes.shape == (1, 1, 4) and gt_labels.tolist() == [[0]] and not gt_masks.any()


@pytest.mark.parametrize(("height", "width"), [(1, 500), (500, 1), (1, 1)])
def test_an_image_one_pixel_high_can_be_trained_on(tmp_path: Path, height: int, width: int) -> None:
    write_split(tmp_path, [image(1, height, width)], [annotation(1, [0, 0, width, height])])
    ((_, image_size, gt_boxes, gt_labels, gt_masks, _),) = batches(
        config(tmp_path, "PREPROC.AUGMENT=dihedral"), 1
    )
    assert min(image_size[0]) >= 1 and max(image_size[0]) <= 1333
    np.testing.assert_allclose(gt_boxes[0, 0], [0, 0, image_size[0, 1], image_size[0, 0]], rtol=1e-6)
    assert gt_labels[0, 0] == 1
    assert np.unpackbits(gt_masks).sum() == image_size[0].prod()


@pytest.mark.parametrize("workers", [1, 4])
def test_the_stream_is_the_same_for_any_number_of_workers(scenes: Path, workers: int) -> None:
    alone = batches(augmenting(scenes), 12)
    assert_same(batches(augmenting(scenes, f"DATA.NUM_WORKERS={workers}"), 12), alone)


def test_a_resumed_stream_continues_where_the_run_stopped(scenes: Path) -> None:
    cfg = augmenting(scenes, "DATA.NUM_WORKERS=2")
    uninterrupted = batches(cfg, 10, rank=1, size=2)
    assert_same(batches(cfg, 6, rank=1, size=2, start_step=4), uninterrupted[4:])


def test_another_seed_gives_another_order(scenes: Path) -> None:
    ids = [
        [batch[-1].tolist() for batch in batches(augmenting(scenes, f"TRAIN.SEED={seed}"), 6)]
        for seed in (0, 1)
    ]
    assert ids[0] != ids[1]


def test_another_seed_gives_other_augmentation(tmp_path: Path) -> None:
    write_split(tmp_path, [image(1)], [annotation(1, [0, 0, 9, 9])])
    sizes = [
        [batch[1].tolist() for batch in batches(augmenting(tmp_path, f"TRAIN.SEED={seed}"), 6)]
        for seed in (0, 1)
    ]
    assert sizes[0] != sizes[1]


def test_an_image_is_augmented_differently_in_every_pass(scenes: Path) -> None:
    stream = batches(augmenting(scenes, "TRAIN.BATCH_SIZE_PER_GPU=1"), 100)
    sizes = {tuple(batch[1][0]) for batch in stream if batch[-1][0] == 1}
    assert len(sizes) >= 3


def test_two_ranks_divide_a_pass_without_overlap(scenes: Path) -> None:
    cfg = augmenting(scenes, "TRAIN.BATCH_SIZE_PER_GPU=5")
    ids = [np.concatenate([batch[-1] for batch in batches(cfg, 2, rank, 2)]) for rank in (0, 1)]
    assert sorted(np.concatenate(ids)) == list(range(1, 21))


def split_with_unreadable(tmp_path: Path, *broken: int, total: int = 6) -> Config:
    numbers = range(1, total + 1)
    write_split(tmp_path, [image(n) for n in numbers], [annotation(n, [0, 0, 9, 9]) for n in numbers])
    for number in broken:
        (tmp_path / "train2017" / f"{number}.png").write_bytes(b"not an image")
    return config(tmp_path)


def test_an_unreadable_image_is_replaced_by_the_next_and_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cfg = split_with_unreadable(tmp_path, 3, 6)
    flow = loader.training_flow(cfg, training_records(cfg).records, 0, 1)
    ids = [int(batch[-1][0]) for batch in islice(flow, 12)]
    sound = [int(batch[-1][0]) for batch in batches(split_with_unreadable(tmp_path), 12)]
    assert ids == [{3: 4, 6: 1}.get(number, number) for number in sound]
    assert len(flow.unreadable) == len(caplog.records) == 2
    assert "3.png: not an image" in caplog.text and "(2 so far)" in caplog.text


def test_an_image_of_another_size_than_annotated_is_replaced(tmp_path: Path) -> None:
    cfg = split_with_unreadable(tmp_path)
    file = tmp_path / "annotations" / "instances_train2017.json"
    content = json.loads(file.read_text())
    content["images"][2]["width"] += 1
    file.write_text(json.dumps(content))
    assert {int(batch[-1][0]) for batch in batches(cfg, 12)} == {1, 2, 4, 5, 6}


@pytest.mark.parametrize("workers", [0, 2])
def test_when_nothing_is_readable_the_stream_ends_with_the_reason(tmp_path: Path, workers: int) -> None:
    split_with_unreadable(tmp_path, 1, 2, 3, 4, 5, 6)
    cfg = config(tmp_path, f"DATA.NUM_WORKERS={workers}")
    flow = loader.training_flow(cfg, training_records(cfg).records, 0, 1)
    with pytest.raises(
        DataError, match=r"6 images in a row cannot be read; the last one: .*png: not an image"
    ):
        next(iter(flow))
    assert isinstance(flow.error, DataError)


def test_a_stream_without_images_is_rejected() -> None:
    with pytest.raises(DataError, match="no images to train on"):
        loader.training_flow(parse([]), [], 0, 1)


def test_an_error_in_a_worker_is_raised_to_the_consumer(tmp_path: Path) -> None:
    split_with_unreadable(tmp_path)
    cfg = config(tmp_path, "DATA.NUM_WORKERS=2")
    (record, *_) = training_records(cfg).records
    broken = ImageRecord(**{**vars(record), "segmentations": []})
    flow = loader.training_flow(cfg, [broken], 0, 1)
    with pytest.raises(ValueError, match="shorter"):
        next(iter(flow))
    assert isinstance(flow.error, ValueError)


def test_a_closed_stream_leaves_no_worker_behind(scenes: Path) -> None:
    cfg = augmenting(scenes, "DATA.NUM_WORKERS=2")
    stream = iter(loader.training_flow(cfg, training_records(cfg).records, 0, 1))
    next(stream)

    def workers() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name.startswith("mrc-data")]

    assert workers()
    stream.close()
    deadline = time.monotonic() + 10
    while workers() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not workers()
    assert loader.training_flow(cfg, training_records(cfg).records, 0, 1).error is None


def test_only_a_few_batches_are_prepared_ahead(scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = augmenting(scenes, "DATA.NUM_WORKERS=2", "TRAIN.BATCH_SIZE_PER_GPU=1")
    read: list[Path] = []
    real_read = ImageRecord.read
    monkeypatch.setattr(ImageRecord, "read", lambda record: (read.append(record.path), real_read(record))[1])
    stream = iter(loader.training_flow(cfg, training_records(cfg).records, 0, 1))
    next(stream)
    time.sleep(0.3)
    assert len(read) <= 1 + 2 * loader.PREFETCHED_PER_WORKER
    stream.close()


def test_the_memory_of_a_long_stream_stays_flat(tmp_path: Path) -> None:
    write_split(
        tmp_path, [image(n, 256, 256) for n in range(8)], [annotation(n, [9, 9, 90, 90]) for n in range(8)]
    )
    cfg = config(
        tmp_path,
        *("DATA.NUM_WORKERS=2", "TRAIN.BATCH_SIZE_PER_GPU=2", "PREPROC.AUGMENT=dihedral"),
        "PREPROC.TRAIN_SHORT_EDGE_SIZE=(200, 300)",
    )
    stream = iter(loader.training_flow(cfg, training_records(cfg).records, 0, 1))
    process = psutil.Process()
    memory = [process.memory_info().rss for _ in islice(stream, 600)]
    stream.close()
    batch = 2 * 320 * 320 * 3
    assert max(memory[500:]) - max(memory[:200]) < 40 * batch, (
        "of 400 batches more than 40 are still in memory"
    )
