"""The trainer's image and what is started in it."""

import re
from collections.abc import Iterator

from mrc_values.findings import Severity
from mrc_values.rules.registry import Context, Problem, rule

STAND_INS = {"maskrcnn.image": "example.invalid/not-set:1"}
"""Values that only the user can give. One that is missing is reported once, and Helm renders with these."""

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
    """The trainer's image lies in your own registry; no default could be right."""
    for name in STAND_INS:
        if context.values.get(name) in (None, ""):
            yield Problem(
                name,
                "is not set.",
                "Give the image that you built, as <registry>/<name>:<tag>.",
            )


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
    image = context.values.text("maskrcnn.image")
    match = _REFERENCE.match(image)
    if match and not match["digest"] and match["tag"] in (None, ":latest"):
        what = "has the tag latest, which moves" if match["tag"] else "has no tag, so `latest` is taken"
        yield Problem(
            "maskrcnn.image", f"{image} {what}.", "Push the image with a tag of its own and name that."
        )


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
    image = context.values.text("maskrcnn.image")
    if not image or _REFERENCE.match(image):
        return
    if "://" in image:
        fix = f"Leave out {image.split('://')[0]}://."
    elif image != "".join(image.split()):
        fix = "Take out the blanks."
    elif _REFERENCE.match(image.lower()):
        fix = f"Write it in lower case: {image.lower()}."
    else:
        fix = "Write it as <registry>/<name>:<tag>."
    yield Problem("maskrcnn.image", f"{image} is not the name of an image.", fix)


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
