"""The container images that were pushed to the repositories that Terraform built."""

from collections.abc import Iterable, Mapping
from typing import Any

from mrc_cli import aws
from mrc_cli.errors import UserError
from mrc_cli.terminal import say
from mrc_images.table import IMAGES

from mrc_values.terraform_outputs import Built
from mrc_values.values import Values


def newest(built: Built, chart: str, values: Values) -> dict[str, str]:
    """The newest image for each value of the chart that needs one, by digest; values that are set need none.

    What cannot be found is reported, and left to the rules about images.
    """
    references: dict[str, str] = {}
    for name, repository, suffix in _needed(chart, values):
        url = built.repositories.get(repository)
        if not url:
            continue
        try:
            digest = newest_digest(_details(built.region, repository), suffix)
        except UserError as error:
            say(f"{name}: not looked up: {error}")
            return references
        if digest:
            references[name] = f"{url}@{digest}"
        else:
            say(
                f"{name}: not set, because {repository} is empty. See mrc-images push --region {built.region}"
            )
    return references


def newest_digest(details: Iterable[Mapping[str, Any]], suffix: str) -> str:
    """The digest of the last pushed image with a tag that ends with ``suffix``; empty if there is none."""
    matching = [image for image in details if any(tag.endswith(suffix) for tag in image.get("imageTags", ()))]
    return str(max(matching, key=lambda image: image["imagePushedAt"])["imageDigest"]) if matching else ""


def _needed(chart: str, values: Values) -> list[tuple[str, str, str]]:
    """Value, repository and suffix of the tags. A copy of a chart takes the images of maskrcnn."""
    charts = {chart for image in IMAGES for repository in image.repositories for chart in repository.values}
    chart = chart if chart in charts else "maskrcnn"
    rows: dict[str, tuple[str, str, str]] = {}
    for image in IMAGES:  # the image for GPUs comes before the one without
        for repository in image.repositories:
            name = repository.values.get(chart, "")
            if name and not values.text(name):
                rows.setdefault(name, (name, repository.name, image.suffix))
    return [row for row in rows.values() if row[0] == "maskrcnn.image" or values.flag("jupyter.enabled")]


def _details(region: str, repository: str) -> list[dict[str, Any]]:
    client = aws.client("ecr", region)
    with aws.calling("ecr:DescribeImages"):
        pages = client.get_paginator("describe_images").paginate(repositoryName=repository)
        return [image for page in pages for image in page["imageDetails"]]
