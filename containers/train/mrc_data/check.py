"""Everything that loading a data set finds, and what only the images show, as findings."""

import random
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from mrc_cli.findings import Finding, Position, Severity, ValuePath, sort
from mrc_cli.progress import progress
from mrc_train.data.annotations import Annotations, read_annotations
from mrc_train.data.coco import ImageRecord, Split, check_same_categories, image_records
from mrc_train.data.decoding import UnreadableImage
from mrc_train.data.image_files import FoundFiles, find_files
from mrc_train.data.images import WrongSize
from mrc_train.data.problems import RULES, DataError

from mrc_data.foreign import foreign_format
from mrc_data.layout import SplitFiles, find_splits

DECODING_THREADS = 4


@dataclass
class Checked:
    """The result of a check.

    splits: those that could be read; decoded and images: how many images were decoded, of how many.
    """

    findings: list[Finding] = field(default_factory=list)
    splits: list[Split] = field(default_factory=list)
    decoded: int = 0
    images: int = 0


def check(target: Path, masks: bool, decode: int | None, images: Path | None = None) -> Checked:
    """Check a data set or one annotation file.

    Args:
        target: a directory in COCO layout, or an annotation file.
        masks: whether masks will be trained.
        decode: the number of images of each split that are decoded, drawn at random; None for all.
        images: the directory with the images of an annotation file; by default that of the layout, or the
            file's own.
    """
    checked = Checked()
    try:
        files = find_splits(target, images)
    except DataError as error:
        checked.findings.append(_finding(target, error))
        return checked
    for split_files in files:
        _check_split(split_files, masks, decode, checked)
    for split in checked.splits[1:]:
        try:
            check_same_categories(checked.splits[0], split)
        except DataError as error:
            checked.findings.append(
                _of_rule(split.annotation_file, "MRD005", ("categories",), f"{error}".partition(":")[0] + ".")
            )
    checked.findings = sort(checked.findings)
    return checked


def _check_split(files: SplitFiles, masks: bool, decode: int | None, checked: Checked) -> None:
    errors: list[DataError] = []
    findings: list[Finding] = []
    try:
        annotations = read_annotations(files.annotations, masks, errors.append)
        image_files = find_files(
            files.images, [image.file_name for image in annotations.images.values()], files.annotations
        )
    except DataError as error:
        foreign = foreign_format(files.annotations)
        if error.rule == "MRD001" and foreign:
            error = DataError(f"this is a file of {foreign}", "MRD001")
        checked.findings += [_finding(files.annotations, reported) for reported in [*errors, error]]
        return
    findings += _grouped(files.annotations, errors)
    findings += [
        _of_rule(files.annotations, problem.rule, problem.path, problem.message, problem.fix)
        for problem in annotations.problems
    ]
    findings += _file_names(files, image_files, annotations)
    paths = [
        files.images / (file or name) for file, name in zip(image_files.files, image_files.names, strict=True)
    ]
    records = image_records(annotations, paths)
    split = Split(files.name, annotations.categories, records, annotation_file=files.annotations)
    findings += _objects(split, files.annotations)
    present = [index for index, file in enumerate(image_files.files) if file is not None]
    chosen = present if decode is None else _drawn(present, decode)
    findings += _decoded(files, [records[index] for index in chosen], chosen)
    checked.findings += findings
    checked.splits.append(replace(split, records=[records[index] for index in present]))
    checked.decoded += len(chosen)
    checked.images += len(records)


def _drawn(indices: Sequence[int], count: int) -> list[int]:
    if len(indices) <= count:
        return list(indices)
    return sorted(random.Random(0).sample(indices, count))  # noqa: S311 (a sample, no secret)


def _file_names(files: SplitFiles, image_files: FoundFiles, annotations: Annotations) -> Iterable[Finding]:
    if image_files.missing:
        yield _of_rule(
            files.annotations,
            "MRD010",
            ("images", image_files.missing[0], "file_name"),
            f"{image_files.missing_text(f' in {files.images}')}.".replace("?.", "?"),
            f"file_name is relative to {files.images}.",
        )
    if image_files.renamed:
        yield _of_rule(
            files.annotations,
            "MRD011",
            ("images", image_files.renamed[0], "file_name"),
            f"{image_files.renamed_text()}.",
            "Write the names of the files.",
        )


