"""Images, the trainer's and others, and what is started in the trainer's."""

import re
from collections.abc import Iterator

from mrc_values.findings import Severity
from mrc_values.rules.registry import Context, Problem, rule
from mrc_values.values import Values

STAND_IN = "example.invalid/not-set:1"
"""In place of an image that the user has to give: a missing one is reported once, and Helm renders."""

_REQUIRED = ("maskrcnn.image", "jupyter.image", "image")
_DEFAULTED = ("tensorboard.image", "operator.image")


def missing_images(values: Values) -> Iterator[str]:
    """Names of the images that the chart needs and nobody gave."""
    return (name for name in _images(values, _REQUIRED) if not values.get(name))


def _images(values: Values, names: tuple[str, ...] = (*_REQUIRED, *_DEFAULTED)) -> Iterator[str]:
    """Those of the names that the chart has and uses."""
    for name in names:
        section = name.removesuffix("image").removesuffix(".")
        there = values.get(section) if section else values.merged
        if isinstance(there, dict) and "image" in there and there.get("enabled", True) is True:
            yield name


# The grammar of distribution/reference: [host[:port]/]path[:tag][@digest].
_REFERENCE = re.compile(
    r"^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d+)?/)?"
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
    r"(?P<tag>:\w[\w.-]{0,127})?(?P<digest>@[A-Za-z0-9]+:[0-9a-f]{32,})?$"
)


@rule(
    "MRC020",
    Severity.ERROR,
    "the image is given",
    failing="maskrcnn: {image: ''}",
    passing="maskrcnn: {image: '123456789012.dkr.ecr.us-west-2.amazonaws.com/mask-rcnn:1.0'}",
)
def image_is_given(context: Context) -> Iterator[Problem]:
    """The images of the trainer and of Jupyter lie in your own registry; no default could be right."""
    for name in missing_images(context.values):
        yield Problem(name, "is not set.", "Give the image that you built, as <registry>/<name>:<tag>.")


@rule(
    "MRC021",
    Severity.WARNING,
    "the image has a tag of its own",
    failing="maskrcnn: {image: 'registry.example.com/mask-rcnn:latest'}",
    passing="maskrcnn: {image: 'registry.example.com/mask-rcnn:1.0'}",
)
def image_has_a_tag(context: Context) -> Iterator[Problem]:
    """Without a tag, or with `latest`, two workers of one run may start different images, and nobody can
    say later which one trained a model."""
    for name in _images(context.values):
        image = context.values.text(name)
        match = _REFERENCE.match(image)
        if match and not match["digest"] and match["tag"] in (None, ":latest"):
            what = "has the tag latest, which moves" if match["tag"] else "has no tag, so `latest` is taken"
            yield Problem(name, f"{image} {what}.", "Push the image with a tag of its own and name that.")


@rule(
    "MRC022",
    Severity.ERROR,
    "the image's name can be pulled",
    failing="maskrcnn: {image: 'registry.example.com/Mask-RCNN:1.0'}",
    passing="maskrcnn: {image: 'registry.example.com/mask-rcnn:1.0'}",
)
def image_name_is_valid(context: Context) -> Iterator[Problem]:
    """The kubelet refuses a name outside the grammar of image references (InvalidImageName), and the pods
    wait for ever: lower case, no blanks, no scheme such as https://."""
    for name in _images(context.values):
        image = context.values.text(name)
        if not image or _REFERENCE.match(image):
            continue
        if "://" in image:
            fix = f"Leave out {image.split('://')[0]}://."
        elif image != "".join(image.split()):
            fix = "Take out the blanks."
        elif _REFERENCE.match(image.lower()):
            fix = f"Write it in lower case: {image.lower()}."
        else:
            fix = "Write it as <registry>/<name>:<tag>."
        yield Problem(name, f"{image} is not the name of an image.", fix)


@rule(
    "MRC023",
    Severity.WARNING,
    "the training script is found from every folder",
    failing="maskrcnn: {train_script: examples/FasterRCNN/train.py}",
    passing="maskrcnn: {train_script: /tensorpack/examples/FasterRCNN/train.py}",
)
def script_is_found(context: Context) -> Iterator[Problem]:
    """mpirun starts ranks in the folder of the launcher; what that is, the image decides, unless working_dir
    is set. A relative script may lie in another."""
    script = context.values.text("maskrcnn.train_script")
    if script and not script.startswith("/") and not context.values.text("maskrcnn.working_dir"):
        yield Problem(
            "maskrcnn.train_script",
            f"{script} is looked for in whatever folder the image starts in.",
            "Write the whole path from /, or set working_dir.",
        )
