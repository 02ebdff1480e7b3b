"""``make demo``: the product at work on this machine, from data to a tested model.

Every command of the product is shown before it runs; each can be typed by hand.
"""

import argparse
import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import psutil
from mrc_cli.errors import UserError
from mrc_train.config import known_keys, parse
from mrc_train.errors import RunDirectoryError
from mrc_values.check import check
from mrc_values.local import launch, up
from mrc_viz.runs import find_runs, read_settings

BIN = Path(sys.executable).parent
ROOT = Path(os.path.relpath(Path(__file__).resolve().parents[1]))
CHART = ROOT / "charts" / "maskrcnn"
NOTEBOOK = ROOT / "container-viz" / "notebooks" / "test-model.ipynb"

MAY_CHANGE = re.compile(r"TRAINER$|TRAIN\.|TEST\.|DATA\.NUM_WORKERS$")
"""Settings with which a run still goes on from its checkpoint."""

LAYOUT = "train2017/, val2017/ and annotations/ with instances_train2017.json and instances_val2017.json"
PATIENCE = 30.0


class Stopped(Exception):
    """The demo cannot go on: one line, and the exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class Memory(threading.Thread):
    """Watches the memory that all processes of the demo have together; ``peak`` is in bytes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0

    def run(self) -> None:
        """Looks every two seconds, as long as the demo runs."""
        while True:
            total = 0
            for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    total += process.memory_info().rss
            self.peak = max(self.peak, total)
            time.sleep(2)


@contextlib.contextmanager
def stage(title: str) -> Iterator[None]:
    """A heading, and how long what is under it took."""
    print(f"\n== {title}", flush=True)
    began = time.monotonic()
    yield
    print(f"   {time.monotonic() - began:.0f} s", flush=True)


def start(*command: object, quiet: bool = False, **environment: str) -> subprocess.Popen[str]:
    """Shows a command and starts it; ``quiet``: its output is kept for ``finish``."""
    program, *arguments = map(str, command)
    variables = [f"{name}={value}" for name, value in environment.items()]
    print(f"$ {shlex.join([*variables, program, *arguments])}", flush=True)
    return subprocess.Popen(  # noqa: S603
        [str(BIN / program), *arguments],
        env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
        text=True,
        start_new_session=True,  # a Ctrl-C reaches it once, through end_children
    )


def finish(process: subprocess.Popen[str]) -> None:
    """Waits for a command. Raises Stopped when it failed, with its last words if it was quiet."""
    output, _ = process.communicate()
    if process.returncode:
        words = (output or "").strip().rpartition("\n")[2]
        raise Stopped(f"this command failed: {shlex.join(process.args)}. {words}".strip(), process.returncode)  # type: ignore[arg-type]


def run(*command: object) -> None:
    """Shows a command and runs it to its end."""
    finish(start(*command))


def end_children() -> None:
    """Passes a Ctrl-C on to what runs, and ends whatever does not follow."""
    everything = psutil.Process().children(recursive=True)
    direct = psutil.Process().children()
    try:
        for child in direct:
            with contextlib.suppress(psutil.Error):
                child.send_signal(signal.SIGINT)
        psutil.wait_procs(direct, timeout=PATIENCE)
    finally:
        for process in everything:
            with contextlib.suppress(psutil.Error):
                process.kill()


class Release:
    """The release that the demo runs: of drawn scenes, or of the user's pictures.

    Args:
        folder: of data, runs and the state of local mode.
        data: pictures in COCO layout; None: drawn scenes in ``folder``.
    """

    def __init__(self, folder: Path, data: Path | None) -> None:
        self.name = "photos" if data else "demo"
        self.folder = folder
        self.data_fs = data.parent if data else None
        self.example = CHART / "examples" / ("photos.yaml" if data else "drawn-scenes.yaml")
        self.sets = [f"maskrcnn.data_dir={data.name}"] if data else []
        self.values = ["-f", self.example, *(word for text in self.sets for word in ("--set", text))]

    def local(self, verb: str, *more: object) -> list[str]:
        """``mrc-values local VERB`` for this release."""
        return ["mrc-values", "local", verb, self.name, *map(str, more), "--dir", str(self.folder)]

    def up(self) -> None:
        """Trains, or goes on."""
        run(*self.local("up", CHART, *self.values, *(["--data-fs", self.data_fs] if self.data_fs else [])))

    def status(self) -> dict[str, Any]:
        """What ``mrc-values local status`` tells; nothing before the first start."""
        program, *arguments = self.local("status", "--format", "json")
        done = subprocess.run([BIN / program, *arguments], capture_output=True, text=True)  # noqa: S603
        return dict(json.loads(done.stdout)[0]) if done.returncode == 0 else {}

    def down(self) -> None:
        """Stops TensorBoard, but not that of a release that another demo runs."""
        status = self.status()
        if status.get("tensorboard") and status["state"] != "running":
            run(*self.local("down"))

    def plan(self) -> tuple[Path, list[str]]:
        """The folder of the run, and its settings as KEY=VALUE texts."""
        found = check(CHART, [self.example], self.sets, release=self.name)
        mounts = up.file_systems(found.values, self.folder, None, self.data_fs)
        launcher = launch.launcher_of(found.rendered)
        words = launch.command_line(launcher, launch.environment(launcher, mounts))
        folder = Path(os.path.relpath(launch.run_dir(launcher, mounts["SHARED_FS"])))
        return folder, words[words.index("--config") + 1 :]


