"""The image for GPU nodes, in a container on a machine without a GPU: make test-gpu-image."""

import json
import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mrc_images.table import find

TAG = os.environ.get("MRC_TEST_IMAGES_TAG", "")
pytestmark = pytest.mark.skipif(not TAG, reason="needs the images that make test-gpu-image builds")

HERE = Path(__file__).parent
PACKAGES = "/opt/mrc/lib/python3.11/site-packages"

# Small enough for a minute on two cores, and the same samples in every run.
SETTINGS = (
    *("TRAINER=horovod", "BACKBONE.BLOCK=basic", "BACKBONE.RESNET_NUM_BLOCKS=(1,1,1,1)"),
    *("BACKBONE.CHANNELS=(16,16,16,32)", "BACKBONE.NORM=None", "BACKBONE.FREEZE_AT=0", "FPN.NUM_CHANNEL=16"),
    *(
        "FPN.FRCNN_FC_HEAD_DIM=32",
        "MRCNN.HEAD_DIM=16",
        "MRCNN.NUM_CONV=1",
        "RPN.ANCHOR_SIZES=(8,16,32,48,64)",
    ),
    *(
        "RPN.TRAIN_PER_LEVEL_NMS_TOPK=30",
        "RPN.TEST_PER_LEVEL_NMS_TOPK=30",
        "PREPROC.TRAIN_SHORT_EDGE_SIZE=64",
    ),
    *("PREPROC.TEST_SHORT_EDGE_SIZE=64", "PREPROC.MAX_SIZE=64", "DATA.NUM_WORKERS=1", "TRAIN.WARMUP=0"),
    *(
        "TRAIN.STEPS_PER_EPOCH=10",
        "TRAIN.LR_EPOCH_SCHEDULE=[(5,None)]",
        "TRAIN.EVAL_PERIOD=0",
        "TRAIN.SEED=1",
    ),
)


class Container:
    """A container of an image, in which commands are run."""

    def __init__(self, image: str) -> None:
        self.name = run("buildah", "from", "--pull-never", find(image).local(TAG)).strip()
        self.root = Path(run("buildah", "mount", self.name).strip())

    def run(self, *command: str, volumes: tuple[str, ...] = ()) -> str:
        mounts = [f"--volume={volume}" for volume in volumes]
        return run("buildah", "run", "--isolation=chroot", *mounts, self.name, "--", *command)

    def __enter__(self) -> "Container":
        return self

    def __exit__(self, *_: object) -> None:
        run("buildah", "rm", self.name)


def run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def gpu() -> Iterator[Container]:
    with Container("train-gpu") as container:
        yield container


@pytest.fixture(scope="module")
def library(gpu: Container) -> str:
    """Horovod's library, from the container's root."""
    (file,) = (gpu.root / PACKAGES[1:] / "horovod/tensorflow").glob("mpi_lib*.so")
    return f"/{file.relative_to(gpu.root)}"


def test_horovod_has_nccl_and_kernels_for_both_devices(gpu: Container) -> None:
    output = gpu.run("python3", "/tests/horovod_kernels.py", volumes=(f"{HERE}:/tests:ro",))
    built = json.loads(output.splitlines()[-1])
    assert built["nccl"] >= 23000 and built["mpi"] and built["gloo"]
    assert all(devices == ["CPU", "GPU"] for devices in built["devices"].values()), built["devices"]


def test_nothing_is_unresolved(gpu: Container, library: str) -> None:
    """TensorFlow's own libraries are loaded by its Python package before Horovod's."""
    output = gpu.run("env", f"LD_LIBRARY_PATH={PACKAGES}/tensorflow", "ldd", "-r", library)
    assert "undefined symbol" not in output and "not found" not in output
    assert f"{PACKAGES}/" in next(line for line in output.splitlines() if "libnccl.so.2" in line)


def test_horovod_has_code_for_every_gpu_of_the_node_groups(gpu: Container, library: str) -> None:
    """V100, A100, A10G and H100; the last also as PTX, for newer GPUs."""
    assert codes((gpu.root / library[1:]).read_bytes()) == {"sm_70", "sm_80", "sm_86", "sm_90", "compute_90"}


def codes(elf: bytes) -> set[str]:
    """The architectures in CUDA's fat binaries, as cuobjdump --list-elf --list-ptx names them."""
    magic = struct.pack("<I", 0xBA55ED50)
    architectures, start = set(), elf.find(magic)
    while start >= 0:
        header, size = struct.unpack_from("<HQ", elf, start + 6)
        entry, end = start + header, start + header + size
        while entry < end <= len(elf):
            kind, entry_header, entry_size = struct.unpack_from("<HxxIQ", elf, entry)
            (architecture,) = struct.unpack_from("<I", elf, entry + 28)
            architectures.add(f"{'sm' if kind == 2 else 'compute'}_{architecture}")
            entry += entry_header + entry_size
        start = elf.find(magic, start + 4)
    return architectures


