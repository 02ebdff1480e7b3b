"""The tag of a build, from git."""

import re
import subprocess
from pathlib import Path

from mrc_cli.errors import UserError

MARK = Path("containers/train/Dockerfile")
"""What tells a checkout of this repository."""


def checkout() -> Path:
    """The root of the checkout that the working directory is in. Raises UserError."""
    here = Path.cwd()
    for directory in (here, *here.parents):
        if (directory / MARK).is_file():
            return directory
    raise UserError(f"{here}: is not in a checkout of this repository. Change into one.")


def tag(root: Path, force: bool = False) -> str:
    """``git describe`` of the checkout, such as ``v0.1.0-3-g1a2b3c4``.

    An image has to be found again from its tag. So a checkout with changes is rejected unless ``force`` is
    set; its tag then ends with ``-dirty``.

    Raises:
        UserError: when there are changes, or git fails.
    """
    changes = _git(root, "status", "--porcelain").splitlines()
    if changes and not force:
        more = f" and {len(changes) - 1} more" if len(changes) > 1 else ""
        raise UserError(
            f"{root}: has changes that are not committed ({changes[0][3:]}{more}), so no tag would name "
            "what is in the image. Commit them, or use --force."
        )
    described = _git(root, "describe", "--tags", "--always", "--abbrev=12").strip()
    # A git tag may contain characters that are not allowed in an image's.
    return re.sub(r"[^\w.-]", "-", described) + ("-dirty" if changes else "")


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
    except FileNotFoundError:
        raise UserError("git: not found. Install it: the images are tagged with git describe.") from None
    if done.returncode:
        raise UserError(f"git {arguments[0]}: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout
