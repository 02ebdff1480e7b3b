"""The commands of mrc-images."""

from pathlib import Path
from typing import Annotated

import typer
from mrc_cli.errors import UsageError
from mrc_cli.terminal import result, say, table

from mrc_images import building, fragment, pushing, registry, revision
from mrc_images.builders import builder
from mrc_images.table import IMAGES, find, with_bases

FRAGMENTS = Path(".images")
"""Where push writes the values, from the root of the checkout."""

Names = Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Names from mrc-images list.")]
Force = Annotated[
    bool, typer.Option("--force", help="Accept changes that are not committed; the tag ends with -dirty.")
]
Tag = Annotated[str | None, typer.Option(metavar="TAG", help="The tag instead of git describe.")]


def list_() -> None:
    """List the images: what builds them, their repositories, and the value of a chart that takes each.

    Example: mrc-images list
    """
    rows = [
        (
            image.name,
            image.dockerfile,
            " ".join(f"{key}={value}" for key, value in image.arguments.items()),
            repository.name + (f" (tag …{image.suffix})" if image.suffix else ""),
            ", ".join(f"{chart}: {value}" for chart, value in repository.values.items()),
        )
        for image in IMAGES
        for repository in image.repositories
    ]
    table(("image", "Dockerfile", "build arguments", "repository", "chart: value"), rows)


def build(images: Names, force: Force = False, tag: Tag = None) -> None:
    """Build images for linux/amd64 with docker buildx or buildah, after the images that they are built on.

    The tag is the output of git describe. Options after -- go to the builder.

    Examples:

    mrc-images build train-gpu

    mrc-images build viz -- --build-arg=BASE_IMAGE=registry.example.com/debian:bookworm

    Exit code: 0; 1 when a build fails, or the checkout has changes; 3 when the network fails.
    """
    more = [argument for argument in images if argument.startswith("-")]
    if platform := next((argument for argument in more if argument.startswith("--platform")), None):
        raise UsageError(
            f"{platform}: images are built for linux/amd64 only. All node groups have x86-64 processors, and "
            "TensorFlow and CUDA are installed from x86-64 wheels."
        )
    selected = with_bases(find(name) for name in images if name not in more)
    root = revision.checkout()
    tag = tag or revision.tag(root, force)
    program = builder()
    for image in selected:
        building.build(program, image, tag, root, more)
        result(image.local(tag))


def push(
    images: Names,
    region: Annotated[
        str | None,
        typer.Option(metavar="REGION", help="Push to ECR in this region. Creates the repositories."),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option("--registry", metavar="HOST[/PATH]", help="Push to this registry. Log in first."),
    ] = None,
    force: Force = False,
    tag: Tag = None,
) -> None:
    """Push images under all their names, and write their digests into values files.

    A second push moves nothing, and an interrupted push continues where it stopped. A tag that already names
    another image is an error. The values files are .images/<chart>.yaml.

    Examples:

    mrc-images push train-gpu viz --region us-west-2

    mrc-values install maskrcnn charts/maskrcnn -f values.yaml -f .images/maskrcnn.yaml

    Exit code: 0; 1 when the tag has other content or the disk is full; 3 when AWS or the registry cannot be
    reached or denies the request.
    """
    if (region is None) == (to is None):
        raise UsageError("push: needs either --region (ECR) or --registry.")
    selected = [find(name) for name in images]
    root = revision.checkout()
    tag = tag or revision.tag(root, force)
    program = builder()
    builds = [(image, pushing.built(program, image.local(tag), image.name)) for image in selected]
    if region is not None:
        from mrc_cli import aws

        from mrc_images import ecr

        client = aws.client("ecr", region)
        target = ecr.registry(client)
    else:
        client, target = None, registry.at(str(to))
    for image, build in builds:
        for repository in image.repositories:
            address = ecr.provide(client, repository.name) if client else f"{target.host}/{repository.name}"
            digest = pushing.push(
                program, image.local(tag), build, target, repository.name, tag + image.suffix
            )
            reference = f"{address}@{digest}"
            for chart, value in repository.values.items():
                file = root / FRAGMENTS / f"{chart}.yaml"
                fragment.write(file, value, reference)
                say(f"{file.relative_to(root)}: {value} is {reference}")
            result(reference)
