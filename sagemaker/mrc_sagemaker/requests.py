"""The body of a request to an endpoint, from an image file."""

from pathlib import Path

from mrc_cli.errors import UserError

MAX_BODY = 6_291_456
"""Bytes; InvokeEndpoint's limit in botocore's description."""

TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".npy": "application/x-npy"}


def body(image: Path) -> tuple[bytes, str]:
    """Content and content type of an image.

    Raises:
        UserError: for another kind of file, one that cannot be read, and one that an endpoint rejects.
    """
    kind = TYPES.get(image.suffix.lower())
    if kind is None:
        raise UserError(f"{image}: not an image that an endpoint takes; use {', '.join(TYPES)}")
    try:
        data = image.read_bytes()
    except OSError as error:
        raise UserError(f"{image}: {error.strerror}") from None
    if len(data) > MAX_BODY:
        raise UserError(
            f"{image}: {len(data)} bytes, but an endpoint takes at most {MAX_BODY}. Scale it down, or use an "
            "asynchronous endpoint (sagemaker.endpoint.async_output_s3_uri)"
        )
    return data, kind
