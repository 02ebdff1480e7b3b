"""Training and hosting on SageMaker."""

import re
from collections.abc import Iterator

from mrc_cli.findings import Severity
from mrc_images.ecr_address import REGISTRY

from mrc_values.rules.registry import Context, Violation, rule

_S3_NAMES = (
    "data.s3_uri",
    "weights_s3_uri",
    "output_s3_uri",
    "checkpoints_s3_uri",
    "endpoint.model_data_url",
    "endpoint.async_output_s3_uri",
)
_INSTANCE_TYPES = ("instance_type", "endpoint.instance_type")

_RETIRED = {"p2": "g4dn or p3", "m4": "m5", "c4": "c5", "g4": "g4dn"}
"""Instance families that new accounts cannot start, with what replaces them."""

MAX_PARAMETERS = 100
"""Hyperparameters of a training job, CreateTrainingJob in SageMaker's API reference."""

MAX_PARAMETER = 2500
"""Characters of a hyperparameter's value, in the same place."""


@rule(
    "MRC160",
    Severity.ERROR,
    "S3 locations start with s3://",
    failing="sagemaker: {output_s3_uri: my-bucket/output}",
    passing="sagemaker: {output_s3_uri: 's3://my-bucket/output'}",
)
def s3_locations(context: Context) -> Iterator[Violation]:
    """SageMaker takes locations in S3 only with their scheme, and rejects the request otherwise, after the
    image was built and pushed."""
    for name in _S3_NAMES:
        text = context.values.text(f"sagemaker.{name}")
        if text and not text.startswith("s3://"):
            path = re.sub(r"^https?://([^./]+)\.s3[.-][^/]*", r"\1", text)
            path = re.sub(r"^(https?://[^/]*/|/+)", "", path)
            yield Violation(f"sagemaker.{name}", f"{text} is not a location in S3.", f"Write s3://{path}.")


@rule(
    "MRC161",
    Severity.ERROR,
    "instance types of SageMaker start with ml. (ml.p3.16xlarge)",
    failing="sagemaker: {instance_type: p3.16xlarge}",
    passing="sagemaker: {instance_type: ml.p3.16xlarge, endpoint: {instance_type: ml.g4dn.xlarge}}",
)
def instance_types(context: Context) -> Iterator[Violation]:
    """SageMaker's instance types are those of EC2 with `ml.` in front."""
    for name in _INSTANCE_TYPES:
        text = context.values.text(f"sagemaker.{name}")
        if text and not text.startswith("ml."):
            yield Violation(
                f"sagemaker.{name}", f"{text} is an instance type of EC2.", f"Write ml.{text} for SageMaker."
            )


@rule(
    "MRC162",
    Severity.ERROR,
    "retired hardware",
    failing="sagemaker: {endpoint: {accelerator_type: ml.eia2.medium}}",
    passing="sagemaker: {endpoint: {instance_type: ml.g4dn.xlarge}}",
)
def retired(context: Context) -> Iterator[Violation]:
    """AWS no longer offers Elastic Inference, nor the instance families p2, m4, c4 to new accounts. Older
    guides use them; the request fails, or waits for capacity that never comes."""
    values = context.values
    if accelerator := values.text("sagemaker.endpoint.accelerator_type"):
        yield Violation(
            "sagemaker.endpoint.accelerator_type",
            f"{accelerator} is Elastic Inference, which AWS no longer offers.",
            "Remove it; use an instance type with a GPU such as ml.g4dn.xlarge.",
        )
    for name in _INSTANCE_TYPES:
        text = values.text(f"sagemaker.{name}")
        family = text.removeprefix("ml.").partition(".")[0]
        if family in _RETIRED:
            yield Violation(
                f"sagemaker.{name}",
                f"{text} is of a retired family.",
                f"Use {_RETIRED[family]}.",
                Severity.WARNING,
            )


@rule(
    "MRC163",
    Severity.ERROR,
    "spot jobs can wait and resume",
    failing="sagemaker: {spot: true, max_run_seconds: 7200, max_wait_seconds: 3600, "
    "checkpoints_s3_uri: 's3://my-bucket/checkpoints'}",
    passing="sagemaker: {spot: true, max_run_seconds: 3600, max_wait_seconds: 7200, "
    "checkpoints_s3_uri: 's3://my-bucket/checkpoints'}",
)
def spot(context: Context) -> Iterator[Violation]:
    """A spot job needs a limit for waiting and running together, which a job that is not spot must not have.
    Without checkpoints in S3, it starts from the beginning after each interruption."""
    values = context.values
    wait, run = values.integer("sagemaker.max_wait_seconds"), values.integer("sagemaker.max_run_seconds")
    if values.get("sagemaker.spot") is not True:
        if wait is not None:
            yield Violation(
                "sagemaker.max_wait_seconds",
                "only spot jobs have a limit for waiting.",
                "Set sagemaker.spot to true, or remove this line.",
            )
        return
    if wait is None:
        yield Violation("sagemaker.spot", "a spot job needs a limit for waiting.", "Set max_wait_seconds.")
    elif run is not None and wait < run:
        yield Violation(
            "sagemaker.max_wait_seconds",
            f"{wait} s are less than max_run_seconds, {run}, which they include.",
            f"Set it to {run} or more.",
        )
    if not values.text("sagemaker.checkpoints_s3_uri"):
        yield Violation(
            "sagemaker.spot",
            "an interrupted job would start from the beginning.",
            "Set checkpoints_s3_uri.",
            Severity.WARNING,
        )


