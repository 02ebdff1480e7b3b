"""The way of one image into one repository."""

from mrc_cli.errors import ServiceError, UserError
from mrc_cli.terminal import say

from mrc_images import registry
from mrc_images.builders import Builder, Built
from mrc_images.registry import Registry, Remote
from mrc_images.table import PLATFORM


def built(builder: Builder, name: str, image: str) -> Built:
    """The build of this name, which has to be for PLATFORM. Raises UserError."""
    build = builder.find(name)
    if build is None:
        raise UserError(f"{name}: is not built yet. Run: mrc-images build {image}")
    if build.architecture != PLATFORM.split("/")[1]:
        raise UserError(
            f"{name}: was built for {build.architecture}, but all node groups have x86-64 processors. Run: "
            f"mrc-images build {image}"
        )
    return build


def push(builder: Builder, name: str, build: Built, to: Registry, repository: str, tag: str) -> str:
    """Push the image unless the registry has it. A push that broke off continues with the layers that lack.

    Returns:
        The digest of its manifest.

    Raises:
        UserError: when the tag names another image: tags are not moved.
        ServiceError: when the registry fails, or has something else than was pushed.
    """
    destination = to.reference(repository, tag)
    there = registry.find(to, repository, tag)
    if there is not None:
        if not _same(there, build):
            raise UserError(
                f"{destination}: already exists with other content ({there.digest}), and a tag is not moved. "
                "Commit to get a new tag, or delete the image in the registry."
            )
        say(f"{destination}: is already there")
        return there.digest
    say(f"{destination}: pushing")
    with registry.login_file(to) as auth:
        builder.push(name, destination, auth, to.insecure)
    arrived = registry.find(to, repository, tag)
    if arrived is None or not _same(arrived, build):
        raise ServiceError(f"{destination}: the registry does not have what was pushed. Push again.")
    return arrived.digest


def _same(remote: Remote, build: Built) -> bool:
    return bool({remote.digest, remote.configuration} & build.ids)
