"""The table of runs, the same on this machine and in a cluster."""

from collections.abc import Mapping

from mrc_cli.terminal import clock
from mrc_train.run_directory import headline
from mrc_train.run_lines import Progress

STALL_SECONDS = 300
"""A running run without a step for this long is worth a warning; steps are reported every few seconds."""

HEADER = ("run", "state", "ranks", "step", "epoch", "loss", "images/s", "ETA", "checkpoint", "evaluation")


def cells(
    name: str,
    state: str,
    ranks: str,
    progress: Progress | None,
    checkpoint: str,
    metrics: Mapping[str, float],
    *,
    running: bool,
) -> tuple[str, ...]:
    """A row of the table; unknown cells are empty, and only a running run has an ETA."""
    evaluation = "  ".join(f"{title} {value:.3f}" for title, value in headline(metrics).items())
    return (name, state, ranks, *_progress_cells(progress, running), checkpoint, evaluation)


def _progress_cells(progress: Progress | None, running: bool) -> tuple[str, ...]:
    """Step, epoch, loss, images/s and ETA."""
    if progress is None:
        return ("", "", "", "", "")
    return (
        f"{progress.step}/{progress.steps}",
        f"{progress.epoch}/{progress.epochs}",
        "" if progress.loss is None else f"{progress.loss:.4f}",
        "" if progress.images_per_second is None else f"{progress.images_per_second:.1f}",
        "" if progress.eta_seconds is None or not running else clock(progress.eta_seconds),
    )


def stall_warning(seconds_since_step: float | None) -> str:
    """A warning for a running run whose last step is long ago, otherwise empty."""
    if seconds_since_step is None or seconds_since_step < STALL_SECONDS:
        return ""
    return (
        f"no step for {seconds_since_step / 60:.0f} min. An evaluation can take that long; otherwise a rank "
        "hangs or reads from a file system that does not respond."
    )
