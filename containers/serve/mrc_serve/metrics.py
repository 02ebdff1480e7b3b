"""What the server counts and measures, in Prometheus' format."""

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the buckets: from a tiny model on small images to the 60 s that SageMaker waits."""


class Metrics:
    """The server's metrics; each server has its own registry, so that tests can have several."""

    def __init__(
        self, waiting: Callable[[], int], running: Callable[[], int], ready: Callable[[], bool]
    ) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self.requests = Counter(
            "mrc_serve_requests", "Requests by path and status.", ("path", "status"), registry=registry
        )
        self.seconds = Histogram(
            "mrc_serve_request_seconds",
            "Time from the arrival of an answered invocation to the end of its answer.",
            buckets=SECONDS,
            registry=registry,
        )
        self.work_seconds = Histogram(
            "mrc_serve_work_seconds",
            "Time that a worker spends on a request: decoding, inference, masks.",
            buckets=SECONDS,
            registry=registry,
        )
        self.detections = Counter("mrc_serve_detections", "Detections in answers.", registry=registry)
        for name, description, value in (
            ("mrc_serve_waiting_requests", "Requests that wait for a worker.", waiting),
            ("mrc_serve_running_requests", "Requests that a worker processes.", running),
            ("mrc_serve_ready", "1 once the model is loaded and warmed up.", ready),
        ):
            Gauge(name, description, registry=registry).set_function(value)

    def exposition(self) -> bytes:
        """All metrics as text."""
        return generate_latest(self._registry)