def check_unchanged(folder: Path, settings: list[str]) -> None:
    """Raises Stopped when the run has checkpoints of other data or of another model."""
    try:
        find_runs(folder)
    except RunDirectoryError:
        return
    before, now = read_settings(folder), parse(settings)
    for key in known_keys():
        old, new = (reduce(getattr, key.split("."), cfg) for cfg in (before, now))
        if old != new and not MAY_CHANGE.match(key):
            raise Stopped(f"{folder} was trained with {key}={old}, which is now {new}. Start with CLEAN=1.")


def demo(folder: Path, data: Path | None, clean: bool) -> None:
    """All stages. Raises Stopped at the first that fails."""
    began, memory = time.monotonic(), Memory()
    memory.start()
    release = Release(folder, data)
    if data is None:
        with stage("Draw scenes"):
            run("mrc-scenes", folder / "efs" / "scenes")
    with stage("Check the values"):
        run("mrc-values", "validate", CHART, *release.values)
    run_folder, settings = release.plan()
    if clean and run_folder.exists():
        with stage("Remove the earlier run"):
            if release.status():
                run(*release.local("down"))
            print(f"removing {run_folder}")
            shutil.rmtree(run_folder)
    check_unchanged(run_folder, settings)
    report = run_folder / "report"
    try:
        with stage("Train"):
            release.up()
        with stage("Test the model"):  # notebook and report at once: each loads TensorFlow and the model
            arguments = ("nbconvert", "--to", "html", "--execute", "--output-dir", report, NOTEBOOK)
            page = start("jupyter", *arguments, quiet=True, MRC_RUNS=str(run_folder.resolve()))
            run("mrc-report", run_folder)
            finish(page)
    except BaseException:
        end_children()
        release.down()
        raise
    seconds = time.monotonic() - began
    board = release.status()["tensorboard"]
    print("\n== Look at it")
    for name, where in (
        *(("Picture", path) for path in sorted(report.glob("*.png"))),
        ("Notebook", report / f"{NOTEBOOK.stem}.html"),
        ("TensorBoard", board),
        ("JupyterLab", f"{BIN}/{shlex.join(release.local('open', 'jupyter'))}"),
        ("Stop", f"{BIN}/{shlex.join(release.local('down'))}"),
    ):
        print(f"{name:<12} {where}")
    print(f"\n{seconds // 60:.0f} min {seconds % 60:.0f} s, {memory.peak / 2**30:.1f} GiB of memory at most")


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="The product at work on this machine.")
    parser.add_argument("--folder", type=Path, required=True, help="where data and runs are kept")
    parser.add_argument("--data", type=Path, help="pictures in COCO layout, in place of drawn scenes")
    parser.add_argument("--clean", action="store_true", help="remove the earlier run and train anew")
    arguments = parser.parse_args()
    data = arguments.data.resolve() if arguments.data else None
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if data and not (data / "annotations").is_dir():
            raise Stopped(f"{data} has no annotations/; it needs {LAYOUT}.", 2)
        demo(arguments.folder, data, arguments.clean)
    except (Stopped, RunDirectoryError, UserError) as stop:
        print(f"demo: {stop}", file=sys.stderr)
        return stop.code if isinstance(stop, Stopped) else 1
    except KeyboardInterrupt:
        end_children()
        print("demo: interrupted; the next one goes on from the last checkpoint", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


if __name__ == "__main__":
    sys.exit(main())
