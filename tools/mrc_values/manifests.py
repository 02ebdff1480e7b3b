"""Kubernetes objects in rendered templates."""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml


def objects(rendered: Mapping[str, str]) -> Iterable[dict[str, Any]]:
    """The objects of rendered templates (text by path); NOTES and empty documents are skipped."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for path, text in rendered.items():
        if path.endswith((".yaml", ".yml")):
            yield from (item for item in yaml.load_all(text, Loader=loader) if isinstance(item, dict))
