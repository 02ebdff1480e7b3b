"""Durations of the epochs of a run, from the log in its directory."""

import re
from pathlib import Path

_FINISHED = re.compile(r"Epoch \d+ \(global_step \d+\) finished, time:(?:(\d+) minutes? )?([\d.]+) seconds?")


def epoch_seconds(logdir: Path) -> list[float]:
    """Seconds of the steps of each epoch, as tensorpack logs them, without evaluations and checkpoints."""
    log = (logdir / "log.log").read_text()
    return [60 * int(minutes or 0) + float(seconds) for minutes, seconds in _FINISHED.findall(log)]
