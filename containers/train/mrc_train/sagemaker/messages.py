"""Signed JSON messages between the hosts of a job."""

import hashlib
import hmac
import json
from typing import Any

MAX_BYTES = 1 << 16


def pack(token: str, purpose: str, **content: Any) -> bytes:
    """A message with its HMAC under the job's token; ``purpose`` keeps one from passing for another."""
    text = json.dumps({"purpose": purpose, **content}, sort_keys=True)
    return json.dumps({"text": text, "signature": _signature(token, text)}).encode()


def unpack(token: str, purpose: str, data: bytes) -> dict[str, Any] | None:
    """The content of a message; None when it is not one of this job's."""
    try:
        message = json.loads(data)
        text, signature = message["text"], message["signature"]
        if not hmac.compare_digest(signature.encode(), _signature(token, text).encode()):
            return None
        content = json.loads(text)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return content if content.get("purpose") == purpose else None


def _signature(token: str, text: str) -> str:
    return hmac.new(token.encode(), text.encode(), hashlib.sha256).hexdigest()