@rule(
    "MRC164",
    Severity.ERROR,
    "hosts have the ranks of the job",
    failing="maskrcnn: {gpus: 16}\nsagemaker: {instance_count: 3}",
    passing="maskrcnn: {gpus: 16}\nsagemaker: {instance_count: 2}",
)
def hosts(context: Context) -> Iterator[Violation]:
    """The schedule of the learning rate assumes the number of GPUs in `maskrcnn.gpus`, wherever they are."""
    values = context.values
    if context.rejected("maskrcnn.gpus", "maskrcnn.gpus_per_node", "sagemaker.instance_count"):
        return
    count, gpus = values.integer("sagemaker.instance_count"), values.integer("maskrcnn.gpus")
    per_node = values.integer("maskrcnn.gpus_per_node")
    if count and gpus and per_node and count * per_node != gpus:
        yield Violation(
            "sagemaker.instance_count",
            f"{count} hosts with {per_node} ranks each are not the {gpus} ranks of maskrcnn.gpus.",
            "Remove it, or set maskrcnn.gpus and gpus_per_node to agree.",
        )
    text = values.text("sagemaker.instance_type").removeprefix("ml.")
    row = next((row for row in context.node_groups.values() if row.instance_type == text), None)
    if row and per_node and values.text("maskrcnn.device") != "cpu" and per_node > row.gpus:
        yield Violation(
            "maskrcnn.gpus_per_node",
            f"{per_node} exceeds the {row.gpus} GPUs of ml.{text}.",
            f"Set it to {row.gpus}.",
        )


@rule(
    "MRC165",
    Severity.ERROR,
    "the data has one source",
    failing="sagemaker: {data: {file_system_id: fs-0123456789abcdef0, directory: /fsx/data}}",
    passing="sagemaker: {data: {s3_uri: 's3://my-bucket/data'}}",
)
def data_source(context: Context) -> Iterator[Violation]:
    """SageMaker reads the data from S3 or from a file system. A file system is only reachable from the
    subnets and security groups of its network."""
    values = context.values
    name = "sagemaker.data.file_system_id"
    if not values.text(name) or context.rejected(name):
        return
    if values.text("sagemaker.data.s3_uri"):
        yield Violation(name, "the data has s3_uri as well.", "Remove one of the two.")
    missing = [part for part in ("subnets", "security_groups") if not values.get(f"sagemaker.{part}")]
    if missing:
        parts = " and ".join(missing)
        yield Violation(
            name, f"a file system needs sagemaker.{parts}.", "Set those that can mount the file system."
        )


@rule(
    "MRC166",
    Severity.ERROR,
    "SageMaker pulls the images",
    failing="maskrcnn: {image: 'registry.example.com/mask-rcnn:1.0'}\n"
    "sagemaker: {role: 'arn:aws:iam::123456789012:role/SageMakerTraining'}",
    passing="maskrcnn: {image: '123456789012.dkr.ecr.us-west-2.amazonaws.com/mask-rcnn:1.0'}\n"
    "sagemaker: {role: 'arn:aws:iam::123456789012:role/SageMakerTraining'}",
)
def images(context: Context) -> Iterator[Violation]:
    """SageMaker pulls images from ECR in the region of the job, and starts their program `train` or `serve`.
    An image with its own script has no such program."""
    values = context.values
    if not values.text("sagemaker.role"):
        return  # the file does not describe a job on SageMaker
    region = values.text("sagemaker.region")
    for name in ("maskrcnn.image", "sagemaker.endpoint.image"):
        text = values.text(name)
        match = REGISTRY.match(text)
        if text and not match:
            yield Violation(
                name, f"{text} is not in ECR.", "Push it with mrc-images, and set its name in ECR."
            )
        elif match and region and match["region"] != region:
            yield Violation(
                name,
                f"it is in {match['region']}, but the job runs in {region}.",
                f"Push it to {region}, or change sagemaker.region.",
            )
    if values.text("maskrcnn.train_script"):
        yield Violation(
            "maskrcnn.train_script",
            "SageMaker runs the program train of the image, not this script.",
            "Remove it, and use the training image of this suite.",
        )


@rule(
    "MRC167",
    Severity.ERROR,
    "hyperparameters fit into a request",
    failing=f"maskrcnn: {{extra_config: ['DATA.TRAIN={'x' * (MAX_PARAMETER + 1)}']}}\n"
    "sagemaker: {output_s3_uri: 's3://my-bucket/output'}",
    passing="maskrcnn: {extra_config: ['TRAIN.CHECKPOINT_PERIOD=2']}\n"
    "sagemaker: {output_s3_uri: 's3://my-bucket/output'}",
)
def parameters(context: Context) -> Iterator[Violation]:
    """A training job has at most 100 hyperparameters with at most 2500 characters each; every entry of
    `extra_config` becomes one."""
    extra = context.values.get("maskrcnn.extra_config")
    if not isinstance(extra, list) or not context.values.sets("sagemaker"):
        return
    for number, entry in enumerate(extra):
        key, _, value = str(entry).partition("=")
        if len(value) > MAX_PARAMETER:
            yield Violation(
                f"maskrcnn.extra_config[{number}]",
                f"{key} has {len(value)} characters; a hyperparameter has at most {MAX_PARAMETER}.",
                "Shorten it.",
            )
    if len(extra) > MAX_PARAMETERS - 20:
        yield Violation(
            "maskrcnn.extra_config",
            f"a training job has at most {MAX_PARAMETERS} hyperparameters, 20 of them for the other values.",
            "Remove entries that repeat defaults.",
        )
