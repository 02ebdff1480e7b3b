"""mrc-values local: run a release on this machine"""

import json
import shlex
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from mrc_cli.errors import UsageError, UserError

from mrc_values.commands.arguments import Chart, Sets, ValuesFiles, chart_folder
from mrc_values.commands.validate import Format

if TYPE_CHECKING:
    from mrc_values.local.state import Store

app = typer.Typer(
    help="Run the release that Helm renders as processes of this machine, without a cluster.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the release.")]
Dir = Annotated[Path, typer.Option("--dir", metavar="DIR", help="Where local mode keeps its state.")]
STATE = Path(".mrc")


@app.command()
def up(
    name: Name,
    chart: Chart = None,
    values: ValuesFiles = None,
    sets: Sets = None,
    dir: Dir = STATE,
    shared_fs: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of logs and checkpoints. [default: DIR/efs or DIR/fsx]"),
    ] = None,
    data_fs: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the data. [default: DIR/efs or DIR/fsx]")
    ] = None,
    ranks: Annotated[
        int | None, typer.Option(min=1, help="Ranks. [default: the values' GPUs, at most one a core or GPU]")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return at once and leave it running.")] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard/--no-tensorboard", help="Start TensorBoard too.")
    ] = True,
) -> None:
    """Train here: validate, render with Helm, run the launcher's mpirun.

    The run's folder is SHARED_FS/<namespace>/<job>, as on the cluster; another `up` resumes from its
    newest checkpoint. Ctrl-C stops every process. TensorBoard stays until `local down`.

    Example: mrc-values local up trial charts/maskrcnn -f values.yaml --ranks 2

    Exit code: 0 when the job finished, 1 when it failed.
    """
    from mrc_values.local import supervise
    from mrc_values.local.progress import last_error
    from mrc_values.local.up import down as stop
    from mrc_values.local.up import folders, prepare

    store = _store(dir, name)
    with store.lock(name) as lock:
        loaded, rendered, count = _rendered(name, chart_folder(chart), values or [], sets or [], ranks)
        mounts = folders(loaded, dir, shared_fs, data_fs)
        release, plan = prepare(store, name, chart_folder(chart), rendered, count, mounts, tensorboard, _say)
        _say(f"run folder: {release.run_folder}")
        if loaded.get("jupyter.enabled") is True:
            _say(f"Jupyter: mrc-values local open {name} jupyter{_dir(dir)}")
        if detach:
            supervise.detach(store, release, plan, lock)
            _say(f"running. Watch: mrc-values local logs {name} -f. Stop: mrc-values local down {name}.")
            return
        with _Screen() as screen:
            code = supervise.supervise(store, release, plan, screen.show)
        if release.stopped:
            stop(store, release)
            _say(f"stopped. `mrc-values local up {name}` resumes.")
            raise typer.Exit(code)
    if code:
        _say(f"failed with exit code {code}: {last_error(screen.tail) or 'no output'}")
        _say(f"the whole log: {release.log}")
        raise typer.Exit(1)
    _say("finished.")


@app.command()
def status(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Name of the release. Default: all.")
    ] = None,
    dir: Dir = STATE,
    format: Annotated[Format, typer.Option(help="json: a list of objects, for programs.")] = Format.TEXT,
) -> None:
    """Show how far local runs are.

    Example: mrc-values local status trial --format json
    """
    from mrc_values.local.status import status_of

    store = _store(dir, name)
    found = [status_of(store.get(each)) for each in ([name] if name else store.names())]
    if format is Format.JSON:
        typer.echo(json.dumps([asdict(each) for each in found], indent=2))
        return
    if not found:
        _say(f"no local releases in {dir}. Start one with `mrc-values local up NAME`.")
        return
    from mrc_cli.terminal import table

    from mrc_values.runs import HEADER

    table(HEADER, [each.cells() for each in found])
    for each in found:
        typer.echo(f"{each.name}: {each.run_folder}" + (f"  {each.tensorboard}" if each.tensorboard else ""))


@app.command()
def logs(
    name: Name,
    dir: Dir = STATE,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until the run ends.")] = False,
) -> None:
    """Print what the launcher and its ranks printed, over all starts of the run.

    Example: mrc-values local logs trial -f
    """
    from mrc_values.local.status import log_lines

    for line in log_lines(_store(dir, name), name, follow):
        typer.echo(line)


