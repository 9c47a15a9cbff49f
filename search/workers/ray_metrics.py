"""The counters of a search among the metrics of its Ray cluster, for Prometheus and Grafana.

Ray adds `ray_` before each name: `ray_toprung_trials{outcome="COMPLETED", run="flowers"}`.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from toprung.cluster.worker_demand import WorkerDemand
    from toprung.search.loop.search_loop import SearchLoop
    from toprung.search.workers.dispatcher import Dispatcher

PERIOD_SECS = 2.0
TRIALS, EPOCHS, PREEMPTIONS = "toprung_trials", "toprung_epochs", "toprung_preemptions"
WORKERS, WORKERS_WANTED, BEST = "toprung_workers", "toprung_workers_wanted", "toprung_best_value"
COUNTERS: Mapping[str, str] = {
    TRIALS: "Trials of the search that have ended, by outcome",
    EPOCHS: "Epochs that the trials of the search have trained",
    PREEMPTIONS: "How often a node died under a trial of the search",
}
GAUGES: Mapping[str, str] = {
    WORKERS: "Workers of the search that are connected",
    WORKERS_WANTED: "Workers that the search wants",
    BEST: "Best validation value of the search so far",
}
Label = tuple[str, str]


class Counts(Protocol):
    """A search as numbers, each with a label beside the run's."""

    def counters(self) -> Mapping[tuple[str, Label], float]:
        """What only grows, by name and label."""

    def gauges(self) -> Mapping[tuple[str, Label], float]:
        """What goes up and down, by name and label."""


class SearchCounts:
    """The numbers of a running search; trials, epochs and the best value include those of earlier drivers."""

    def __init__(self, loop: SearchLoop, dispatcher: Dispatcher, demand: WorkerDemand) -> None:
        self._loop, self._dispatcher, self._demand = loop, dispatcher, demand

    def counters(self) -> Mapping[tuple[str, Label], float]:
        """Trials by outcome, epochs, preemptions."""
        loop, none = self._loop, ("outcome", "")
        trials = {(TRIALS, ("outcome", str(outcome))): float(n) for outcome, n in dict(loop.outcomes).items()}
        return {
            **trials,
            (EPOCHS, none): float(loop.usage.epochs),
            (PREEMPTIONS, none): float(loop.preemptions),
        }

    def gauges(self) -> Mapping[tuple[str, Label], float]:
        """Workers connected and wanted, and the best value by the name of its metric."""
        leader, none = self._loop.leader, ("metric", "")
        best = {(BEST, ("metric", self._loop.metric)): leader.value} if leader else {}
        workers = {WORKERS: self._dispatcher.connected, WORKERS_WANTED: self._demand.wanted}
        return {**best, **{(name, none): float(count) for name, count in workers.items()}}


class RayMetrics:
    """Hands the numbers of a search to Ray; the metrics endpoint of the driver's node shows them."""

    def __init__(self, counts: Counts, run: str) -> None:
        from ray.util import metrics

        self._counts, self._run = counts, run
        self._counters = {
            name: metrics.Counter(name, text, tag_keys=("run", "outcome")) for name, text in COUNTERS.items()
        }
        self._gauges = {
            name: metrics.Gauge(name, text, tag_keys=("run", "metric")) for name, text in GAUGES.items()
        }
        self._counted: dict[tuple[str, Label], float] = {}

    def publish(self) -> None:
        """Hand over what has changed since the last call."""
        for key, total in self._counts.counters().items():
            grown = total - self._counted.get(key, 0.0)
            if grown > 0:
                name, (label, value) = key
                self._counters[name].inc(grown, {"run": self._run, label: value})
                self._counted[key] = total
        for (name, (label, value)), number in self._counts.gauges().items():
            self._gauges[name].set(number, {"run": self._run, label: value})


@contextmanager
def published_to_ray(counts: Counts, run: str, period_secs: float = PERIOD_SECS) -> Iterator[None]:
    """Publish the numbers from a thread of its own for the block, and once more at its end."""
    ray_metrics, done = RayMetrics(counts, run), threading.Event()

    def publish() -> None:
        with suppress(Exception):  # a cluster that goes away, which the search itself reports
            ray_metrics.publish()

    def publish_until_done() -> None:
        while not done.wait(period_secs):
            publish()

    thread = threading.Thread(target=publish_until_done, name="toprung-metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        publish()
