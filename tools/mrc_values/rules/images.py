"""Container images and the training script."""

import re
from collections.abc import Iterator

from mrc_cli.findings import Severity

from mrc_values.rules.registry import Context, Violation, rule
from mrc_values.values import Values

PLACEHOLDER = "example.invalid/not-set:1"
"""Replaces a missing image, so that it is reported once and Helm still renders the rest."""

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
"""The first CUDA release that supports a GPU, and the first that no longer does (NVIDIA's release notes)."""


def missing_images(values: Values) -> Iterator[str]:
    """Names of the images that the chart requires and the values do not set."""
    return (name for name in _images(values, _REQUIRED) if not values.get(name))


def _images(values: Values, names: tuple[str, ...] = (*_REQUIRED, *_DEFAULTED)) -> Iterator[str]:
    """The names that the chart has and that are not disabled."""
    for name in names:
        section = name.removesuffix("image").removesuffix(".")
        section_values = values.get(section) if section else values.merged
        if (
            isinstance(section_values, dict)
            and ("image" in section_values or values.sets(name))  # null removes the key
            and section_values.get("enabled", True) is True
        ):
            yield name


def ecr_regions(values: Values) -> Iterator[tuple[str, str]]:
    """Names of the images stored in ECR, each with its region."""
    for name in _images(values):
        if match := _ECR.match(values.text(name)):
            yield name, match["region"]


def _without_digest(image: str) -> str:
    return image.partition("@")[0]


# The grammar of distribution/reference: [host[:port]/]path[:tag][@digest].
_REFERENCE = re.compile(
    r"^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d+)?/)?"
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
    r"(?P<tag>:\w[\w.-]{0,127})?(?P<digest>@sha256:[0-9a-f]{64}|@sha512:[0-9a-f]{128})?$"
)


@rule(
    "MRC020",
    Severity.ERROR,
    "the image is set",
    failing="maskrcnn: {image: ''}",
    passing="maskrcnn: {image: '123456789012.dkr.ecr.us-west-2.amazonaws.com/mask-rcnn:1.0'}",
)
def image_is_given(context: Context) -> Iterator[Violation]:
    """The images of the trainer and of Jupyter are stored in your own registry, so there is no useful
    default."""
    for name in missing_images(context.values):
        yield Violation(
            name,
            "is not set.",
            "Set it to the image that you built, as <registry>/<name>:<tag>.",
        )


@rule(
    "MRC021",
    Severity.WARNING,
    "the image has a unique tag",
    failing="maskrcnn: {image: 'registry.example.com/mask-rcnn:latest'}",
    passing="maskrcnn: {image: 'registry.example.com/mask-rcnn:1.0'}",
)
def image_has_a_tag(context: Context) -> Iterator[Violation]:
    """Without a tag, or with `latest`, two workers of one run may start different images, and later nobody
    can tell which image trained a model."""
    for name in _images(context.values):
        image = context.values.text(name)
        match = _REFERENCE.match(image)
        if match and not match["digest"] and match["tag"] in (None, ":latest"):
            what = "has the tag latest, which moves" if match["tag"] else "has no tag, so `latest` is used"
            yield Violation(name, f"{image} {what}.", "Push the image with a unique tag and use that.")


@rule(
    "MRC022",
    Severity.ERROR,
    "the image reference is valid",
    failing="maskrcnn: {image: 'registry.example.com/Mask-RCNN:1.0'}",
    passing="maskrcnn: {image: 'registry.example.com/mask-rcnn:1.0'}",
)
def image_name_is_valid(context: Context) -> Iterator[Violation]:
    """An image reference is lower case and contains neither spaces nor a scheme such as https://. The
    kubelet rejects any other (InvalidImageName), and the pods wait indefinitely."""
    for name in _images(context.values):
        image = context.values.text(name)
        if not image or _REFERENCE.match(image):
            continue
        if "://" in image:
            fix = f"Remove {image.split('://')[0]}://."
        elif image != "".join(image.split()):
            fix = "Remove the spaces."
        elif _REFERENCE.match(image.lower()):
            fix = f"Write it in lower case: {image.lower()}."
        else:
            fix = "Write it as <registry>/<name>:<tag> or <registry>/<name>@sha256:<64 hexadecimal digits>."
        yield Violation(name, f"{image} is not a valid image reference.", fix)


@rule(
    "MRC023",
    Severity.WARNING,
    "the training script has an absolute path or a working directory",
    failing="maskrcnn: {train_script: examples/FasterRCNN/train.py}",
    passing="maskrcnn: {train_script: /tensorpack/examples/FasterRCNN/train.py}",
)
def script_is_found(context: Context) -> Iterator[Violation]:
    """mpirun starts the ranks in the working directory of the launcher, which the image determines unless
    working_dir is set. A relative path may not exist there."""
    script = context.values.text("maskrcnn.train_script")
    if script and not script.startswith("/") and not context.values.text("maskrcnn.working_dir"):
        yield Violation(
            "maskrcnn.train_script",
            f"{script} is relative to the working directory of the image.",
            "Write the absolute path, or set working_dir.",
        )