@app.command("open")
def open_(
    name: Name,
    what: Annotated[str, typer.Argument(metavar="SERVER", help="jupyter or tensorboard.")],
    dir: Dir = STATE,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port for Jupyter. [default: from 8888 on, a free one]")
    ] = 0,
) -> None:
    """Show where TensorBoard is, or run Jupyter with the test notebook until Ctrl-C.

    Both listen on 127.0.0.1 only. Jupyter's token is shown on a terminal only; it asks for it.

    Example: mrc-values local open trial jupyter
    """
    from mrc_values.local import board, lab
    from mrc_values.local.up import programs_folder

    if what not in ("jupyter", "tensorboard"):
        raise UsageError(f"{what}: there is no such server. Give jupyter or tensorboard.")
    store = _store(dir, name)
    release = store.get(name)
    if what == "tensorboard":
        if not board.start(release, programs_folder(), store.file(name, ".tensorboard.log")):
            raise UserError("no TensorBoard: the program is not in this environment (extra viz).")
        store.save(release)
        typer.echo(release.tensorboard_address)
        return
    log = store.file(name, ".jupyter.log")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both end it in the same way
    try:
        with lab.running(release, programs_folder(), port or board.free_port(8888), log) as jupyter:
            secret = f"?token={jupyter.token}" if sys.stdout.isatty() else ""
            typer.echo(f"{jupyter.address}{secret}")
            _say(f"notebooks: {lab.notebooks_folder(release)}. Ctrl-C ends Jupyter.")
            jupyter.process.wait()
            raise UserError(f"Jupyter ended. What it says: {log}")
    except KeyboardInterrupt:
        _say("closed.")


@app.command()
def down(name: Name, dir: Dir = STATE) -> None:
    """Stop every process of a release; its folder stays.

    Example: mrc-values local down trial
    """
    from mrc_values.local.up import down as stop

    store = _store(dir, name)
    release = store.get(name)
    _say("stopped." if stop(store, release) else "nothing was running.")
    _say(f"stays: {release.run_folder}. `mrc-values local up {name}` resumes from it.")


def _dir(folder: Path) -> str:
    return "" if folder == STATE else f" --dir {shlex.quote(str(folder))}"


def _store(dir: Path, name: str | None) -> "Store":
    """The state folder; names are those that Helm takes."""
    from mrc_values import helm
    from mrc_values.local.state import Store

    if name is not None:
        try:
            helm.check_release_name(name)
        except helm.ValuesError as error:
            raise UsageError(f"{name}: {error}.") from None
    return Store(dir)


def _rendered(
    name: str, folder: Path, files: list[Path], sets: list[str], ranks: int | None
) -> tuple[Any, Mapping[str, str], int]:
    """The release's values and templates as they run here; findings end the command."""
    from mrc_cli import reports
    from mrc_cli.findings import Severity

    from mrc_values import values
    from mrc_values.check import check
    from mrc_values.local.up import fit

    loaded, unreadable = values.load(folder, files, sets)
    fitted = fit(loaded, ranks)
    result = check(folder, files, sets if unreadable else [*sets, *fitted.sets], release=name)
    errors = [finding for finding in result.findings if finding.severity is Severity.ERROR]
    if errors:
        typer.echo(reports.text(errors))
        raise UserError(f"{folder}: {reports.summary(errors)}. Nothing was started.")
    own = {f"--set {expression}" for expression in fitted.sets}
    for finding in result.findings:
        if finding.severity is Severity.WARNING and finding.position.file not in own:
            _say(str(finding))
    _say(fitted.note)
    return loaded, result.rendered, fitted.ranks


def _say(text: str) -> None:
    typer.echo(text, err=True)


class _Screen:
    """Shows a launcher's output: a bar for people, every line for programs."""

    TAIL = 400

    def __init__(self) -> None:
        self.tail: list[str] = []
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> "_Screen":
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (
                TextColumn("step"),
                MofNCompleteColumn(),
                BarColumn(),
                TextColumn("{task.description}"),
            )
            self._bar = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True)
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar:
            self._bar.stop()

    def show(self, line: str) -> None:
        """Takes one line of the launcher."""
        from mrc_values.local.progress import parse_line

        self.tail = [*self.tail[1 - self.TAIL :], line]
        progress = parse_line(line) if self._bar else None
        if progress is None:
            if self._bar and sys.stdout.isatty():
                self._bar.console.print(line, markup=False, highlight=False)
            else:
                print(line, flush=True)
            return
        text = f"loss {progress.loss:.4f}" if progress.loss is not None else ""
        if progress.images_per_second is not None:
            text += f"  {progress.images_per_second:.1f} images/s"
        if progress.eta_seconds is not None:
            from mrc_cli.terminal import clock

            text += f"  ETA {clock(progress.eta_seconds)}"
        if self._task is None:
            self._task = self._bar.add_task(text, total=progress.steps)
        self._bar.update(self._task, completed=progress.step, total=progress.steps, description=text)
