"""The build of one image."""

from collections.abc import Sequence
from pathlib import Path

from mrc_cli.terminal import say

from mrc_images.builders import Builder
from mrc_images.table import Image, find


def build(program: Builder, image: Image, tag: str, root: Path, options: Sequence[str] = ()) -> None:
    """Build one image of the table; the image that it is built on exists.

    ``options`` go to the program as they are.

    Raises:
        UserError: with the reason of a failed build; a ServiceError when the network failed.
    """
    say(f"{image.local(tag)}: building from {image.dockerfile}")
    # Last, because it takes precedence: a BASE_IMAGE among the options is for the images without a base.
    base = [f"--build-arg=BASE_IMAGE={find(image.base).local(tag)}"] if image.base else []
    revision = f"--label=org.opencontainers.image.revision={tag}"
    program.build(image.dockerfile, image.local(tag), image.arguments, root, [*options, *base, revision])
