"""File systems, claims and the paths on them."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from mrc_cli.findings import Severity

from mrc_values.rules.registry import Context, Problem, rule

_FILE_SYSTEMS = ("global.shared_fs", "maskrcnn.data_fs")


@rule(
    "MRC030",
    Severity.ERROR,
    "one file system, one claim",
    failing="global: {shared_fs: efs}\nmaskrcnn: {data_fs: efs, data_pvc: pv-efs}",
    passing="global: {shared_fs: efs}\nmaskrcnn: {data_fs: fsx, data_pvc: pv-fsx}",
)
def one_claim_a_file_system(context: Context) -> Iterator[Problem]:
    """Both file systems are mounted by their names, /efs and /fsx. Two claims of one would need the same
    mount point, and the second would hide the first."""
    values = context.values
    if context.refused(*_FILE_SYSTEMS):
        return
    shared_fs, shared = _shared(context)
    data_fs, data = values.text("maskrcnn.data_fs") or shared_fs, values.text("maskrcnn.data_pvc")
    if data_fs == shared_fs:
        if data and data != shared:
            yield Problem(
                "maskrcnn.data_pvc",
                f"{data} and {shared} are two claims of one file system, {shared_fs}.",
                f'Set data_pvc to "" to use {shared} for both.',
            )
    elif (data or values.catalogue.claim(data_fs)) == shared:
        yield Problem(
            "maskrcnn.data_pvc" if data else "maskrcnn.data_fs",
            f"the claim {shared} is {shared_fs} already (global.shared_pvc), and data_fs is {data_fs}.",
            "Give each file system its own claim.",
        )


@rule(
    "MRC031",
    Severity.ERROR,
    "paths stay inside the mounts",
    failing="maskrcnn: {data_dir: /efs/data}",
    passing="maskrcnn: {data_dir: data}",
)
def paths_stay_inside(context: Context) -> Iterator[Problem]:
    """data_dir and backbone_weights are counted from the root of the data file system, /efs or /fsx, and
    TensorBoard's log_dir from that of the shared one. A path from / or with .. leads out of it, to a folder
    that the pods do not have."""
    for name in ("maskrcnn.data_dir", "maskrcnn.backbone_weights", "tensorboard.log_dir", "log_dir"):
        text = context.values.text(name)
        path = PurePosixPath(text)
        if not text or not (path.is_absolute() or ".." in path.parts):
            continue
        mounts = tuple(f"/{fs}" for fs in context.values.catalogue.file_systems)
        inside = [path.relative_to(mount) for mount in mounts if path.is_relative_to(mount)]
        if inside and ".." not in path.parts:
            fix = f"Set {name.split('.')[-1]} to {inside[0]}."
        else:
            fix = "Give the path from the file system's root, without a leading slash or two dots."
        yield Problem(name, f"{text} leads out of the file system.", fix)


@rule(
    "MRC032",
    Severity.ERROR,
    "a claim belongs to its file system",
    failing="global: {shared_fs: fsx, shared_pvc: tensorpack-efs-gp-bursting}",
    passing="global: {shared_fs: fsx, shared_pvc: tensorpack-fsx}",
)
def claim_belongs_to_file_system(context: Context) -> Iterator[Problem]:
    """The tutorial's claims carry the name of their file system. With the other's, logs and checkpoints go
    to EFS under the path /fsx, or the other way round."""
    values = context.values
    if context.refused(*_FILE_SYSTEMS):
        return
    shared_fs, _ = _shared(context)
    data_fs = values.text("maskrcnn.data_fs") or shared_fs
    file_systems = values.catalogue.file_systems
    for name, fs in (("global.shared_pvc", shared_fs), ("maskrcnn.data_pvc", data_fs)):
        claim = values.text(name)
        other = next((other for other, row in file_systems.items() if claim in row.claims), fs)
        if other != fs and fs in file_systems:
            yield Problem(
                name,
                f"{claim} is the usual claim of {other}, and the file system is {fs}.",
                f'Set it to "" ({file_systems[fs].claim}) or to a claim of {fs}.',
            )


@rule(
    "MRC033",
    Severity.WARNING,
    "Jupyter sees the data",
    failing="maskrcnn: {data_fs: fsx}\njupyter: {enabled: true, image: 'registry.example.com/lab:1.0'}",
    passing="maskrcnn: {data_fs: fsx}\n"
    "jupyter: {enabled: true, image: 'registry.example.com/lab:1.0', data_fs: fsx}",
)
def jupyter_sees_the_data(context: Context) -> Iterator[Problem]:
    """A sub-chart does not know the training job's values. Unless Jupyter is given the file system and the
    claim of the data too, its notebooks have the logs and checkpoints, but no picture to test a model on."""
    values = context.values
    if values.get("jupyter.enabled") is not True:
        return
    shared_fs, _ = _shared(context)
    fs = values.text("maskrcnn.data_fs") or shared_fs
    if (values.text("jupyter.data_fs") or shared_fs) != fs:
        yield Problem(
            "jupyter.data_fs", f"the data is on {fs}, which Jupyter does not mount.", f"Set it to {fs}."
        )
    elif fs != shared_fs and (claim := _data_claim(context, "maskrcnn")) != _data_claim(context, "jupyter"):
        yield Problem(
            "jupyter.data_pvc", f"the training's data is on the claim {claim}.", f"Set it to {claim}."
        )


def _data_claim(context: Context, section: str) -> str:
    """The claim of a data file system that is not the shared one."""
    fs = context.values.text(f"{section}.data_fs")
    return context.values.text(f"{section}.data_pvc") or context.values.catalogue.claim(fs)


def _shared(context: Context) -> tuple[str, str]:
    """The shared file system and its claim."""
    fs = context.values.text("global.shared_fs")
    return fs, context.values.text("global.shared_pvc") or context.values.catalogue.claim(fs)
