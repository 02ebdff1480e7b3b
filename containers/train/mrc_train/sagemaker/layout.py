"""Where SageMaker puts files into a training container, and where it takes them from.

See "How Amazon SageMaker Provides Training Information" in SageMaker's developer guide.
"""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/opt/ml")


@dataclass(frozen=True)
class Layout:
    """The directories below ``root``, which is /opt/ml in a container."""

    root: Path = ROOT

    @property
    def configuration(self) -> Path:
        """JSON files that describe the job."""
        return self.root / "input" / "config"

    @property
    def data(self) -> Path:
        """One directory for each input channel."""
        return self.root / "input" / "data"

    @property
    def model(self) -> Path:
        """Becomes model.tar.gz."""
        return self.root / "model"

    @property
    def checkpoints(self) -> Path:
        """Kept in S3 during the job and restored when a spot job starts again; exists only if configured."""
        return self.root / "checkpoints"

    @property
    def output(self) -> Path:
        """Becomes output.tar.gz."""
        return self.root / "output" / "data"

    @property
    def failure(self) -> Path:
        """The file whose text SageMaker shows as the job's FailureReason."""
        return self.root / "output" / "failure"

    @property
    def run_directory(self) -> Path:
        """The trainer's --logdir: the checkpoints' directory if the job has one."""
        return self.checkpoints if self.checkpoints.is_dir() else self.output / "run"
