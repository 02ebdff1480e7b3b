"""Terraform at work on the stand-in for AWS."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
TIMEOUT = 300

# One retry each: with the default of 25, a call that the stand-in lacks would take minutes to fail.
OVERRIDE = """\
provider "aws" {
  max_retries       = 2
  s3_use_path_style = true
}
"""


class Root:
    """A root of terraform/ in a copy of the repository, with its variables and its state.

    Attributes:
        directory: where the root is.
    """

    def __init__(self, copy: Path, name: str, environment: Mapping[str, str], **variables: Any) -> None:
        self.directory = copy / "terraform" / name
        self._environment = {"CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull, **environment}
        (self.directory / "stand_in_override.tf").write_text(OVERRIDE)
        (self.directory / "terraform.tfvars.json").write_text(json.dumps(variables))
        initialize(self.directory, self._environment)

    def apply(self) -> None:
        self._terraform("apply", "-auto-approve", "-no-color")

    def destroy(self) -> None:
        self._terraform("destroy", "-auto-approve", "-no-color", "-refresh=false")

    def forget(self, address: str) -> None:
        """Leave a resource out of the state, and so out of destroy."""
        self._terraform("state", "rm", address)

    def planned(self, *arguments: str) -> dict[str, Any]:
        """The plan as JSON."""
        self._terraform("plan", "-out=plan", *arguments)
        plan: dict[str, Any] = json.loads(self._terraform("show", "-json", "plan"))
        return plan

    def outputs(self) -> dict[str, Any]:
        """Values of the outputs by name."""
        outputs = json.loads(self._terraform("output", "-json"))
        return {name: output["value"] for name, output in outputs.items()}

    def graph(self) -> str:
        """Resources and what each needs, in DOT."""
        return self._terraform("graph")

    def resources(self) -> list[str]:
        """Addresses in the state."""
        return self._terraform("state", "list").split()

    def _terraform(self, command: str, *arguments: str) -> str:
        return terraform(self.directory, self._environment, command, *arguments)


def copied(directory: Path) -> Path:
    """Copy what Terraform reads to a directory, so that a test leaves nothing in the checkout."""
    ignored = shutil.ignore_patterns(".terraform*", "*.tfstate*")
    shutil.copytree(REPOSITORY / "terraform", directory / "terraform", ignore=ignored)
    shutil.copytree(REPOSITORY / "charts" / "common" / "files", directory / "charts" / "common" / "files")
    return directory


def initialize(directory: Path, environment: Mapping[str, str]) -> None:
    """terraform init, from the mirror of providers in TF_PLUGIN_DIR if it is set."""
    mirror = os.environ.get("TF_PLUGIN_DIR")
    terraform(
        directory, environment, "init", "-backend=false", *([f"-plugin-dir={mirror}"] if mirror else [])
    )


def terraform(directory: Path, environment: Mapping[str, str], command: str, *arguments: str) -> str:
    """Standard output of a command of Terraform; fails with all of its output."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(
        ["terraform", command, *arguments],
        cwd=directory,
        env=clean | dict(environment),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return done.stdout
