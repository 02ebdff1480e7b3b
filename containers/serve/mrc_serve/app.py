"""The HTTP interface: /ping and /invocations as SageMaker defines them, /metrics, and a page to try it."""

import asyncio
import json
import time
import traceback
from collections.abc import Awaitable, Callable
from importlib.resources import files

from mrc_cli.terminal import say
from mrc_train.inference import LoadedModel
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from mrc_serve.access_log import CLIENT_GONE, AccessLog
from mrc_serve.answers import Answer, Wanted, answer_image, answer_lines
from mrc_serve.bodies import SMALLEST, BodyReader, discard
from mrc_serve.errors import RequestError
from mrc_serve.inputs import images_of_lines, is_json_lines
from mrc_serve.metrics import Metrics
from mrc_serve.queries import wanted
from mrc_serve.settings import Settings
from mrc_serve.work_queue import WorkQueue

Work = Callable[[], Answer]
Endpoint = Callable[[Request], Awaitable[Response]]

PAGE = (
    ("/", "index.html", "text/html"),
    ("/page.css", "page.css", "text/css"),
    ("/page.js", "page.js", "text/javascript"),
)
"""Path, file and media type of the page's parts."""

BODIES_BEYOND_QUEUE = 8
"""Bodies of the largest size that may arrive while the queue and all workers hold such bodies as well."""

MAX_LINES = 1000
"""JSON lines in one request."""

_SECURITY = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def _page_part(file: str, media_type: str) -> Endpoint:
    content = files("mrc_serve").joinpath("page", file).read_bytes()

    async def endpoint(request: Request) -> Response:
        return Response(content, media_type=media_type, headers=_SECURITY)

    return endpoint


def _loading() -> RequestError:
    return RequestError(503, "the model is being loaded", retry_after=2)


def _error(error: RequestError) -> Response:
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.close:
        headers["Connection"] = "close"
    body = json.dumps({"error": str(error)})
    return Response(f"{body}\n", error.status, headers, media_type="application/json")


async def _not_found(request: Request, error: Exception) -> Response:
    return _error(RequestError(404, "not found; use /invocations, /ping, /metrics or the page at /"))


async def _wrong_method(request: Request, error: Exception) -> Response:
    return _error(RequestError(405, f"{request.method} is not possible here; POST images to /invocations"))


class Service:
    """The state behind the endpoints.

    Attributes:
        model: None until it is loaded and warmed up.
    """

    def __init__(self, settings: Settings) -> None:
        self.model: LoadedModel | None = None
        self._settings = settings
        self._queue = WorkQueue(settings.workers, settings.queue, settings.timeout)
        bodies = settings.queue + settings.workers + BODIES_BEYOND_QUEUE
        self._bodies = BodyReader(
            settings.max_body, settings.body_timeout, bodies * max(settings.max_body, SMALLEST)
        )
        self._metrics = Metrics(
            lambda: self._queue.waiting, lambda: self._queue.running, lambda: self.model is not None
        )

    def application(self) -> Starlette:
        """The ASGI application."""
        routes = [
            Route("/ping", self.ping),
            Route("/invocations", self.invocations, methods=["POST"]),
            Route("/metrics", self.metrics),
            *(Route(path, _page_part(name, media_type)) for path, name, media_type in PAGE),
        ]
        paths = frozenset(route.path for route in routes)
        return Starlette(
            routes=routes,
            middleware=[Middleware(AccessLog, metrics=self._metrics, paths=paths)],
            exception_handlers={404: _not_found, 405: _wrong_method},
        )

    async def ping(self, request: Request) -> Response:
        """200 once requests can be answered, 503 before."""
        return Response("\n") if self.model else _error(_loading())

    async def metrics(self, request: Request) -> Response:
        """Metrics for Prometheus."""
        return Response(self._metrics.exposition(), media_type="text/plain; version=0.0.4")

    async def invocations(self, request: Request) -> Response:
        """Detections in the image, or in the images, of the body."""
        deadline = time.monotonic() + self._settings.timeout
        try:
            answer = await self._answer(request, deadline)
        except RequestError as error:
            if error.status != 408:
                await discard(request, self._settings.max_body)
            request.scope["log"]["error"] = str(error)
            return _error(error)
        except ClientDisconnect:
            return Response(status_code=CLIENT_GONE)
        except Exception:
            say(f"mrc-serve: error: {traceback.format_exc()}")
            return _error(RequestError(500, "internal error; the server's log has the details"))
        request.scope["log"]["detections"] = answer.detections
        self._metrics.detections.inc(answer.detections)
        return Response(answer.body, media_type=answer.media_type)

    async def _answer(self, request: Request, deadline: float) -> Answer:
        if self.model is None:
            raise _loading()
        options = wanted(request.query_params, request.headers)
        self._queue.check(deadline)
        with self._bodies.reservation(request):
            body = await self._bodies.read(request)
            work, images = self._work(self.model, body, options)
            result = asyncio.ensure_future(self._queue.run(work, deadline, images))
            # Resolves when the client closes the connection: nobody wants the answer any more.
            gone = asyncio.ensure_future(request.receive())
            try:
                await asyncio.wait((result, gone), return_when=asyncio.FIRST_COMPLETED)
                if not result.done():
                    raise ClientDisconnect
                return result.result()
            finally:
                result.cancel()
                gone.cancel()

    def _work(self, model: LoadedModel, body: bytes, options: Wanted) -> tuple[Work, int]:
        max_pixels = self._settings.max_pixels
        if not is_json_lines(body):
            return self._timed(lambda: answer_image(model, body, options, max_pixels)), 1
        lines = images_of_lines(body)
        if options.png:
            raise RequestError(406, "JSON lines are answered by JSON lines; send an image file for image/png")
        if len(lines) > MAX_LINES:
            raise RequestError(413, f"{len(lines)} lines; at most {MAX_LINES} in one request")
        return self._timed(lambda: answer_lines(model, lines, options, max_pixels)), len(lines)

    def _timed(self, work: Work) -> Work:
        def timed() -> Answer:
            with self._metrics.work_seconds.time():
                return work()

        return timed
