"""What can be wrong with a data set: the rules that ``mrc-data check`` and a run's log share."""

from dataclasses import dataclass

from mrc_cli.errors import UserError
from mrc_cli.findings import RuleInfo, Severity, ValuePath


class DataError(UserError):
    """Data that cannot be trained on or evaluated.

    Attributes:
        rule: the id of the rule that the data breaks; path: of the entry in the annotation file.
    """

    def __init__(self, message: str, rule: str = "MRD001", path: ValuePath = ()) -> None:
        super().__init__(message)
        self.rule = rule
        self.path = path


@dataclass(frozen=True)
class Problem:
    """One kind of doubtful entries of an annotation file, which does not prevent a training run.

    path: of the first such entry; message: with counts; fix: what to do about it.
    """

    rule: str
    path: ValuePath
    message: str
    fix: str

    def __str__(self) -> str:
        return f"{self.message} {self.fix}".strip()


def raise_error(error: DataError) -> None:
    """The default way to report errors: the first one ends the reading."""
    raise error


def _rules(*rules: tuple[str, Severity, str, str, str, str]) -> dict[str, RuleInfo]:
    return {rule[0]: RuleInfo(*rule) for rule in rules}


RULES = _rules(
    (
        "MRD001",
        Severity.ERROR,
        "The annotation file is a COCO instances file",
        "The trainer reads one format: a JSON file with the lists images, annotations and categories.",
        '{"shapes": [], "imagePath": "1.jpg"}',
        '{"images": [], "annotations": [], "categories": []}',
    ),
    (
        "MRD002",
        Severity.ERROR,
        "Categories have an id of their own and a name",
        "Every object refers to a category by its id, and results are shown by its name.",
        '{"id": "1", "name": null}',
        '{"id": 1, "name": "bottle"}',
    ),
    (
        "MRD003",
        Severity.ERROR,
        "Images have an id of their own, a file name, a width and a height",
        "Objects refer to images by id, and masks are drawn at the annotated size before the image is read.",
        '{"id": 1, "file_name": "../1.jpg", "width": 0, "height": 480}',
        '{"id": 1, "file_name": "1.jpg", "width": 640, "height": 480}',
    ),
    (
        "MRD004",
        Severity.ERROR,
        "Annotations belong to an image and a category and have a box",
        "An object of an unknown image or class would be lost, and every figure later on would be wrong.",
        '{"image_id": 99, "category_id": 1, "bbox": [1, 2, 3]}',
        '{"image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 40]}',
    ),
    (
        "MRD005",
        Severity.ERROR,
        "All splits have the same categories",
        "A model is evaluated on the classes that it was trained on, so ids and names must agree.",
        "train2017: 1 bottle, 2 can; val2017: 1 can, 2 bottle",
        "train2017: 1 bottle, 2 can; val2017: 1 bottle, 2 can",
    ),
    (
        "MRD006",
        Severity.ERROR,
        "A split has objects that can be used",
        "Without a single object there is nothing to learn, and nothing to measure.",
        "every object has a box outside its image",
        "at least one object has a box and a mask inside its image",
    ),
    (
        "MRD007",
        Severity.ERROR,
        "A data set has annotations/instances_<split>.json and a directory <split> with images",
        "The trainer finds files by these names. `mrc-data convert` makes this layout.",
        "data/_annotations.coco.json, data/1.jpg",
        "data/annotations/instances_train2017.json, data/train2017/1.jpg",
    ),
    (
        "MRD010",
        Severity.ERROR,
        "Every image in the annotation file exists",
        "A training run that finds a file missing in its ninth hour is lost, so it does not start.",
        '"file_name": "1.jpg", where train2017/ has 1.png',
        '"file_name": "1.png"',
    ),
    (
        "MRD011",
        Severity.INFO,
        "File names are relative to the directory of the split",
        "Names with backslashes, URL escapes or the split's directory in front are understood, if they then "
        "name a file. Other programs may not understand them.",
        '"file_name": "train2017\\\\1.jpg"',
        '"file_name": "1.jpg"',
    ),
    (
        "MRD012",
        Severity.WARNING,
        "Every image can be decoded",
        "Truncated files and files of other formats are left out of training, and count as missed in "
        "evaluation.",
        "1.jpg is a text file",
        "1.jpg is a JPEG file",
    ),
    (
        "MRD013",
        Severity.WARNING,
        "Images have the annotated width and height",
        "Boxes and masks are in pixels of the annotated size. On an image that was resized or rotated later "
        "they would mark the wrong pixels, so such images are left out.",
        '"width": 640, "height": 480, and a file of 1280 x 960 pixels',
        '"width": 1280, "height": 960, and a file of 1280 x 960 pixels',
    ),
    (
        "MRD020",
        Severity.WARNING,
        "Boxes have an area inside their image",
        "An object without visible pixels can be neither learned nor found. It is left out.",
        '"bbox": [700, 10, 50, 50] in an image of 640 x 480 pixels',
        '"bbox": [580, 10, 50, 50]',
    ),
    (
        "MRD021",
        Severity.WARNING,
        "Objects have a segmentation",
        "Masks are learned from polygons or run lengths. An object without is left out, unless "
        "MODE_MASK=False trains on boxes alone.",
        '"segmentation": []',
        '"segmentation": [[10, 10, 60, 10, 60, 60, 10, 60]]',
    ),
    (
        "MRD022",
        Severity.WARNING,
        "A box is the box around its mask",
        "Boxes are [x, y, width, height] in pixels. Where box and mask differ, one of them is wrong, and the "
        "model learns from both.",
        '"bbox": [10, 10, 60, 60], "segmentation": [[10, 10, 60, 10, 60, 60, 10, 60]]',
        '"bbox": [10, 10, 50, 50], "segmentation": [[10, 10, 60, 10, 60, 60, 10, 60]]',
    ),
    (
        "MRD023",
        Severity.WARNING,
        "Boxes stay inside their image",
        "Boxes are clipped to the image. When many reach out of it, they belong to another size, another "
        "orientation or another format.",
        '"bbox": [600, 10, 200, 50] in an image of 640 x 480 pixels',
        '"bbox": [440, 10, 200, 50]',
    ),
    (
        "MRD024",
        Severity.WARNING,
        "Boxes are in pixels",
        "Objects of less than two pixels cannot be learned. All of them that small usually means coordinates "
        "from 0 to 1, as YOLO writes them.",
        '"bbox": [0.1, 0.2, 0.5, 0.4]',
        '"bbox": [64, 96, 320, 192]',
    ),
    (
        "MRD025",
        Severity.INFO,
        "iscrowd is 0 or 1",
        "Crowds are not trained on and not counted as missed. Other types are understood here, but not by "
        "all programs.",
        '"iscrowd": null',
        '"iscrowd": 0',
    ),
    (
        "MRD026",
        Severity.WARNING,
        "Every category has objects",
        "Nothing can be learned about a class without objects, and its AP is not defined.",
        "category 0 Objects is used by no annotation",
        "all categories are used",
    ),
    (
        "MRD027",
        Severity.WARNING,
        "Categories have different names",
        "Two classes of one name are learned separately and cannot be told apart by name.",
        '{"id": 1, "name": "can"}, {"id": 2, "name": "can"}',
        '{"id": 1, "name": "can"}, {"id": 2, "name": "lid"}',
    ),
)
