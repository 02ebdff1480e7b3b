"""``mrc-serve``: answer images over HTTP with a trained model."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from mrc_cli import command
from mrc_cli.arguments import ArgumentParser

from mrc_serve.settings import described, from_environment

EXAMPLES = """
Examples:
  mrc-predict --load runs/first --export exported
  mrc-serve exported
  curl --data-binary @image.jpg 'http://127.0.0.1:8080/invocations?threshold=0.7'
"""


def parser() -> ArgumentParser:
    """The command line."""
    out = ArgumentParser(
        prog="mrc-serve",
        description="Detect objects in images over HTTP: /invocations, /ping, /metrics, and a page at /.",
        epilog=f"environment:\n{chr(10).join(described())}\n{EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    out.add_argument(
        "model",
        nargs="?",
        type=Path,
        metavar="MODEL",
        help="directory written by mrc-predict --export, a model.tar.gz of it, or the directory of a run",
    )
    out.add_argument("--host", help="address to listen on; 0.0.0.0: all of them")
    out.add_argument("--port", type=int, help="port to listen on; 0: any free one")
    return out


def main(argv: Sequence[str] | None = None) -> None:
    """Console entry; an error that the user can fix ends it with one line on stderr."""
    command.run("mrc-serve", lambda: _serve(parser().parse_args(argv)))


def _serve(arguments: argparse.Namespace) -> None:
    settings = from_environment(os.environ, model=arguments.model, host=arguments.host, port=arguments.port)
    # Read by OpenCV when it is loaded: a second limit, inside the decoder, for headers that deceive ours.
    os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(settings.max_pixels)

    # TensorFlow and OpenCV take seconds to import: not for --help and mistakes in settings.
    from mrc_serve.server import serve

    serve(settings)


if __name__ == "__main__":
    main()
