"""Metrics of the server for Prometheus; they hold no text."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Monitor:
    """Count requests, batches and words."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()

        def options(name: str, documentation: str, *labels: str) -> tuple[str, str, tuple[str, ...]]:
            return f"tagger_{name}", documentation, labels

        registry = self._registry
        self._requests = Counter(
            *options("requests", "Requests by route and status.", "route", "status"), registry=registry
        )
        self._seconds = Histogram(
            *options("request_seconds", "Seconds from a request's headers to its answer.", "route"),
            registry=registry,
        )
        self._waiting = Gauge(
            *options("waiting_requests", "Requests that are admitted and not yet answered."),
            registry=registry,
        )
        self._batch_size = Histogram(
            *options("batch_requests", "Requests per batch.", "model"),
            buckets=BATCH_SIZES,
            registry=registry,
        )
        self._words = Counter(*options("words", "Tokens tagged.", "model"), registry=registry)
        self._models = Gauge(
            *options("model_info", "1 for each model, with the SHA-256 of its weights.", "model", "version"),
            registry=registry,
        )

    def watch_batches(self, model: str, version: str) -> Callable[[int, int], None]:
        """Return a function that counts a batch of a model, given its numbers of requests and tokens."""
        self._models.labels(model, version).set(1)
        batch_size, words = self._batch_size.labels(model), self._words.labels(model)

        def count(requests: int, tokens: int) -> None:
            batch_size.observe(requests)
            words.inc(tokens)

        return count

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count an answered request.

        Args:
            route: The pattern of its path, not the path, so that the number of time series is bounded.
            status: The HTTP status.
            seconds: Its duration.
        """
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def set_waiting(self, requests: int) -> None:
        """Set the number of admitted requests."""
        self._waiting.set(requests)

    def text(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self._registry)
