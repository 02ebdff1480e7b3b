"""``train``: what SageMaker runs in the training image.

It trains with the job's hyperparameters on the data of the channel ``train``, and leaves the exported model
in /opt/ml/model. The exit code is the trainer's; the reason for a failure is in /opt/ml/output/failure.
"""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from mrc_cli.arguments import ArgumentParser
from mrc_cli.errors import UserError
from mrc_cli.terminal import say

from mrc_train.run_directory import newest_checkpoint
from mrc_train.sagemaker import failure, hosts, hyperparameters, job, programs
from mrc_train.sagemaker.hyperparameters import Arguments
from mrc_train.sagemaker.job import Job
from mrc_train.sagemaker.layout import ROOT, Layout
from mrc_train.sagemaker.programs import Ended
from mrc_train.sagemaker.stop import STOPPED_CODES, StopSignal

ROOT_VARIABLE = "MRC_SAGEMAKER_ROOT"


def parser() -> ArgumentParser:
    """The command line."""
    out = ArgumentParser(
        prog="train",
        description="Train as SageMaker does: settings of hyperparameters.json, data of the channel train.",
        epilog="Run it here with: mrc-sagemaker local train, or docker run -v $PWD/ml:/opt/ml IMAGE train",
    )
    out.add_argument(
        "--root",
        type=Path,
        default=Path(os.environ.get(ROOT_VARIABLE, ROOT)),
        help=f"directory that SageMaker calls /opt/ml (or the variable {ROOT_VARIABLE})",
    )
    return out


def main(argv: Sequence[str] | None = None) -> None:
    """Console entry of ``train``."""
    layout = Layout(parser().parse_args(argv).root.resolve())
    stop = StopSignal()
    stop.listen()
    failure.reserve(layout.failure)
    try:
        ended = _run(layout, stop)
    except UserError as error:
        ended = Ended(error.exit_code, f"train: error: {error}")
        say(ended.reason)
    if ended.code:
        failure.write(layout.failure, ended.reason)
    else:
        failure.release(layout.failure)
    sys.stdout.flush()
    sys.exit(ended.code)


def _run(layout: Layout, stop: StopSignal) -> Ended:
    this = job.read(layout)
    arguments = hyperparameters.arguments(this.hyperparameters)
    layout.failure.unlink(missing_ok=True)
    if len(this.hosts) == 1:
        return train(this, arguments, stop, "")
    if not arguments.token:
        raise UserError(
            f"a job on {len(this.hosts)} hosts needs the hyperparameter {hyperparameters.TOKEN}: random text "
            "with which its hosts recognize each other"
        )
    if this.host != this.first:
        return hosts.follow(this, arguments.token, stop)
    return hosts.lead(this, arguments.token, stop, lambda ssh: train(this, arguments, stop, ssh))


def train(this: Job, arguments: Arguments, stop: StopSignal, ssh: str) -> Ended:
    """Train on all hosts from this one, and export the model. A run that was stopped has succeeded."""
    layout = this.layout
    layout.run_directory.mkdir(parents=True, exist_ok=True)
    ranks = arguments.ranks_per_host or programs.gpu_count() or 1
    command = programs.command(this, arguments, ranks, ssh)
    count = ranks * len(this.hosts)
    say(f"train: {count} ranks on {', '.join(this.hosts)}; run directory {layout.run_directory}")
    ended = programs.run(command, programs.environment(arguments), stop)
    if stop.requested and ended.code in STOPPED_CODES:
        say("train: stopped")
    elif ended.code:
        return ended
    if newest_checkpoint(layout.run_directory) is None:
        return Ended(0, "")
    return export(layout)


def export(layout: Layout) -> Ended:
    """Put what serving reads into /opt/ml/model."""
    target = layout.model / ".export"
    layout.model.mkdir(parents=True, exist_ok=True)
    for left in layout.model.iterdir():
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    command = [programs.BIN / "mrc-predict", "--load", layout.run_directory, "--export", target]
    # Not stopped by SIGTERM: the model is what a stopped job leaves behind.
    ended = programs.run(list(map(str, command)), os.environ, StopSignal())
    if ended.code == 0:
        for entry in target.iterdir():
            entry.rename(layout.model / entry.name)
        target.rmdir()
        say(f"train: model in {layout.model}")
    return ended


if __name__ == "__main__":
    main()
