"""File systems, claims and paths."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from mrc_cli.findings import Severity

from mrc_values.rules.registry import Context, Violation, rule

_PATHS = (
    "maskrcnn.data_dir",
    "maskrcnn.backbone_weights",
    "tensorboard.log_dir",
    "log_dir",
    # Of the charts stage-data and serve.
    "data_dir",
    "model",
)
_FILE_SYSTEMS = ("global.shared_fs", "maskrcnn.data_fs")


@rule(
    "MRC030",
    Severity.ERROR,
    "each file system has one claim",
    failing="global: {shared_fs: efs}\nmaskrcnn: {data_fs: efs, data_pvc: pv-efs}",
    passing="global: {shared_fs: efs}\nmaskrcnn: {data_fs: fsx, data_pvc: pv-fsx}",
)
def one_claim_a_file_system(context: Context) -> Iterator[Violation]:
    """A file system is mounted at its name, /efs or /fsx. Two claims for the same file system would need the
    same mount point, and the second mount would hide the first."""
    values = context.values
    if context.rejected(*_FILE_SYSTEMS):
        return
    shared_fs, shared = _shared(context)
    data_fs, data = values.text("maskrcnn.data_fs") or shared_fs, values.text("maskrcnn.data_pvc")
    if data_fs == shared_fs:
        if data and data != shared:
            foreign = any(
                shared in row.claims for fs, row in values.catalogue.file_systems.items() if fs != shared_fs
            )
            fix = f'Set data_pvc to "" to use {shared} for both.'
            if foreign:  # MRC032 rejects it
                fix = f'Set global.shared_pvc to {data}, and data_pvc to "".'
            yield Violation(
                "maskrcnn.data_pvc",
                f"{data} and {shared} are two claims for one file system, {shared_fs}.",
                fix,
            )
    elif (data or values.catalogue.claim(data_fs)) == shared:
        yield Violation(
            "maskrcnn.data_pvc" if data else "maskrcnn.data_fs",
            f"the claim {shared} is already used for {shared_fs} (global.shared_pvc), but data_fs "
            f"is {data_fs}.",
            "Give each file system its own claim.",
        )


@rule(
    "MRC031",
    Severity.ERROR,
    "paths are relative to the file system",
    failing="maskrcnn: {data_dir: /efs/data}",
    passing="maskrcnn: {data_dir: data}",
)
def paths_stay_inside(context: Context) -> Iterator[Violation]:
    """data_dir and backbone_weights are relative to the root of the data file system, /efs or /fsx, and
    TensorBoard's log_dir and the model of the chart serve to that of the shared file system. An absolute path
    or one with .. points outside of it, to a directory that does not exist in the pods."""
    for name in _PATHS:
        text = context.values.text(name)
        if "://" in text:
            yield Violation(
                name,
                f"{text} is a URL, but the trainer reads from a mounted file system.",
                "Copy the data there and set the path relative to the root of the file system.",
            )
            continue
        path = PurePosixPath(text)
        if not text or not (path.is_absolute() or ".." in path.parts):
            continue
        mounts = tuple(f"/{fs}" for fs in context.values.catalogue.file_systems)
        inside = [path.relative_to(mount) for mount in mounts if path.is_relative_to(mount)]
        if inside and ".." not in path.parts:
            fix = f"Set {name.split('.')[-1]} to {inside[0]}."
        else:
            fix = "Write the path relative to the root of the file system, without a leading slash or `..`."
        yield Violation(name, f"{text} is outside of the file system.", fix)


@rule(
    "MRC032",
    Severity.ERROR,
    "a claim matches its file system",
    failing="global: {shared_fs: fsx, shared_pvc: tensorpack-efs-gp-bursting}",
    passing="global: {shared_fs: fsx, shared_pvc: tensorpack-fsx}",
)
def claim_belongs_to_file_system(context: Context) -> Iterator[Violation]:
    """The names of the tutorial's claims contain their file system. With the claim of the other one, logs and
    checkpoints are written to EFS under the path /fsx, or vice versa."""
    values = context.values
    if context.rejected(*_FILE_SYSTEMS):
        return
    shared_fs, _ = _shared(context)
    data_fs = values.text("maskrcnn.data_fs") or shared_fs
    file_systems = values.catalogue.file_systems
    for name, fs in (("global.shared_pvc", shared_fs), ("maskrcnn.data_pvc", data_fs)):
        claim = values.text(name)
        other = next((other for other, row in file_systems.items() if claim in row.claims), fs)
        if other != fs and fs in file_systems:
            yield Violation(
                name,
                f"{claim} is the default claim for {other}, but the file system is {fs}.",
                f'Set it to "" ({file_systems[fs].claim}) or to a claim for {fs}.',
            )


@rule(
    "MRC033",
    Severity.WARNING,
    "Jupyter mounts the data set",
    failing="maskrcnn: {data_fs: fsx}\njupyter: {enabled: true, image: 'registry.example.com/viz:1.0'}",
    passing="maskrcnn: {data_fs: fsx}\n"
    "jupyter: {enabled: true, image: 'registry.example.com/viz:1.0', data_fs: fsx}",
)
def jupyter_sees_the_data(context: Context) -> Iterator[Violation]:
    """A sub-chart cannot read the values of the training job. Unless Jupyter gets the file system and the
    claim of the data set too, notebooks have the logs and checkpoints, but no images to test a model on."""
    values = context.values
    if values.get("jupyter.enabled") is not True:
        return
    shared_fs, _ = _shared(context)
    fs = values.text("maskrcnn.data_fs") or shared_fs
    if (values.text("jupyter.data_fs") or shared_fs) != fs:
        yield Violation(
            "jupyter.data_fs", f"the data set is on {fs}, which Jupyter does not mount.", f"Set it to {fs}."
        )
    elif fs != shared_fs and (claim := _data_claim(context, "maskrcnn")) != _data_claim(context, "jupyter"):
        yield Violation(
            "jupyter.data_pvc",
            f"the data set of the training job is on the claim {claim}.",
            f"Set it to {claim}.",
        )


def _data_claim(context: Context, section: str) -> str:
    """The claim of a data file system that is not the shared one."""
    fs = context.values.text(f"{section}.data_fs")
    return context.values.text(f"{section}.data_pvc") or context.values.catalogue.claim(fs)


def _shared(context: Context) -> tuple[str, str]:
    """The shared file system and its claim."""
    fs = context.values.text("global.shared_fs")
    return fs, context.values.text("global.shared_pvc") or context.values.catalogue.claim(fs)
