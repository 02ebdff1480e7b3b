"""``mrc-predict`` and ``mrc-report`` whose outputs cannot be written, one after the other, in one process.

``LD_PRELOAD=faulty_files.so python faulty_results.py RUN IMAGE DIRECTORY``. Prints a JSON list for each
output and error: the directory, their names, the exit code, stderr, and what the directory has afterwards.
"""

import contextlib
import errno
import io
import json
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import faults
from mrc_cli.command import run as run_command
from mrc_serve.models import load_model
from mrc_train import predict
from mrc_train.predictor import Predictor
from mrc_viz import report

run, image, directory = sys.argv[1], sys.argv[2], Path(sys.argv[3])
predictor = Predictor.load(run)
Predictor.load = staticmethod(lambda *_: predictor)  # type: ignore[assignment, method-assign]

DETECT = ("--load", run, "--predict", image)
COMMANDS = {
    "image-detections.png": (predict.main, [*DETECT, "--output", "{directory}"]),
    "out.json": (predict.main, [*DETECT, "--output", str(directory), "--json", "{directory}/out.json"]),
    "results.json": (predict.main, ["--load", run, "--evaluate", "{directory}/results.json"]),
    "weights.npz": (predict.main, ["--load", run, "--export", "{directory}/weights.npz"]),
    "saved_model.pb": (predict.main, ["--load", run, "--export", "{directory}/model"]),
    "/variables_temp/": (predict.main, ["--load", run, "--export", "{directory}/model"]),
    "model.json": (predict.main, ["--load", run, "--export", "{directory}/model"]),
    "curves.png": (report.main, [run, "--images", "1", "--output", "{directory}"]),
    "detections.png": (report.main, [run, "--images", "1", "--output", "{directory}"]),
}
EXISTING = ("image-detections.png", "out.json", "results.json", "curves.png", "detections.png")


def attempt(name: str, number: int, act: Callable[[], object]) -> tuple[int, str]:
    """Exit code and stderr of something that fails."""
    stderr, code = io.StringIO(), 0
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(stderr):
        try:
            with faults.fault(name, number):
                act()
        except SystemExit as ended:
            code = int(ended.code or 0)
    return code, stderr.getvalue()


for name, (main, arguments) in COMMANDS.items():
    for number in faults.NUMBERS:
        target = directory / f"{list(COMMANDS).index(name)}-{errno.errorcode[number]}"
        target.mkdir()
        if name in EXISTING:
            (target / name).write_text("old")
        command = [argument.format(directory=target) for argument in arguments]
        code, stderr = attempt(name, number, lambda: main(command))  # noqa: B023
        left = {path.name: path.read_text("latin-1") for path in target.rglob("*") if path.is_file()}
        print(
            json.dumps([str(target), name, number, code, stderr, left.pop(name, None), sorted(left)]),
            flush=True,
        )

predict.main(["--load", run, "--export", str(directory / "model")])
with tarfile.open(directory / "model.tar.gz", "w:gz") as archive:
    archive.add(directory / "model", ".")


def serve() -> None:
    run_command("mrc-serve", lambda: load_model(directory / "model.tar.gz"))


for number in faults.NUMBERS:
    code, stderr = attempt("/mrc-serve-", number, serve)
    print(json.dumps([str(directory), "model.tar.gz", number, code, stderr, None, []]))
