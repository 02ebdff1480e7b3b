"""Prepares a release for this machine: adapted values, file systems, the launcher's command and its state."""

import glob
import os
import shutil
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mrc_cli.errors import UserError
from mrc_cli.files import write_atomically

from mrc_values.local import launch, processes, tensorboard
from mrc_values.local.down import clean_up
from mrc_values.local.state import Release, Store
from mrc_values.local.supervise import Command
from mrc_values.values import Values


@dataclass(frozen=True)
class Adaptation:
    """Changes to a release's values for this machine: ``--set`` expressions, and a line for the user."""

    ranks: int
    sets: list[str]
    note: str


def adapt(values: Values, ranks: int | None) -> Adaptation:
    """The number of ranks and the ``--set`` expressions for this machine.

    ``ranks`` None: as many as the values have GPUs, at most one for each GPU of this machine, or for each
    core when it has none.
    """
    cores, gpus = processes.cores(), processes.gpus()
    slots = gpus or cores
    wanted = values.integer("maskrcnn.gpus") or 1
    ranks = ranks or min(wanted, slots)
    sets = [f"maskrcnn.gpus={ranks}", f"maskrcnn.gpus_per_node={ranks}"]
    if values.get("maskrcnn.gpu_nodes"):
        sets.append("maskrcnn.gpu_nodes=1")
    if not values.text("maskrcnn.image"):
        sets.append("maskrcnn.image=local")
    if not gpus:
        sets += ["maskrcnn.device=cpu", "maskrcnn.node_group="]
    machine = f"{gpus} GPUs" if gpus else f"{cores} CPU cores, no GPU"
    instead = f" instead of the values' {wanted}" if ranks != wanted else ""
    return Adaptation(ranks, sets, f"{ranks} ranks{instead} ({machine})")


def file_systems(values: Values, base: Path, shared_fs: Path | None, data_fs: Path | None) -> dict[str, Path]:
    """The directories for SHARED_FS and DATA_FS; by default ``efs`` or ``fsx`` in ``base``, as in the values.

    They are created when missing. Raises UserError when one cannot be created, read or, for SHARED_FS,
    written.
    """
    shared = shared_fs or base / (values.text("global.shared_fs") or "efs")
    data = data_fs or base / (values.text("maskrcnn.data_fs") or values.text("global.shared_fs") or "efs")
    directories = {"SHARED_FS": shared.resolve(), "DATA_FS": data.resolve()}
    for name, directory in directories.items():
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UserError(f"{name}: {directory} cannot be created: {reason}.") from None
        writable = name == "SHARED_FS"
        if not os.access(directory, os.R_OK | os.X_OK | (os.W_OK if writable else 0)):
            raise UserError(f"{name}: {directory} is not {'writable' if writable else 'readable'}.")
    return directories


def launcher_command(launcher: launch.Launcher, mounts: Mapping[str, Path], hostfile: Path) -> Command:
    """The launcher's command on this machine.

    Raises UserError when a program, script or directory that it names does not exist on this machine.
    """
    programs = programs_directory()
    variables = launch.environment(launcher, mounts)
    variables |= {
        "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", ""),  # `mpirun -x` fails when it is not set
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
    directory = launcher.working_dir or str(mounts["SHARED_FS"])
    if not Path(directory).is_dir():
        raise UserError(
            f"maskrcnn.working_dir {directory} is a directory of the container image that does not exist on "
            "this machine. Use --set maskrcnn.working_dir= or a directory that exists here."
        )
    script = next((part for part in argv if part.endswith(".py")), None)
    if script and not Path(directory, script).is_file():
        raise UserError(
            f"maskrcnn.train_script {script} is a file of the container image that does not exist on this "
            "machine. Use --set maskrcnn.train_script= to train with mrc-train."
        )
    if "mrc-train" in argv:
        _check_inputs(argv)
    return Command(argv, {**os.environ, **variables}, directory)


def _check_inputs(argv: Sequence[str]) -> None:
    """Raises UserError if weights or data that mrc-train is to read do not exist on this machine."""
    settings = dict(word.partition("=")[::2] for word in argv if "=" in word)
    data, weights = settings.get("DATA.BASEDIR", ""), Path(settings.get("BACKBONE.WEIGHTS", ""))
    missing = []
    if data and not Path(data).is_dir():
        missing.append(
            f"maskrcnn.data_dir: {data} does not exist. Copy the data set there, or use --data-fs."
        )
    # The name of a checkpoint is only the start of the names of its files.
    if weights.name and not any(weights.parent.glob(f"{glob.escape(weights.name)}*")):
        missing.append(
            f"maskrcnn.backbone_weights: {weights} does not exist. Copy the file there, or use "
            "--set maskrcnn.backbone_weights= to train from scratch."
        )
    if missing:
        raise UserError(" ".join(missing))


def programs_directory() -> Path:
    """The directory of this Python environment's programs."""
    return Path(sysconfig.get_path("scripts"))


def prepare(
    store: Store,
    name: str,
    rendered: Mapping[str, str],
    ranks: int,
    mounts: Mapping[str, Path],
    up_words: Sequence[str],
    with_tensorboard: bool,
    say: Callable[[str], None],
) -> tuple[Release, Command]:
    """Clean up after an earlier run, write manifest and hostfile, and start TensorBoard.

    The caller holds the release's lock. Returns the release, which is not running yet, and its command.
    """
    launcher = launch.launcher_of(rendered)
    hostfile, manifest = store.file(name, ".hosts"), store.file(name, ".yaml")
    command = launcher_command(launcher, mounts, hostfile)
    release = Release(
        name=name,
        up_words=list(up_words),
        namespace=launcher.namespace,
        job=launcher.job,
        mark=store.mark(name),
        ranks=ranks,
        shared_fs=str(mounts["SHARED_FS"]),
        data_fs=str(mounts["DATA_FS"]),
        run_dir=str(launch.run_dir(launcher, mounts["SHARED_FS"])),
        manifest=str(manifest),
    )
    if earlier := store.load(name):
        if count := clean_up(earlier):
            say(f"ended {count} processes that an earlier run left behind")
        if earlier.run_dir == release.run_dir:
            release.tensorboard = earlier.tensorboard
            release.tensorboard_address = earlier.tensorboard_address
        else:
            processes.end_one(earlier.tensorboard)
    write_atomically(hostfile, f"localhost slots={ranks}\n", mode=0o600)
    text = "".join(f"---\n# Source: {path}\n{text}" for path, text in rendered.items() if ".yaml" in path)
    write_atomically(manifest, text, mode=0o600)  # it may contain keys and tokens
    if with_tensorboard:
        if tensorboard.start(release, programs_directory(), store.file(name, ".tensorboard.log")):
            say(f"TensorBoard: {release.tensorboard_address}")
        else:
            say("no TensorBoard: it is not installed in this environment (extra viz)")
    store.save(release)
    return release, command
