"""Images, the trainer's and others, and what is started in the trainer's."""

import re
from collections.abc import Iterator

from mrc_cli.findings import Severity

from mrc_values.rules.registry import Context, Problem, rule
from mrc_values.values import Values

STAND_IN = "example.invalid/not-set:1"
"""In place of an image that the user has to give: a missing one is reported once, and Helm renders."""

_REQUIRED = ("maskrcnn.image", "jupyter.image", "image")
_DEFAULTED = ("tensorboard.image", "operator.image")


_ECR = re.compile(r"^(?P<account>[^/.]*)\.dkr\.ecr(-fips)?\.(?P<region>[^/.]*)\.")
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d+")
_ARM = re.compile(r"(?:^|[/:._-])(arm64(?:v8)?|aarch64)(?:$|[._-])")
_CUDA = re.compile(
    r"(?:^|[._-])cu(?:da)?-?(?:(?P<major>\d{1,2})\.(?P<minor>\d)|(?P<digits>\d{2,3}))(?:$|[._-])"
)

_CUDA_OF_GPU = {
    "V100": ((9, 0), (13, 0)),
    "T4": ((10, 0), (99, 0)),
    "A100": ((11, 0), (99, 0)),
    "A10G": ((11, 0), (99, 0)),
}
"""CUDA's first release with code for a GPU, and the first that no longer has it (NVIDIA's release notes)."""


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


def ecr_regions(values: Values) -> Iterator[tuple[str, str]]:
    """Names of the images that lie in ECR, each with its region."""
    for name in _images(values):
        if match := _ECR.match(values.text(name)):
            yield name, match["region"]


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


@rule(
    "MRC024",
    Severity.WARNING,
    "the image is made for the nodes' processor",
    failing="maskrcnn: {node_group: p4d, image: 'registry.example.com/mask-rcnn:1.0-arm64'}",
    passing="maskrcnn: {node_group: p4d, image: 'registry.example.com/mask-rcnn:1.0'}",
)
def image_is_for_the_processor(context: Context) -> Iterator[Problem]:
    """The node groups of the catalogue have x86-64 processors. An image that was built on a Mac or a Graviton
    machine is made for ARM, and its programs end with "exec format error"."""
    image = context.values.text("maskrcnn.image")
    if context.node_group and (match := _ARM.search(image)):
        yield Problem(
            "maskrcnn.image",
            f"{image} is made for ARM, as {match[1]} says, and {context.node_group.name} nodes are x86-64.",
            "Build it with docker build --platform linux/amd64.",
        )


@rule(
    "MRC025",
    Severity.WARNING,
    "the image's CUDA has code for the GPU",
    failing="maskrcnn: {node_group: p4d, image: 'registry.example.com/mask-rcnn:1.0-cu102'}",
    passing="maskrcnn: {node_group: p4d, image: 'registry.example.com/mask-rcnn:1.0-cu125'}",
)
def cuda_knows_the_gpu(context: Context) -> Iterator[Problem]:
    """CUDA before 11 has no code for an A100 or A10G, and CUDA 13 none for a V100 any more: TensorFlow finds
    no device, or compiles for half an hour at first. The release is read from the image's name (cu125)."""
    group, match = context.node_group, _CUDA.search(context.values.text("maskrcnn.image"))
    if group is None or match is None or group.gpu not in _CUDA_OF_GPU:
        return
    digits = match["digits"] or match["major"] + match["minor"]
    release = (int(digits[:-1]), int(digits[-1]))
    first, gone = _CUDA_OF_GPU[group.gpu]
    if not first <= release < gone:
        bound = f"{first[0]}.{first[1]} or newer" if release < first else f"older than {gone[0]}.{gone[1]}"
        yield Problem(
            "maskrcnn.image",
            f"CUDA {release[0]}.{release[1]} has no code for {group.name}'s {group.gpu}.",
            f"Take an image with CUDA {bound}.",
        )


@rule(
    "MRC026",
    Severity.ERROR,
    "an ECR address has an account and the cluster's region",
    failing="maskrcnn: {image: '1234.dkr.ecr.us-west-2.amazonaws.com/mask-rcnn:1.0'}",
    passing="maskrcnn: {image: '123456789012.dkr.ecr.us-west-2.amazonaws.com/mask-rcnn:1.0'}",
)
def ecr_address_is_whole(context: Context) -> Iterator[Problem]:
    """ECR's addresses are <account, 12 digits>.dkr.ecr.<region>.amazonaws.com. Nodes can pull from another
    region, slowly and for money, and only if somebody allowed it; images of one release in two regions are
    mostly a mistake, and a warning."""
    regions: dict[str, str] = {}
    for name in _images(context.values):
        match = _ECR.match(context.values.text(name))
        if match is None:
            continue
        account, region = match["account"], match["region"]
        if not re.fullmatch(r"\d{12}", account):
            yield Problem(name, f"{account} is no AWS account of 12 digits.", "Copy the address from ECR.")
        elif not _REGION.fullmatch(region):
            yield Problem(name, f"{region} is no AWS region.", "Write it like us-west-2.")
        elif other := next((other for other, known in regions.items() if known != region), None):
            yield Problem(
                name,
                f"is in {region}, and {other} is in {regions[other]}.",
                f"Push it to {regions[other]}, if the cluster is there.",
                Severity.WARNING,
            )
        regions.setdefault(name, region)