def _objects(split: Split, file: Path) -> Iterable[Finding]:
    counts = split.objects_per_class()
    if not counts.sum():
        fix = "See the other findings for the reason." if split.records else ""
        yield _of_rule(file, "MRD006", ("annotations",), "No object can be used.", fix)
        return
    unused = [index for index, count in enumerate(counts) if not count]
    if unused:
        names = ", ".join(split.categories.names[index] for index in unused[:5])
        more = f" and {len(unused) - 5} more" if len(unused) > 5 else ""
        yield _of_rule(
            file,
            "MRD026",
            ("categories",),
            f"{len(unused)} of {len(counts)} categories have no object: {names}{more}.",
            "Delete them, or add objects.",
        )


def _decoded(files: SplitFiles, records: Sequence[ImageRecord], indices: Sequence[int]) -> Iterable[Finding]:
    """Findings about the content of the image files; ``indices`` are those of the records in the file."""
    unreadable: list[int] = []
    wrong: list[tuple[int, WrongSize]] = []

    def error_of(record: ImageRecord) -> UnreadableImage | None:
        try:
            record.read()
        except UnreadableImage as error:
            return error
        return None

    with (
        ThreadPoolExecutor(DECODING_THREADS) as pool,
        progress(f"{files.name}: decoding", len(records), "images") as advance,
    ):
        for position, error in enumerate(pool.map(error_of, records)):
            if isinstance(error, WrongSize):
                wrong.append((position, error))
            elif error is not None:
                unreadable.append(position)
            advance(1)
    if unreadable:
        yield _of_rule(
            files.annotations,
            "MRD012",
            ("images", indices[unreadable[0]], "file_name"),
            f"{len(unreadable)} of {len(records)} images cannot be decoded, such as "
            f"{records[unreadable[0]].path}.",
            "Copy or export them again.",
        )
    if wrong:
        position, first = wrong[0]
        record = records[position]
        causes = {_cause(records[position], error) for position, error in wrong}
        cause = causes.pop() if len(causes) == 1 else "resized, rotated or exchanged"
        yield _of_rule(
            files.annotations,
            "MRD013",
            ("images", indices[position], "width"),
            f"{len(wrong)} of {len(records)} images do not have the annotated size, such as {record.path}: "
            f"{first.width} x {first.height} pixels, annotated as {record.width} x {record.height}.",
            f"They were {cause} after they were annotated: use the images that were annotated.",
        )


def _cause(record: ImageRecord, error: WrongSize) -> str:
    """What happened to an image of the wrong size."""
    if (error.width, error.height) == (record.height, record.width):
        return "rotated"
    # Sizes are rounded to whole pixels.
    if abs(error.width * record.height - error.height * record.width) <= max(record.height, record.width):
        return f"resized by {error.width / record.width:.3g}"
    return "cropped or exchanged for other images"


def _grouped(file: Path, errors: Sequence[DataError]) -> Iterable[Finding]:
    """One finding for all errors of a kind: the first, with the number of all of them."""
    groups: dict[ValuePath, list[DataError]] = {}
    for error in errors:
        kind = (error.rule, *(part for part in error.path if isinstance(part, str)))
        groups.setdefault(kind, []).append(error)
    for group in groups.values():
        finding = _finding(file, group[0])
        more = f" {len(group)} entries are like that." if len(group) > 1 else ""
        yield replace(finding, message=f"{finding.message}{more}")


def _finding(file: Path, error: DataError) -> Finding:
    message = str(error).removeprefix(f"{file}: ")
    message = message if message.endswith((".", "?")) else f"{message}."
    # A rule may warn elsewhere; what is raised would end a training run.
    return replace(_of_rule(file, error.rule, error.path, message), severity=Severity.ERROR)


def _of_rule(file: Path, rule: str, path: ValuePath, message: str, fix: str = "") -> Finding:
    return Finding(Position(str(file)), RULES[rule].severity, rule, path, message, fix)
