"""Values files with the references of pushed images, for ``mrc-values install -f``."""

from pathlib import Path
from typing import Any

import yaml
from mrc_cli.errors import UserError
from mrc_cli.files import write_atomically


def write(file: Path, value: str, reference: str) -> None:
    """Set a dotted value in the file, and keep the others. Raises UserError."""
    values = _read(file)
    *sections, last = value.split(".")
    section = values
    for name in sections:
        section = section.setdefault(name, {})
    section[last] = reference
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, "# Written by mrc-images push.\n" + yaml.safe_dump(values, width=1000))


def _read(file: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(file.read_text())
    except FileNotFoundError:
        return {}
    except (yaml.YAMLError, UnicodeDecodeError):
        values = None
    if not isinstance(values, dict):
        raise UserError(f"{file}: is not a values file. Remove it, and push again.")
    return values
