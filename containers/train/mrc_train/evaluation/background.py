"""Scoring in a separate process while training continues: COCO's metrics keep a core busy for minutes."""

import json
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mrc_train.evaluation.coco_metrics import evaluate


@dataclass(frozen=True)
class Job:
    """Detections to score: those of ``split`` after ``step`` training steps, in the file ``results``."""

    step: int
    split: str
    annotation_file: Path
    results: Path
    masks: bool

    def command(self) -> list[str]:
        """The command line of the process, which prints the metrics as JSON."""
        arguments = [str(self.annotation_file), str(self.results), *(["masks"] if self.masks else [])]
        return [sys.executable, "-m", "mrc_train.evaluation.background", *arguments]


class ScoringError(RuntimeError):
    """The scoring process ended without metrics; the message ends with the last line of its stderr."""


class BackgroundScorer:
    """Scores submitted jobs one after another."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._process: subprocess.Popen[str] | None = None

    def submit(self, job: Job) -> None:
        """Start a job, or queue it behind those submitted before."""
        self._jobs.append(job)
        self._start()

    def finished(self, wait: bool = False) -> Iterator[tuple[Job, dict[str, float] | ScoringError]]:
        """Jobs finished since the last call, with metrics or error; with ``wait``, all jobs."""
        while self._process is not None and (wait or self._process.poll() is not None):
            out, err = self._process.communicate()
            job, code = self._jobs.popleft(), self._process.returncode
            self._process = None
            self._start()
            if code:
                reason = err.strip().splitlines()[-1] if err.strip() else f"exit code {code}"
                yield job, ScoringError(f"{job.results}: could not be scored: {reason}")
            else:
                yield job, json.loads(out)

    def close(self) -> None:
        """Kill the process and drop all unfinished jobs."""
        self._jobs.clear()
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _start(self) -> None:
        if self._jobs and self._process is None:
            self._process = subprocess.Popen(  # noqa: S603 (this module)
                self._jobs[0].command(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )


def main() -> None:
    """Print the metrics of a results file."""
    annotation_file, results, *masks = sys.argv[1:]
    detections = json.loads(Path(results).read_text())
    print(json.dumps(evaluate(Path(annotation_file), detections, masks=bool(masks))))


if __name__ == "__main__":
    main()
