"""What a monitoring system reads at /metrics, as Prometheus has it. No name of an image or a patient is ever in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.queue import FairQueue, Job, Lane

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """The figures of one server.

    Args:
        queue: whose length is told.
        state: gives what the app knows of labels and models: see :class:`_AppState`.
    """

    def __init__(self, queue: FairQueue, state: Callable[[], dict[str, Any]]) -> None:
        self.registry = CollectorRegistry()
        self._requests = Histogram(
            "landmarklabel_request_seconds", "Time to answer a request.", ("method", "route", "status"),
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._phases = Histogram(
            "landmarklabel_inference_seconds", "Time that an inference waited, and was computed.", ("lane", "phase"),
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._outcomes = Counter(
            "landmarklabel_inferences", "Inferences by how they ended.", ("lane", "outcome"), registry=self.registry
        )
        for what, count in (("waiting", queue.waiting), ("running", queue.running)):
            gauge = Gauge(f"landmarklabel_inferences_{what}", f"Inferences {what}.", ("lane",), registry=self.registry)
            for lane in Lane:
                gauge.labels(_name(lane)).set_function(lambda count=count, lane=lane: count()[lane])  # type: ignore[misc]
        self.registry.register(_AppState(state))

    def requested(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(method, route, str(status)).observe(seconds)

    def answered(self, job: Job) -> None:
        """An inference was answered."""
        assert job.begun is not None
        self._phases.labels(_name(job.lane), "waiting").observe(job.begun - job.asked)
        self._phases.labels(_name(job.lane), "running").observe(time.monotonic() - job.begun)
        self._outcomes.labels(_name(job.lane), "answered").inc()

    def given_up(self, job: Job, why: str) -> None:
        """An inference was not answered: ``refused``, ``superseded``, ``gone``, ``late``."""
        self._outcomes.labels(_name(job.lane), why).inc()

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self.registry)


def _name(lane: Lane) -> str:
    return lane.name.lower()


class _AppState(Collector):
    """Labels and models, asked for when somebody reads.

    Args:
        state: gives ``images``, ``labels`` by tag, and ``models``: version by task, "" where there is none.
    """

    def __init__(self, state: Callable[[], dict[str, Any]]) -> None:
        self._state = state

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        state = self._state()
        yield GaugeMetricFamily("landmarklabel_images", "Images of the store.", value=state["images"])
        labels = GaugeMetricFamily("landmarklabel_labels", "Labels of the store.", labels=["tag"])
        for tag, count in state["labels"].items():
            labels.add_metric([tag], count)
        yield labels
        models = GaugeMetricFamily(
            "landmarklabel_model", "1 where a task has a model to answer with.", labels=["task", "version"]
        )
        for task, version in state["models"].items():
            models.add_metric([task, version], 1.0 if version else 0.0)
        yield models
