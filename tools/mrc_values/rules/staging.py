"""Staging of data sets."""

import re
from collections.abc import Iterator
from functools import partial

from mrc_cli.findings import Severity

from mrc_values.quantities import quantity
from mrc_values.rules.registry import Context, Violation, rule

_rule = partial(rule, chart="stage-data")

_NEEDED = "400Mi"
"""What mrc-stage needs at most, for archives of any size (docs/staging.md)."""

_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


@_rule(
    "MRC170",
    Severity.ERROR,
    "the data set is in a bucket",
    failing="s3_uri: https://my-bucket.s3.us-west-2.amazonaws.com/coco",
    passing="s3_uri: s3://my-bucket/coco",
)
def in_a_bucket(context: Context) -> Iterator[Violation]:
    """The pods read the archives that mrc-stage prepare has put into a bucket, and nothing else. A bucket
    does not have to be public for that: the role of the service account decides who may read it."""
    text = context.values.text("s3_uri")
    if not text or text.startswith("s3://"):
        return
    path = re.sub(r"^https?://([^./]+)\.s3[.-][^/]*", r"\1", text)
    path = re.sub(r"^([a-z]+://[^/]*/|/+)", "", path)
    yield Violation("s3_uri", f"{text} is not a location in S3.", f"Write s3://{path or 'my-bucket/coco'}.")


@_rule(
    "MRC171",
    Severity.ERROR,
    "own_folder needs a file system without an access point",
    failing="run_as_user: 1000\nown_folder: true\n"
    "claim: {create: true, volume_handle: 'fs-0123456789abcdef0::fsap-0123456789abcdef0'}",
    passing="run_as_user: 1000\nown_folder: true\nclaim: {create: true, volume_handle: fs-0123456789abcdef0}",
)
def access_point_decides_the_owner(context: Context) -> Iterator[Violation]:
    """An EFS access point replaces the user of every request by its own, also for root, so that the init
    container may not give the directory to another user (aws-efs-csi-driver, issue 300)."""
    values = context.values
    if values.get("own_folder") is True and "fsap-" in values.text("claim.volume_handle"):
        yield Violation(
            "own_folder",
            "with an EFS access point everything belongs to its user, and chown fails.",
            "Set it to false, and run_as_user to the access point's user or 0.",
        )


@_rule(
    "MRC172",
    Severity.ERROR,
    "the role has a service account",
    failing="service_account: {create: false, role_arn: 'arn:aws:iam::123456789012:role/stage-data'}",
    passing="service_account: {create: true, role_arn: 'arn:aws:iam::123456789012:role/stage-data'}",
)
def role_is_annotated(context: Context) -> Iterator[Violation]:
    """The chart annotates only a service account that it creates. With an existing one, the role has no
    effect, and the pods would be denied."""
    account = "service_account"
    values = context.values
    if values.get(f"{account}.create") is False and (role := values.text(f"{account}.role_arn")):
        name = values.text(f"{account}.name") or "default"
        yield Violation(
            f"{account}.role_arn",
            f"the service account {name} is not created by the chart, so it does not get this role.",
            f"Run kubectl annotate serviceaccount {name} eks.amazonaws.com/role-arn={role} in the job's "
            "namespace and remove this line, or set create to true.",
        )


@_rule(
    "MRC173",
    Severity.WARNING,
    "keys of AWS are not among the values",
    failing="env: {AWS_ACCESS_KEY_ID: AKIAIOSFODNN7EXAMPLE, AWS_SECRET_ACCESS_KEY: secret}",
    passing="env_from: [{secretRef: {name: s3-keys}}]",
)
def no_keys_in_values(context: Context) -> Iterator[Violation]:
    """Everybody who may read pods or the release sees values. Keys of a session also expire during the job,
    and the variables of a pod do not change; a role renews its keys by itself."""
    if not context.values.text("s3_uri"):
        return  # another chart
    for name in _KEYS:
        if context.values.text(f"env.{name}"):
            yield Violation(
                f"env.{name}",
                "anyone who may read the pod can read this key.",
                "Set service_account.role_arn, use Pod Identity, or name a Secret in env_from.",
            )


@_rule(
    "MRC174",
    Severity.ERROR,
    "the memory limit is enough for staging",
    failing="resources: {limits: {memory: 256Mi}}",
    passing="resources: {limits: {memory: 512Mi}}",
)
def memory_is_enough(context: Context) -> Iterator[Violation]:
    """A pod holds eight ranges of 8 MiB and the directory of the archive, up to 400 MiB for COCO 2017. The
    kernel kills one that exceeds its limit, and so every retry."""
    name = "resources.limits.memory"
    limit, needed = quantity(context.values.get(name)), quantity(_NEEDED)
    if context.values.text("s3_uri") and limit is not None and needed is not None and limit < needed:
        yield Violation(
            name, f"{context.values.get(name)} are less than the {_NEEDED} that mrc-stage needs.", "Set 1Gi."
        )
