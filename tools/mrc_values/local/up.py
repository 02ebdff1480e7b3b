"""Starts a release on this machine: values that fit it, Helm's render, the launcher's command, its state."""

import os
import shutil
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mrc_cli.errors import UserError

from mrc_values.local import board, launch, processes
from mrc_values.local.state import Phase, Release, Store
from mrc_values.local.supervise import Plan
from mrc_values.values import Values


@dataclass(frozen=True)
class Fit:
    """How a release's values change to run here: ``--set`` expressions, and one line for the user."""

    ranks: int
    sets: list[str]
    note: str


def fit(values: Values, ranks: int | None) -> Fit:
    """Ranks and ``--set`` expressions for this machine.

    ``ranks`` None: as many as the values' GPUs, at most one a core (or a GPU, where there are any).
    """
    cores, gpus = processes.cores(), processes.gpus()
    room = gpus or cores
    asked = values.integer("maskrcnn.gpus") or 1
    ranks = ranks or min(asked, room)
    sets = [f"maskrcnn.gpus={ranks}", f"maskrcnn.gpus_per_node={ranks}"]
    if values.get("maskrcnn.gpu_nodes"):
        sets.append("maskrcnn.gpu_nodes=1")
    if not values.text("maskrcnn.image"):
        sets.append("maskrcnn.image=local")
    if not gpus:
        sets += ["maskrcnn.device=cpu", "maskrcnn.node_group="]
    where = f"{gpus} GPUs" if gpus else f"{cores} CPU cores, no GPU"
    note = (
        f"{ranks} ranks"
        + (f" in place of the {asked} of the values" if ranks != asked else "")
        + f" ({where})"
    )
    return Fit(ranks, sets, note)


def folders(values: Values, base: Path, shared_fs: Path | None, data_fs: Path | None) -> dict[str, Path]:
    """SHARED_FS and DATA_FS: the folders given, else ``<base>/efs`` or ``<base>/fsx`` as the values say."""
    shared = shared_fs or base / (values.text("global.shared_fs") or "efs")
    data = data_fs or base / (values.text("maskrcnn.data_fs") or values.text("global.shared_fs") or "efs")
    found = {"SHARED_FS": shared.resolve(), "DATA_FS": data.resolve()}
    for name, folder in found.items():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"{name}: {folder} cannot be made: {(error.strerror or str(error)).lower()}."
            ) from None
        if not os.access(folder, os.R_OK | os.X_OK | (os.W_OK if name == "SHARED_FS" else 0)):
            raise UserError(f"{name}: {folder} is not {'writable' if name == 'SHARED_FS' else 'readable'}.")
    return found


def plan(launcher: launch.Launcher, mounts: dict[str, Path], hostfile: Path) -> Plan:
    """The launcher's command on this machine.

    Raises UserError when a program, script or folder that it names is not here.
    """
    programs = programs_folder()
    variables = launch.environment(launcher, mounts)
    variables |= {
        "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", ""),  # `mpirun -x` wants it to exist
        "OMPI_MCA_orte_default_hostfile": str(hostfile),
        "OMPI_MCA_plm": "isolated",  # no ssh: every rank is a child of mpirun
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    }
    argv = launch.command_line(launcher, variables)
    for program in {"mpirun", "mrc-train"} & set(argv):
        if shutil.which(program, path=variables["PATH"]) is None:
            raise UserError(
                f"{program} is not in {programs}. Install the extra train-cpu into this environment."
            )
    folder = launcher.working_dir or str(mounts["SHARED_FS"])
    if not Path(folder).is_dir():
        raise UserError(
            f"maskrcnn.working_dir {folder} is a folder of the image, not of this machine. "
            "Run with --set maskrcnn.working_dir= or give a folder that is here."
        )
    script = next((part for part in argv if part.endswith(".py")), None)
    if script and not Path(folder, script).is_file():
        raise UserError(
            f"maskrcnn.train_script {script} is a file of the image, not of this machine. "
            "Run with --set maskrcnn.train_script= to use mrc-train."
        )
    return Plan(argv, {**os.environ, **variables}, folder)


def programs_folder() -> Path:
    """Where the programs of this Python environment are."""
    return Path(sysconfig.get_path("scripts"))


def prepare(
    store: Store,
    name: str,
    chart: Path,
    rendered: Mapping[str, str],
    ranks: int,
    mounts: dict[str, Path],
    with_board: bool,
    say: Callable[[str], None],
) -> tuple[Release, Plan]:
    """Clears what an earlier run left, writes manifest and hostfile, starts TensorBoard.

    The caller holds the release's lock. Returns the release, not yet running, and its plan.
    """
    launcher = launch.launcher_of(rendered)
    hostfile, manifest = store.file(name, ".hosts"), store.file(name, ".yaml")
    order = plan(launcher, mounts, hostfile)
    release = Release(
        name=name,
        chart=str(chart.resolve()),
        namespace=launcher.namespace,
        job=launcher.job,
        mark=store.mark(name),
        ranks=ranks,
        shared_fs=str(mounts["SHARED_FS"]),
        data_fs=str(mounts["DATA_FS"]),
        run_folder=str(launch.run_folder(launcher, mounts["SHARED_FS"])),
        manifest=str(manifest),
    )
    if earlier := store.load(name):
        if cleared := clear(earlier):
            say(f"ended {cleared} processes that an earlier run left behind")
        if earlier.run_folder == release.run_folder:
            release.tensorboard, release.tensorboard_address = (
                earlier.tensorboard,
                earlier.tensorboard_address,
            )
        else:
            processes.end_one(earlier.tensorboard)
    hostfile.write_text(f"localhost slots={ranks}\n")
    manifest.write_text(
        "".join(f"---\n# Source: {path}\n{text}" for path, text in rendered.items() if ".yaml" in path)
    )
    if with_board:
        if board.start(release, programs_folder(), store.file(name, ".tensorboard.log")):
            say(f"TensorBoard: {release.tensorboard_address}")
        else:
            say("no TensorBoard: the program is not in this environment (extra viz)")
    store.save(release)
    return release, order


def clear(release: Release) -> int:
    """Ends what is left of a release whose supervisor is gone; returns how many processes that were."""
    left = len(processes.marked(release.mark))
    processes.end(release.mark)
    if release.scratch:
        shutil.rmtree(release.scratch, ignore_errors=True)
    return left


def down(store: Store, release: Release) -> bool:
    """Stops the release, its TensorBoard and whatever is left of either; True when anything ran."""
    supervisor = release.supervisor.process() if release.supervisor else None
    ran = release.phase is Phase.RUNNING or bool(processes.marked(release.mark))
    if supervisor is not None and supervisor.pid != os.getpid():
        processes.end_one(release.supervisor, grace=30)
    release = store.get(release.name)
    clear(release)
    ran = ran or (release.tensorboard is not None and release.tensorboard.process() is not None)
    processes.end_one(release.tensorboard)
    release.tensorboard, release.tensorboard_address = None, ""
    release.stopped = release.stopped or release.exit_code is None
    store.save(release)
    return ran
