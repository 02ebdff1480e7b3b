"""The classes of a data set or a model. Imports neither TensorFlow nor tensorpack."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Categories:
    """Names and COCO ids of the classes, in the order of their ids. Label 0 is the background."""

    names: tuple[str, ...]
    coco_ids: tuple[int, ...]

    @property
    def num_classes(self) -> int:
        """Number of classes including the background."""
        return len(self.names) + 1

    @cached_property
    def _labels(self) -> dict[int, int]:
        return {coco_id: label for label, coco_id in enumerate(self.coco_ids, start=1)}

    def label_of(self, coco_id: int) -> int:
        """Label, 1..C, of a COCO category id; KeyError for an unknown id."""
        return self._labels[coco_id]

    def id_of(self, label: int) -> int:
        """COCO category id of a label, 1..C; IndexError for any other label."""
        if not 1 <= label <= len(self.coco_ids):
            raise IndexError(f"label {label} is not one of 1..{len(self.coco_ids)}")
        return self.coco_ids[label - 1]

    def name_of(self, label: int) -> str:
        """Name of a label, 1..C; IndexError for any other label."""
        self.id_of(label)
        return self.names[label - 1]

    def to_json(self) -> dict[str, list[Any]]:
        """Names and COCO ids as written to ``categories.json``."""
        return {"names": list(self.names), "coco_ids": list(self.coco_ids)}

    @staticmethod
    def from_json(content: Any) -> "Categories":
        """The inverse of ``to_json``; ValueError for anything else."""
        if isinstance(content, Mapping):
            names, coco_ids = content.get("names"), content.get("coco_ids")
            if (
                isinstance(names, list)
                and isinstance(coco_ids, list)
                and 0 < len(names) == len(coco_ids) == len(set(coco_ids))
                and all(isinstance(name, str) for name in names)
                and all(isinstance(coco_id, int) for coco_id in coco_ids)
            ):
                return Categories(tuple(names), tuple(coco_ids))
        raise ValueError("expected a mapping with 'names' and 'coco_ids', two lists of the same length")
