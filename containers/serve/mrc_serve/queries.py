"""What a request asks for: query parameters and the header Accept."""

import math

from starlette.datastructures import Headers, QueryParams

from mrc_serve.answers import Wanted
from mrc_serve.errors import RequestError

_PARAMETERS = ("threshold", "max")
_JSON = ("application/json", "application/jsonlines", "application/x-ndjson", "application/*", "*/*")
_PNG = ("image/png", "image/*")


def wanted(query: QueryParams, headers: Headers) -> Wanted:
    """Raises RequestError for parameters and media types that do not exist."""
    for name in query:
        if name not in _PARAMETERS:
            raise RequestError(400, f"{name[:40]}: unknown parameter; use {' and '.join(_PARAMETERS)}")
    if headers.get("content-encoding", "identity") != "identity":
        raise RequestError(415, "Content-Encoding is not supported; send the image file as it is")
    return Wanted(
        _threshold(query.get("threshold")), _maximum(query.get("max")), _png(headers.get("accept", ""))
    )


def _threshold(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise RequestError(400, f"threshold={text[:40]}: expected a number from 0 to 1")
    return value


def _maximum(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise RequestError(400, f"max={text[:40]}: expected an integer of 0 or more")
    return int(text)


def _png(accept: str) -> bool:
    """Whether a drawing is preferred to JSON (RFC 9110, 12.5.1); JSON wins a tie that is not spelled out."""
    if not accept.strip():
        return False
    quality = {"png": 0.0, "json": 0.0}
    for entry in accept.lower().split(","):
        media_type, _, parameters = (part.strip() for part in entry.partition(";"))
        try:
            weight = float(parameters.rpartition("q=")[2]) if "q=" in parameters else 1.0
        except ValueError:
            weight = 1.0
        # A type that is named outweighs a wildcard of the same quality.
        weight -= 1e-6 * media_type.count("*") if weight > 0 else 0
        if media_type in _JSON:
            quality["json"] = max(quality["json"], weight)
        if media_type in (*_PNG, "*/*"):
            quality["png"] = max(quality["png"], weight)
    if not any(quality.values()):
        raise RequestError(406, f"Accept: {accept[:80]}: answers are application/json or image/png")
    return quality["png"] > quality["json"]
