"""The metrics of several processes in one scrape: what they count, summed, and what each of them is.

Knows prometheus-client's multiprocess mode, in which a process cannot tell of itself or of the moment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from oci_ns.metrics import LABELS_MAX, Labels
from oci_ns.serving.worker_link import Loaded

_OPEN = ("endpoint", "namespace")
"""The labels whose values are not in this program."""


class Counted(Collector):
    """What all processes count. However often they are started again, there are at most so many series."""

    def __init__(self, directory: str) -> None:
        self._files = MultiProcessCollector(None, directory)  # type: ignore[no-untyped-call]
        self._labels = {name: Labels(LABELS_MAX) for name in _OPEN}

    def collect(self) -> Iterable[Metric]:
        """The metrics as they are now."""
        for metric in self._files.collect():  # type: ignore[no-untyped-call]
            yield self._bounded(metric) if metric.name.startswith("ns_inject_") else metric

    def _bounded(self, metric: Metric) -> Metric:
        """The metric, what has no label of its own added up."""
        sums: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        for sample in metric.samples:
            labels = tuple((name, self._label(name, value)) for name, value in sample.labels.items())
            sums[sample.name, labels] = sums.get((sample.name, labels), 0.0) + sample.value
        bounded = Metric(metric.name, metric.documentation, metric.type)
        for (name, pairs), value in sums.items():
            bounded.add_sample(name, dict(pairs), value)
        return bounded

    def _label(self, name: str, value: str) -> str:
        return self._labels[name].label(value) if name in self._labels else value


class Workers(Collector):
    """What the processes are. The functions give, by worker, its process id and the last load of its configuration."""

    def __init__(
        self,
        processes: Callable[[], Mapping[str, int]],
        loads: Callable[[], Iterable[Loaded]],
        restarts: Callable[[], int],
    ) -> None:
        self._processes = processes
        self._loads = loads
        self._restarts = restarts

    def collect(self) -> Iterable[Metric]:
        """The metrics as they are now."""
        yield CounterMetricFamily("ns_inject_worker_restarts", "Workers that died.", value=self._restarts())
        loads = list(self._loads())
        if loads:
            text = "[[registry]] tables in use, in the worker that has the fewest."
            yield GaugeMetricFamily("ns_inject_table_registries", text, min(each.registries for each in loads))
            text = "Since the table in use was loaded, in the worker that has the oldest."
            age = max(time.time() - min(each.at for each in loads), 0.0)
            yield GaugeMetricFamily("ns_inject_table_age_seconds", text, age)
        yield from self._of_processes()

    def _of_processes(self) -> Iterable[Metric]:
        found: dict[str, Metric] = {}
        for worker, process in self._processes().items():
            for metric in ProcessCollector(pid=partial(int, process), registry=None).collect():
                text = f"{metric.documentation.rstrip('.')}, of each worker."
                mine = found.setdefault(metric.name, Metric(metric.name, text, metric.type))
                for sample in metric.samples:
                    mine.add_sample(sample.name, {**sample.labels, "worker": worker}, sample.value)
        return found.values()


def gathered(directory: str, workers: Workers) -> CollectorRegistry:
    """All of it, to be served."""
    registry = CollectorRegistry()
    registry.register(Counted(directory))
    registry.register(workers)
    return registry


def forget(worker: int, directory: str) -> None:
    """The worker is gone, and with it what is only true of live ones: gauges of scripts, say."""
    mark_process_dead(worker, directory)  # type: ignore[no-untyped-call]
