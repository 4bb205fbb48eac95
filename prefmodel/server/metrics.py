"""Counters for Prometheus. Over several worker processes they add up."""

from __future__ import annotations

import os
import time

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable of prometheus-client: the folder through which worker processes share their counters."""

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The counters of one process.

    >>> metrics = Metrics()
    >>> metrics.rows.inc(3)
    >>> "prefmodel_rows_total 3.0" in metrics.text().decode()
    True
    """

    def __init__(self) -> None:
        registry = CollectorRegistry()  # not the global one, which allows a second app of a process no same names
        labels = ["endpoint", "status"]
        self.requests = Counter("prefmodel_requests", "Requests, by endpoint and status.", labels, registry=registry)
        self.seconds = Histogram(
            "prefmodel_request_seconds", "Time to answer.", ["endpoint"], registry=registry, buckets=SECONDS
        )
        self.rows = Counter("prefmodel_rows", "Rows scored.", registry=registry)
        self.cut = Counter("prefmodel_cut_rows", "Rows scored of which something was cut.", registry=registry)
        self.dropped = Counter(
            "prefmodel_dropped_rows", "Rows not scored: their client left or timed out.", registry=registry
        )
        self.batch = Histogram("prefmodel_batch_rows", "Rows scored together.", registry=registry, buckets=ROWS)
        self.busy = Counter("prefmodel_scoring_seconds", "Time spent scoring.", registry=registry)
        self.queued = Gauge(
            "prefmodel_queued_tokens", "Tokens that wait.", registry=registry, multiprocess_mode="livesum"
        )
        self._registry = registry

    def text(self) -> bytes:
        """Return the counters of all workers, as Prometheus reads them."""
        if os.environ.get(SHARED):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
            return generate_latest(registry)
        return generate_latest(self._registry)


class Measured:
    """Counts every request and its time. `endpoints` keeps the labels few whatever paths clients make up."""

    def __init__(self, app: ASGIApp, metrics: Metrics, endpoints: frozenset[str]):
        self.app, self.metrics, self.endpoints = app, metrics, endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), "gone"

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        endpoint = scope["path"] if scope["path"] in self.endpoints else "other"
        try:
            await self.app(scope, receive, noted)
        except Exception:
            status = "500"  # which is sent further out
            raise
        finally:
            self.metrics.requests.labels(endpoint, status).inc()
            self.metrics.seconds.labels(endpoint).observe(time.perf_counter() - started)
