"""mrc-values local up"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from mrc_cli.errors import UserError
from mrc_cli.terminal import result, say

from mrc_values.arguments import Chart, ChartVersion, Given, chart_directory, takes_values
from mrc_values.local.arguments import DEFAULT_STATE_DIRECTORY, Name, StateDirectory, open_store

if TYPE_CHECKING:
    from mrc_values.values import Values


@takes_values
def up(
    name: Name,
    given: Given,
    chart: Chart = None,
    version: ChartVersion = None,
    directory: StateDirectory = DEFAULT_STATE_DIRECTORY,
    shared_fs: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Directory for logs and checkpoints. [default: efs or fsx in --dir]"
        ),
    ] = None,
    data_fs: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Directory with the data. [default: efs or fsx in --dir]"),
    ] = None,
    ranks: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of ranks. [default: the values' GPUs, at most one for each core or GPU]"
        ),
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return at once and leave the run in the background.")
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard/--no-tensorboard", help="Start TensorBoard as well.")
    ] = True,
) -> None:
    """Train on this machine: validate, render with Helm, and run the launcher's mpirun.

    The run directory is SHARED_FS/<namespace>/<job>, as on the cluster; running `up` again resumes from its
    newest checkpoint. Ctrl-C stops every process. TensorBoard keeps running until `local down`.

    Example: mrc-values local up trial charts/maskrcnn -f values.yaml --ranks 2

    Exit code: 0 when the job finished, 1 when it failed.
    """
    from mrc_values import printed
    from mrc_values.documents import STDIN
    from mrc_values.launcher_log import last_error
    from mrc_values.local import supervise
    from mrc_values.local.down import stop
    from mrc_values.local.output import LauncherOutput
    from mrc_values.local.up import file_systems, prepare

    store = open_store(directory, name)
    chart_path = chart_directory(chart, version)
    with store.lock(name) as lock:
        loaded, rendered, count = _render(name, chart_path, given, ranks)
        mounts = file_systems(loaded, directory, shared_fs, data_fs)
        files = [store.kept_stdin(name) if file == STDIN else file for file in given.files]
        words = printed.up_words(chart_path, files, given.flags, shared_fs, data_fs, ranks, tensorboard)
        release, command = prepare(store, name, rendered, count, mounts, words, tensorboard, say)
        say(f"run directory: {release.run_dir}")
        if loaded.get("jupyter.enabled") is True:
            say(f"Jupyter: {printed.local('open', name, directory, ['jupyter'])}")
        if detach:
            supervise.detach(store, release, command, lock)
            say(
                f"running. Follow it with `{printed.local('logs', name, directory, ['-f'])}`, "
                f"stop it with `{printed.local('down', name, directory)}`."
            )
            return
        with LauncherOutput() as output:
            code = supervise.supervise(store, release, command, output.show)
        if release.stopped:
            stop(store, release)
            say(f"stopped. Resume with: {printed.local('up', name, directory, words)}")
            raise typer.Exit(code)
    if code:
        say(f"failed with exit code {code}: {last_error(output.tail) or 'no output'}")
        say(f"complete log: {release.log}")
        raise typer.Exit(1)
    say("finished.")


def _render(
    name: str, chart: Path, given: Given, ranks: int | None
) -> tuple["Values", Mapping[str, str], int]:
    """The release's values, its templates as rendered for this machine, and the number of ranks.

    Raises UserError when the values have errors.
    """
    from mrc_cli import reports
    from mrc_cli.findings import Severity

    from mrc_values import values
    from mrc_values.check import check
    from mrc_values.local.up import adapt

    loaded, unreadable = values.load(chart, given.files, given.flags)
    adapted = adapt(loaded, ranks)
    checked = check(
        chart, given.files, given.flags if unreadable else [*given.flags, *adapted.sets], release=name
    )
    errors = [finding for finding in checked.findings if finding.severity is Severity.ERROR]
    if errors:
        result(reports.text(errors))
        raise UserError(f"{chart}: {reports.summary(errors)}. Nothing was started.")
    own = {f"--set {expression}" for expression in adapted.sets}
    for finding in checked.findings:
        if finding.severity is Severity.WARNING and finding.position.file not in own:
            say(str(finding))
    say(adapted.note)
    return loaded, checked.rendered, adapted.ranks
