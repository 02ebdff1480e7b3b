"""``mrc-stage stage`` into directories where one output cannot be written, all in one process.

``LD_PRELOAD=faulty_files.so python faulty_stage.py URL DIRECTORY``. Prints a JSON list for each output and
error: their names, the directory, the exit code and stderr. Then each is staged again without a fault.
"""

import contextlib
import io
import json
import sys
from pathlib import Path

import faults
from mrc_cli.command import run
from mrc_stage import staging
from mrc_stage.objects import Bucket, location

OUTPUTS = ("/tree/", "/journal-0", "fsync /journal-0", "mrc-staged.json")

bucket = Bucket(location(sys.argv[1]))
for output in OUTPUTS:
    for number in faults.NUMBERS:
        stderr, code = io.StringIO(), 0
        destination = Path(sys.argv[2]) / f"{OUTPUTS.index(output)}-{number}"
        with contextlib.redirect_stderr(stderr), faults.fault(output, number):
            try:
                run("mrc-stage", lambda: staging.stage(bucket, destination, 0, 1, replace=False))  # noqa: B023
            except SystemExit as ended:
                code = int(ended.code or 0)
        print(json.dumps([output, number, str(destination), code, stderr.getvalue()]))
        staging.stage(bucket, destination, 0, 1, replace=False)
