"""mrc-sagemaker local predict"""

import http.client
from pathlib import Path
from typing import Annotated

import typer
from mrc_cli.errors import UserError
from mrc_cli.terminal import result

from mrc_sagemaker.arguments import PORT

TIMEOUT = 60.0
"""Seconds; an endpoint has to answer within this time."""


def predict(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="JPEG, PNG or npy file.")],
    port: Annotated[int, typer.Option(metavar="PORT", help="Port of mrc-sagemaker local serve.")] = PORT,
) -> None:
    """Detect the objects in an image with `mrc-sagemaker local serve`; print its answer, JSON.

    The limits are those of an endpoint: 6 MiB and 60 seconds.

    Example: mrc-sagemaker local predict image.jpg
    """
    from mrc_sagemaker import requests

    data, kind = requests.body(image)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        headers = {"Content-Type": kind, "Accept": "application/json"}
        connection.request("POST", "/invocations", data, headers)
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace").strip()
    except TimeoutError:
        raise UserError(
            f"127.0.0.1:{port}: no answer within {TIMEOUT:.0f} s, after which an endpoint fails too"
        ) from None
    except (OSError, http.client.HTTPException) as error:
        raise UserError(
            f"127.0.0.1:{port}: no server answers ({error}). Start it: mrc-sagemaker local serve"
        ) from None
    finally:
        connection.close()
    if answer.status != 200:
        raise UserError(f"{image}: the server answers {answer.status}: {text}")
    result(text)