def test_nccls_plugin_for_efa_is_found_and_names_its_version(gpu: Container, tmp_path: Path) -> None:
    if not (gpu.root / "opt/amazon/ofi-nccl").exists():
        pytest.skip("the image was built without EFA")
    run("cc", "-o", str(tmp_path / "plugin"), str(HERE / "plugin.c"), "-ldl")
    assert "Initializing aws-ofi-nccl 1." in gpu.run("/test/plugin", volumes=(f"{tmp_path}:/test:ro",))


@pytest.fixture(scope="module")
def cpu() -> Iterator[Container]:
    with Container("train-cpu") as container:
        yield container


@pytest.fixture(scope="module")
def data(cpu: Container, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn scenes in COCO's layout."""
    directory = tmp_path_factory.mktemp("data")
    scenes = ("mrc-scenes", "/data", "--train", "40", "--val", "2", "--size", "64")
    cpu.run(*scenes, volumes=(f"{directory}:/data:rw",))
    return directory


def train(container: Container, directory: Path, data: Path) -> None:
    """A run of five epochs of ten steps, by two ranks on CPUs."""
    container.run(
        *("mpirun", "--allow-run-as-root", "--bind-to", "none", "--oversubscribe", "-np", "2"),
        *("-x", "OMP_NUM_THREADS=1", "-x", "TF_NUM_INTRAOP_THREADS=1", "-x", "TF_NUM_INTEROP_THREADS=1"),
        *("mrc-train", "--logdir", "/run-directory", "--config", "DATA.BASEDIR=/data", *SETTINGS),
        volumes=(f"{directory}:/run-directory:rw", f"{data}:/data:ro"),
    )


def losses(run: Path) -> list[float]:
    """The total loss that each epoch reports."""
    return [epoch["loss/total"] for epoch in json.loads((run / "stats.json").read_text())]


@pytest.fixture(scope="module")
def cpu_run(cpu: Container, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("cpu-run")
    train(cpu, directory, data)
    return directory


def test_two_ranks_learn_the_same_as_in_the_image_for_cpus(
    gpu: Container, cpu_run: Path, data: Path, tmp_path: Path
) -> None:
    train(gpu, tmp_path, data)
    expected, actual = losses(cpu_run), losses(tmp_path)
    print(f"losses with train-cpu: {expected}; with train-gpu: {actual}")
    assert len(expected) == 5 and expected[-1] < expected[0]
    assert actual == pytest.approx(expected, rel=1e-4)


def test_the_server_detects_the_same_as_in_the_image_for_cpus(
    cpu: Container, gpu: Container, cpu_run: Path, data: Path, tmp_path: Path
) -> None:
    """With the program that SageMaker runs, which both images for training have."""
    exported = ("mrc-predict", "--load", "/run-directory", "--export", "/exported/model")
    settings = ("--config", "TEST.RESULT_SCORE_THRESH=0.01", "TEST.RESULT_SCORE_THRESH_VIS=0.02")
    cpu.run(*exported, *settings, volumes=(f"{cpu_run}:/run-directory:ro", f"{tmp_path}:/exported:rw"))
    expected, actual = (detections(container, tmp_path, data) for container in (cpu, gpu))
    print(f"{len(expected)} detections, the first by train-cpu: {expected[0]}; by train-gpu: {actual[0]}")
    assert [one["category"] for one in actual] == [one["category"] for one in expected]
    assert [one["score"] for one in actual] == pytest.approx([one["score"] for one in expected], rel=1e-4)
    # Boxes are rounded to 0.01 pixels.
    assert [one["bbox"] for one in actual] == [pytest.approx(one["bbox"], abs=0.011) for one in expected]


def detections(container: Container, exported: Path, data: Path) -> list[dict[str, Any]]:
    """What the program ``serve`` answers to the first validation image."""
    image = min((data / "val2017").iterdir()).name
    output = container.run(
        *("python3", "/tests/served_detections.py", "/exported/model", f"/data/val2017/{image}"),
        volumes=(f"{HERE}:/tests:ro", f"{exported}:/exported:ro", f"{data}:/data:ro"),
    )
    found: list[dict[str, Any]] = json.loads(output.splitlines()[-1])["detections"]
    return found