@rule(
    "MRC024",
    Severity.WARNING,
    "the image matches the processor of the nodes",
    failing="maskrcnn: {node_group: p4d, image: 'registry.example.com/mask-rcnn:1.0-arm64'}",
    passing="maskrcnn: {node_group: p4d, image: 'registry.example.com/mask-rcnn:1.0'}",
)
def image_is_for_the_processor(context: Context) -> Iterator[Violation]:
    """The node groups of the catalogue have x86-64 processors. An image that was built on a Mac or a
    Graviton machine is for ARM, and its programs fail with "exec format error"."""
    image = context.values.text("maskrcnn.image")
    if context.node_group and (match := _ARM.search(_without_digest(image))):
        yield Violation(
            "maskrcnn.image",
            f"{image} is for ARM ({match[1]}), but {context.node_group.name} nodes are x86-64.",
            "Build it with docker build --platform linux/amd64.",
        )


@rule(
    "MRC025",
    Severity.WARNING,
    "the image's CUDA release supports the GPU",
    failing="maskrcnn: {node_group: p4d, image: 'registry.example.com/mask-rcnn:1.0-cu102'}",
    passing="maskrcnn: {node_group: p4d, image: 'registry.example.com/mask-rcnn:1.0-cu125'}",
)
def cuda_knows_the_gpu(context: Context) -> Iterator[Violation]:
    """CUDA releases before 11 do not support the A100 and A10G, and CUDA 13 no longer supports the V100:
    TensorFlow finds no device, or first compiles for half an hour. The release is taken from the image's
    tag (cu125)."""
    group, match = context.node_group, _CUDA.search(_without_digest(context.values.text("maskrcnn.image")))
    if group is None or match is None or group.gpu not in _CUDA_OF_GPU:
        return
    digits = match["digits"] or match["major"] + match["minor"]
    release = (int(digits[:-1]), int(digits[-1]))
    first, gone = _CUDA_OF_GPU[group.gpu]
    if not first <= release < gone:
        bound = f"{first[0]}.{first[1]} or newer" if release < first else f"older than {gone[0]}.{gone[1]}"
        yield Violation(
            "maskrcnn.image",
            f"CUDA {release[0]}.{release[1]} does not support the {group.gpu} of {group.name}.",
            f"Use an image with CUDA {bound}.",
        )


@rule(
    "MRC026",
    Severity.ERROR,
    "ECR addresses are complete and in one region",
    failing="maskrcnn: {image: '1234.dkr.ecr.us-west-2.amazonaws.com/mask-rcnn:1.0'}",
    passing="maskrcnn: {image: '123456789012.dkr.ecr.us-west-2.amazonaws.com/mask-rcnn:1.0'}",
)
def ecr_address_is_complete(context: Context) -> Iterator[Violation]:
    """An ECR address has the form <12-digit account>.dkr.ecr.<region>.amazonaws.com. Nodes can pull from
    another region if a policy allows it, but that is slow and billed as transfer; images of one release in
    two regions are usually a mistake, so they are a warning."""
    regions: dict[str, str] = {}
    for name in _images(context.values):
        match = _ECR.match(context.values.text(name))
        if match is None:
            continue
        account, region = match["account"], match["region"]
        if not re.fullmatch(r"\d{12}", account):
            yield Violation(
                name, f"{account} is not an AWS account of 12 digits.", "Copy the address from ECR."
            )
        elif not _REGION.fullmatch(region):
            yield Violation(name, f"{region} is not an AWS region.", "Write it like us-west-2.")
        elif other := next((other for other, known in regions.items() if known != region), None):
            yield Violation(
                name,
                f"is in {region}, but {other} is in {regions[other]}.",
                f"Push it to {regions[other]} if the cluster is there.",
                Severity.WARNING,
            )
        regions.setdefault(name, region)


@rule(
    "MRC027",
    Severity.WARNING,
    "the image for nodes with EFA has NCCL's plugin for it",
    failing="maskrcnn: {node_group: p4d, gpus: 16, gpus_per_node: 8, image: 'team/mask-rcnn:0.1.0-gpu'}",
    passing="maskrcnn: {node_group: p4d, gpus: 16, gpus_per_node: 8, image: 'team/mask-rcnn:0.1.0-gpu-efa'}",
)
def image_has_the_plugin_for_efa(context: Context) -> Iterator[Violation]:
    """NCCL uses EFA through a plugin in the image, aws-ofi-nccl with libfabric. Without it, NCCL says so in
    its log and communicates over TCP, which is several times slower. mrc-images builds train-gpu without the
    plugin, with tags that end with -gpu, and train-gpu-efa with it. A digest does not tell which it is;
    `mrc-values status` then reads it from NCCL's log, and tells it from a plugin that found no device."""
    values, group = context.values, context.node_group
    gpus, per_node = values.integer("maskrcnn.gpus"), values.integer("maskrcnn.gpus_per_node")
    if (
        not group
        or not group.row.get("efa")
        or not gpus
        or gpus == per_node
        or values.get("maskrcnn.efa") == 0
    ):
        return
    image = values.text("maskrcnn.image")
    if re.search(r"(?:^|/)mask-rcnn(?:-optimized)?:[^/@]*-gpu$", image):
        yield Violation(
            "maskrcnn.image",
            f"{image} has no plugin for EFA, so the workers communicate over TCP.",
            "Build and push train-gpu-efa with mrc-images, whose tags end with -gpu-efa.",
        )
