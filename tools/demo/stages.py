"""The demo, stage by stage."""

import contextlib
import shlex
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from mrc_cli.terminal import result

from demo.processes import BIN, PeakMemory, end_children, finish, run, start
from demo.release import CHART, ROOT, Release, check_unchanged

NOTEBOOK = ROOT / "container-viz" / "notebooks" / "test-model.ipynb"


def run_all(directory: Path, data: Path | None, clean: bool) -> None:
    """Run all stages.

    Args:
        directory: for data, runs and the state of local mode.
        data: images in COCO layout; None for drawn scenes.
        clean: delete the earlier run first.

    Raises:
        UserError: at the first stage that fails.
    """
    began, memory = time.monotonic(), PeakMemory()
    memory.start()
    release = Release(directory, data)
    if data is None:
        with stage("Draw scenes"):
            run("mrc-scenes", directory / "efs" / "scenes")
    with stage("Check the values"):
        run("mrc-values", "validate", CHART, *release.values)
    run_directory, settings = release.run_directory_and_settings()
    if clean and run_directory.exists():
        with stage("Delete the earlier run"):
            if release.status():
                run(*release.local("down"))
            result(f"deleting {run_directory}")
            shutil.rmtree(run_directory)
    check_unchanged(run_directory, settings)
    report = run_directory / "report"
    try:
        with stage("Train"):
            release.up()
        with stage("Test the model"):
            # At the same time, because each of them loads TensorFlow and the model.
            arguments = ("nbconvert", "--to", "html", "--execute", "--output-dir", report, NOTEBOOK)
            page = start("jupyter", *arguments, quiet=True, MRC_RUNS=str(run_directory.resolve()))
            run("mrc-report", run_directory)
            finish(page)
    except BaseException:
        end_children()
        release.down()
        raise
    seconds = time.monotonic() - began
    _print_results(release, report)
    result(f"\n{seconds // 60:.0f} min {seconds % 60:.0f} s, peak memory {memory.peak / 2**30:.1f} GiB")


@contextlib.contextmanager
def stage(title: str) -> Iterator[None]:
    """Print a heading before the block, and how long the block took after it."""
    result(f"\n== {title}")
    began = time.monotonic()
    yield
    result(f"   {time.monotonic() - began:.0f} s")


def _print_results(release: Release, report: Path) -> None:
    result("\n== Results")
    for name, location in (
        *(("Image", path) for path in sorted(report.glob("*.png"))),
        ("Notebook", report / f"{NOTEBOOK.stem}.html"),
        ("TensorBoard", release.status()["tensorboard"]),
        ("JupyterLab", f"{BIN}/{shlex.join(release.local('open', 'jupyter'))}"),
        ("Stop", f"{BIN}/{shlex.join(release.local('down'))}"),
    ):
        result(f"{name:<12} {location}")
