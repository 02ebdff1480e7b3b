"""Requests that are not answered with detections."""


class RequestError(Exception):
    """Ends a request with a status and one line, sent as ``{"error": ...}``.

    Attributes:
        retry_after: seconds for the header Retry-After, or None.
        close: whether the connection ends, because the body was not read to its end.
    """

    def __init__(
        self, status: int, message: str, retry_after: int | None = None, close: bool = False
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.close = close
