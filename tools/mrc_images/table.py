"""The container images of this repository: the one list that ``mrc-images`` and the test cluster use."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mrc_cli.errors import UsageError
from mrc_cli.suggestions import nearest

PLATFORM = "linux/amd64"
"""The only platform: node groups have x86-64 processors, and TensorFlow with CUDA only such wheels."""


@dataclass(frozen=True)
class Repository:
    """A name under which an image is pushed.

    Attributes:
        name: of the repository in the registry.
        values: the values that hold the reference: for each chart that pulls it, a dotted name.
    """

    name: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class Image:
    """One build.

    Attributes:
        name: what the user calls it on the command line.
        dockerfile: its path from the repository's root, which is the build context.
        repositories: the names that the result gets.
        arguments: build arguments.
        suffix: what its tags end with, for images that share a repository.
        base: name of the image that it is built on (build argument BASE_IMAGE), or empty.
    """

    name: str
    dockerfile: str
    repositories: tuple[Repository, ...]
    arguments: Mapping[str, str] = field(default_factory=dict)
    suffix: str = ""
    base: str = ""

    def local(self, tag: str) -> str:
        """The name of the build on this machine."""
        return f"localhost/{self.repositories[0].name}:{tag}{self.suffix}"


_TRAIN = (
    Repository("mask-rcnn", {"maskrcnn": "maskrcnn.image", "sagemaker": "maskrcnn.image"}),
    Repository("mask-rcnn-optimized", {"maskrcnn-optimized": "maskrcnn.image"}),
)
_VIZ = (
    Repository("mask-rcnn-viz", {"maskrcnn": "jupyter.image"}),
    Repository("mask-rcnn-optimized-viz", {"maskrcnn-optimized": "jupyter.image"}),
)
_SERVE = (Repository("mask-rcnn-serve", {"serve": "image", "sagemaker": "sagemaker.endpoint.image"}),)

IMAGES = (
    Image("train-gpu", "containers/train/Dockerfile", _TRAIN, {"EXTRA": "train-gpu"}, suffix="-gpu"),
    Image(
        "train-gpu-efa",
        "containers/train/Dockerfile",
        _TRAIN,
        {"EXTRA": "train-gpu", "EFA": "installer"},
        suffix="-gpu-efa",
    ),
    Image("train-cpu", "containers/train/Dockerfile", _TRAIN, {"EXTRA": "train-cpu"}),
    Image("viz", "container-viz/Dockerfile", _VIZ, base="train-cpu"),
    Image("serve-gpu", "containers/serve/Dockerfile", _SERVE, {"EXTRA": "serve-gpu"}, suffix="-gpu"),
    Image("serve-cpu", "containers/serve/Dockerfile", _SERVE, {"EXTRA": "serve-cpu"}),
    Image("stage", "stage-data/Dockerfile", (Repository("mask-rcnn-stage", {"stage-data": "image"}),)),
)


def find(name: str) -> Image:
    """The image of this name. Raises UsageError."""
    for image in IMAGES:
        if image.name == name:
            return image
    known = [image.name for image in IMAGES]
    guess = nearest(name, known)
    meant = f" Did you mean {guess}?" if guess else ""
    raise UsageError(f"{name}: not found among the images, which are {', '.join(known)}.{meant}")


def with_bases(images: Iterable[Image]) -> list[Image]:
    """The images, each once, after the image that it is built on."""
    ordered: list[Image] = []
    for image in images:
        below = with_bases([find(image.base)]) if image.base else []
        ordered += [item for item in (*below, image) if item not in ordered]
    return ordered
