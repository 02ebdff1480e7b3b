"""The commands of mrc-stage."""

from pathlib import Path
from typing import Annotated

import typer
from mrc_cli.errors import UsageError, UserError

from mrc_stage import preparing, sources, staging
from mrc_stage.objects import Bucket, location

Url = Annotated[str, typer.Argument(metavar="s3://BUCKET[/PREFIX]", help="Where the archives are.")]


def prepare(
    url: Url,
    from_: Annotated[
        Path,
        typer.Option(
            "--from", metavar="DIR|ZIP", exists=True, help="A data set in COCO layout, or its archive."
        ),
    ],
) -> None:
    """Put a data set into a bucket, as one zip archive for each of its directories.

    Needs no room on this machine. Run again after an interruption: what was sent is kept.

    Example: mrc-stage prepare s3://my-bucket/photos --from ~/photos

    Exit code: 0; 1 when it failed; 3 when AWS cannot be reached or denies it; 4 when the data is wrong.
    """
    preparing.prepare(Bucket(location(url)), sources.local(from_))


def stage(
    url: Url,
    dest: Annotated[Path, typer.Argument(metavar="DEST", help="A directory of the shared file system.")],
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="Stage the part I (from 0) of N; each part may run elsewhere.")
    ] = "0/1",
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
    if not dest.is_dir():
        raise UserError(f"{dest}: not a directory. Is the file system mounted?")
    staging.stage(Bucket(location(url)), dest, index, count, replace)


def _shard(text: str) -> tuple[int, int]:
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise UsageError(f"--shard {text}: write it as I/N, with I from 0 to N-1.")
    return int(index), int(count)
