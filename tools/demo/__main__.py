"""Command line of the demo."""

import signal
import sys
from pathlib import Path

from mrc_cli import command
from mrc_cli.arguments import ArgumentParser
from mrc_cli.errors import UsageError
from mrc_cli.terminal import say

from demo import processes, stages

LAYOUT = "train2017/, val2017/ and annotations/ with instances_train2017.json and instances_val2017.json"


def main() -> None:
    """Console entry point; an error ends it with one line on stderr."""
    parser = ArgumentParser(prog="demo", description="Run the product on this machine.")
    parser.add_argument(
        "--directory", type=Path, required=True, help="directory for data, runs and the state of local mode"
    )
    parser.add_argument("--data", type=Path, help="images in COCO layout to use instead of drawn scenes")
    parser.add_argument("--clean", action="store_true", help="delete the earlier run and train from scratch")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        command.run("demo", lambda: _demo(arguments.directory, arguments.data, arguments.clean))
    except KeyboardInterrupt:
        processes.end_children()
        say("demo: interrupted; the next start resumes from the newest checkpoint")
        sys.exit(128 + signal.SIGINT)


def _demo(directory: Path, data: Path | None, clean: bool) -> None:
    if data:
        data = data.resolve()
        if not (data / "annotations").is_dir():
            raise UsageError(f"{data} has no annotations/; it needs {LAYOUT}.")
    stages.run_all(directory, data, clean)


if __name__ == "__main__":
    main()
