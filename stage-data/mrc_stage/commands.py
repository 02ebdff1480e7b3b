"""The commands of mrc-stage."""

from pathlib import Path
from typing import Annotated

import typer
from mrc_cli.errors import UsageError

from mrc_stage import preparing, remote, sources, staging, verifying
from mrc_stage import unpacked as unpacking
from mrc_stage.objects import Bucket, location

RequesterPays = Annotated[
    bool, typer.Option("--requester-pays", help="Pay for reading a bucket of others that demands it.")
]
Url = Annotated[str, typer.Argument(metavar="s3://BUCKET[/PREFIX]", help="Where the archives are.")]


def prepare(
    url: Url,
    from_: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="DIR|ZIP",
            exists=True,
            help="A data set in COCO layout, or its archive, instead of COCO 2017.",
        ),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|URL",
            help="Weights of the backbone, for pretrained-models/; https, or with #sha256=DIGEST. "
            f"With COCO 2017: {remote.WEIGHTS_URL}.",
        ),
    ] = None,
    no_weights: Annotated[bool, typer.Option("--no-weights", help="No weights with COCO 2017.")] = False,
    unpacked: Annotated[
        bool,
        typer.Option(
            "--unpacked",
            help="Each file as an object, for SageMaker and FSx data repositories.",
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be sent.")] = False,
) -> None:
    """Put a data set into a bucket: COCO 2017 from its servers, or your own as zip archives.

    Needs no room on this machine. Run again after an interruption: what was sent is kept.

    Examples:

    mrc-stage prepare s3://my-bucket/coco

    mrc-stage prepare s3://my-bucket/photos --from ~/photos

    Exit code: 0; 1 when it failed; 3 when a server cannot be reached or denies it; 4 when the data is wrong.
    """
    bucket = Bucket(location(url))
    wanted = weights or ([] if from_ or no_weights else [remote.WEIGHTS_URL])
    single = [sources.weights(text) for text in wanted]
    if not unpacked:
        chosen = sources.local(from_) if from_ else sources.coco_2017()
        act = preparing.describe if dry_run else preparing.prepare
        act(bucket, chosen + single)
    else:
        if from_ and from_.is_dir():
            unpacking.prepare_directory(bucket, from_, dry_run)
        else:
            archives = sources.local_members(from_) if from_ else sources.coco_2017_members()
            unpacking.prepare_archives(bucket, archives, dry_run)
        if single and dry_run:
            preparing.describe(bucket, single)
        else:
            for source in single:
                preparing.prepare_one(bucket, source)


def stage(
    url: Url,
    dest: Annotated[Path, typer.Argument(metavar="DEST", help="A directory of the shared file system.")],
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="Stage the part I (from 0) of N; each part may run elsewhere.")
    ] = "0/1",
    requester_pays: RequesterPays = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace files in DEST that have another size.")
    ] = False,
) -> None:
    """Unpack the archives of a bucket onto a file system, each file checked by its CRC-32.

    Run again after an interruption: only what is missing is fetched. The data set appears in DEST when all of
    it is there.

    Example: mrc-stage stage s3://my-bucket/photos /efs/data

    Exit code: 0; 1 when it failed; 3 when AWS cannot be reached or denies it; 4 when the data is wrong.
    """
    index, count = _shard(shard)
    staging.stage(Bucket(location(url), requester_pays), dest, index, count, replace)


def verify(
    url: Url,
    dest: Annotated[Path, typer.Argument(metavar="DEST", help="Where it was staged.")],
    deep: Annotated[bool, typer.Option("--deep", help="Read every file and compare its CRC-32.")] = False,
    requester_pays: RequesterPays = False,
) -> None:
    """Compare a directory with the archives of a bucket: every file's name and size, with --deep its content.

    Example: mrc-stage verify s3://my-bucket/photos /efs/data

    Exit code: 0; 1 when it failed; 3 when AWS cannot be reached or denies it; 4 when a file is wrong.
    """
    verifying.verify(Bucket(location(url), requester_pays), dest, deep)


def status(
    dest: Annotated[Path, typer.Argument(metavar="DEST", help="Where it is staged.")],
) -> None:
    """Say what is staged in a directory, and whether it is complete. Asks nobody but the file system.

    Example: mrc-stage status /efs/data

    Exit code: 0 when it is complete; 1 when it is not.
    """
    verifying.status(dest)


def _shard(text: str) -> tuple[int, int]:
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise UsageError(f"--shard {text}: write it as I/N, with I from 0 to N-1.")
    return int(index), int(count)
