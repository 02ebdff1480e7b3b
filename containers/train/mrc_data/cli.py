"""mrc-data: the command line."""

from pathlib import Path
from typing import Annotated, Any

import typer
from mrc_cli.application import application
from mrc_cli.command import run
from mrc_cli.errors import UsageError, UserError
from mrc_cli.formats import FORMAT_HELP, FindingFormat
from mrc_cli.terminal import result, say

app = application("Check a data set before a training run, and convert what annotation tools export.")


@app.command()
def check(
    target: Annotated[
        Path,
        typer.Argument(
            metavar="DIR|FILE", help="A data set in COCO layout, or one annotation file.", show_default=False
        ),
    ],
    images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Directory with the images of FILE, if it is elsewhere."),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw 16 samples with their boxes and masks to this file."),
    ] = None,
    masks: Annotated[
        bool, typer.Option("--masks/--boxes", help="Check for training of masks, or MODE_MASK=False.")
    ] = True,
    decode: Annotated[
        int, typer.Option(metavar="N", min=0, help="Number of images to decode in each split, at random.")
    ] = 200,
    all_images: Annotated[bool, typer.Option("--all-images", help="Decode all images.")] = False,
    format: Annotated[FindingFormat, typer.Option(help=FORMAT_HELP)] = FindingFormat.TEXT,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 on warnings too.")] = False,
) -> None:
    """Find what is wrong with a data set in seconds, without training on it.

    An error would end a training run before its first step. A warning names what is left out or looks wrong,
    with counts and the likely cause. Findings are printed to stdout, one per line, with the path of the first
    entry in the JSON file. `mrc-data explain MRD022` says more.

    Example: mrc-data check data --sheet sheet.png

    Exit code: 0 no errors, 1 errors (with --strict: or warnings), 2 wrong usage.
    """
    from mrc_cli import reports
    from mrc_cli.files import write_atomically
    from mrc_cli.findings import Severity, failing
    from mrc_train.data.problems import RULES
    from mrc_train.prediction_files import check_output_file

    from mrc_data import check as checking
    from mrc_data.sheet import draw_sheet, encode_png

    if images is not None and target.is_dir():
        raise UsageError("--images belongs to an annotation file; a data set has its images in <split>/")
    if sheet is not None:
        if sheet.suffix.lower() != ".png":
            raise UsageError(f"{sheet}: the sheet is a PNG file; name it .png")
        check_output_file(sheet)
    checked = checking.check(target, masks, None if all_images else decode, images)
    if text := reports.FORMATS[format](checked.findings, reports.Tool("mrc-data", RULES)):
        result(text)
    counts = "; ".join(_counts(split) for split in checked.splits)
    if counts:
        say(f"{counts}; {checked.decoded} of {checked.images} images decoded")
    say(f"{target}: {reports.summary(checked.findings)}")
    if sheet is not None:
        drawn = draw_sheet(checked.splits)
        if drawn is None:
            raise UserError(f"{sheet}: not drawn, as there is no readable image with an object")
        write_atomically(sheet, encode_png(drawn))
        say(f"{sheet}: boxes and masks of samples, as training sees them")
    has_warnings = any(finding.severity is Severity.WARNING for finding in checked.findings)
    raise typer.Exit(1 if failing(checked.findings) or (strict and has_warnings) else 0)


def _counts(split: Any) -> str:
    return f"{split.name}: {len(split.records)} images, {split.objects_per_class().sum()} objects"


@app.command()
def convert(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="An unpacked export, or its annotation file: COCO (CVAT, Label Studio, Roboflow, ...), "
            "LabelMe, VIA, or YOLO with polygons.",
            show_default=False,
        ),
    ],
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="The new data set; it must not exist.", show_default=False)
    ],
    images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the images are, if not beside the annotations."),
    ] = None,
    val: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            min=0,
            max=0.9,
            help="Share of the images for validation, if SOURCE is not split.",
        ),
    ] = 0.2,
    seed: Annotated[int, typer.Option(metavar="N", help="Another seed gives another split.")] = 0,
    attribute: Annotated[
        str | None, typer.Option(metavar="NAME", help="VIA: the region attribute that has the class.")
    ] = None,
) -> None:
    """Convert what an annotation tool exports into the layout that charts and trainer expect.

    Copies the images to DIR/train2017 and DIR/val2017 and writes DIR/annotations/instances_<split>.json.
    Splits of the source (train and valid or val) are kept; otherwise images are split by a hash of their
    names, so that later exports with more images leave most of them where they were. A test split is not
    copied.

    Example: mrc-data convert export data && mrc-data check data --sheet sheet.png
    """
    from mrc_data import convert as conversion

    format, read = conversion.read_source(source, images, attribute)
    if not read.images:
        raise UserError(f"{source}: no image in these annotations ({format})")
    if not any(image.objects for image in read.images):
        raise UserError(f"{source}: no object in these annotations ({format})")
    splits = conversion.assigned(read.images, val, seed)
    conversion.write_layout(read, splits, directory)
    for what, count in read.skipped.items():
        say(f"left out: {count} {what}")
    for split, chosen in splits.items():
        objects = sum(len(image.objects) for image in chosen)
        say(f"{conversion.SPLITS[split]}: {len(chosen)} images, {objects} objects (from {format})")
    result(str(directory))


@app.command()
def explain(
    rule: Annotated[str, typer.Argument(metavar="RULE", help="Id of a rule, such as MRD022.")],
) -> None:
    """Explain why a rule exists, with an example that fails and one that passes.

    Example: mrc-data explain MRD022
    """
    from mrc_cli.reports import explanation
    from mrc_train.data.problems import RULES

    info = RULES.get(rule.upper())
    if info is None:
        raise UsageError(f"{rule}: no such rule. The rules are {', '.join(RULES)}.")
    result(explanation(info))


def main() -> None:
    """The console script."""
    run("mrc-data", app)


if __name__ == "__main__":
    main()
