"""The tutorial, word for word: a shell runs its commands in their order, from data to detections."""

import os
import pty
import re
import shutil
import signal
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from testcluster.client import Client
from testcluster.cluster import Cluster
from trainings import STEP_TIMEOUT

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

SHORTER = " --set 'maskrcnn.lr_schedule=[300]'"
"""What the page says makes a short training of it."""

INSTEAD = {
    # The tests have a cluster, in another directory.
    "make cluster-up LEVEL=node\n": "",
    "make cluster-down\n": "",
    "-f values.yaml\nhelm test": f"-f values.yaml{SHORTER}\nhelm test",
}
"""All that is not run as it stands on the page."""

OPEN = "mrc-values open "
"""Commands that print an address and stay."""


@dataclass(frozen=True)
class Shell:
    """A user's shell in a checkout: what a block of commands exports is there in the next."""

    directory: Path

    def run(self, commands: str) -> str:
        """What they print. Fails with the first that does."""
        exports = self.directory / "exports"
        script = f"set -euo pipefail\nsource {exports}\n{commands}\nexport -p > {exports}"
        done = self._bash(script)
        output, _ = done.communicate(timeout=STEP_TIMEOUT)
        assert done.returncode == 0, f"{commands}\n{output}"
        return output

    def answer_of(self, command: str) -> str:
        """What the server says whose address a command prints on a terminal; Ctrl-C then ends the command."""
        terminal, its_end = pty.openpty()
        opened = self._bash(f"source {self.directory / 'exports'}\nexec {command}", its_end)
        os.close(its_end)
        try:
            return get(address_in(terminal))
        finally:
            opened.send_signal(signal.SIGINT)
            opened.wait(30)
            os.close(terminal)

    def _bash(self, script: str, output: int = subprocess.PIPE) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", "-c", script],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )


def address_in(terminal: int) -> str:
    """The first address that is printed."""
    printed = ""
    while not (address := re.search(r"^https?://\S+(?=\r?\n)", printed, re.MULTILINE)):
        try:
            printed += os.read(terminal, 4096).decode()
        except OSError:
            raise AssertionError(f"no address in:\n{printed}") from None
    return address[0]


def get(address: str) -> str:
    """The page, as a browser gets it that keeps cookies and trusts the release's own certificate."""
    trusting = urllib.request.HTTPSHandler(context=ssl._create_unverified_context())
    browser = urllib.request.build_opener(trusting, urllib.request.HTTPCookieProcessor())
    with browser.open(address, timeout=60) as answer:
        return str(answer.read().decode())


@pytest.fixture
def shell(node_cluster: Cluster, tmp_path: Path) -> Iterator[Shell]:
    """In a checkout whose cluster is the tests'."""
    made = [node_cluster.volumes / "efs" / name for name in ("scenes", "kubeflow/maskrcnn")]
    for directory in made:
        assert not directory.exists(), f"{directory} is there already, perhaps somebody's: remove it"
    for name in ("charts", ".venv"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".cluster").symlink_to(node_cluster.directory)
    (tmp_path / "exports").touch()
    yield Shell(tmp_path)
    releases = ("maskrcnn", "stage-scenes")
    Client(node_cluster, "default").helm("uninstall", *releases, "--ignore-not-found", "--wait")
    examples = (ROOT / "charts" / "maskrcnn" / "examples" / "data").glob("*.yaml")
    for example in examples:
        Client(node_cluster, "kubeflow").kubectl("delete", f"--filename={example}", "--ignore-not-found")
    for directory in made:
        shutil.rmtree(directory, ignore_errors=True)


def test_the_commands_of_the_tutorial_end_with_detections_of_a_model_trained_in_pods(shell: Shell) -> None:
    printed = ""
    for block in BLOCKS:
        for words, others in INSTEAD.items():
            block = block.replace(words, others)
        if block.startswith(OPEN):
            tensorboard, jupyter = (shell.answer_of(command) for command in block.splitlines())
            assert "<title>TensorBoard</title>" in tensorboard
            assert "<title>JupyterLab</title>" in jupyter
        else:
            printed += shell.run(block)
    assert "Succeeded" in printed
    assert len(re.findall(r"^stage-scenes-\d-.* Completed ", printed, re.MULTILINE)) == 4, printed
    images = list((shell.directory / "detections").glob("*-detections.png"))
    contents = re.findall(r"-detections\.png: (.*) with a score of", printed)
    assert len(contents) == len(images) > 1
    assert set(contents) != {"nothing"}
    (run,) = (shell.directory / ".cluster" / "volumes" / "efs" / "kubeflow").glob("maskrcnn/model-300.index")
    assert run.exists(), "the checkpoints stay when the release is gone"


def test_the_page_names_everything_that_is_done_differently_here() -> None:
    assert SHORTER.strip() in PAGE
    assert all(any(words in block for block in BLOCKS) for words in INSTEAD)
