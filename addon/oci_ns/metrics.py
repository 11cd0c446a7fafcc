"""`ns_metrics`: what went by, for Prometheus.

Knows the metrics and how many series they may have at most, whatever clients send; serves them by prometheus-client's
own server, from a thread of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)

from oci_ns.index import RouteIndex
from oci_ns.probes import Probes
from oci_ns.pull import Pull
from oci_ns.reference import canonical_registry
from oci_ns.transfer import Transfer

OTHER = "other"
"""The label of all that has none of its own."""
NONE = "none"
"""The label where there is no value."""

_CONFIGURED_MAX = 500
_FOREIGN_MAX = 50
LABELS_MAX = _CONFIGURED_MAX + _FOREIGN_MAX
"""How many values of one label have a series of their own at most, whatever processes there are."""
_STATUSES = frozenset(int(status) for status in HTTPStatus)
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LONG_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Labels:
    """Values of one label: the first so many get a series of their own, all others share one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[str] = set()

    def label(self, value: str) -> str:
        """The value, or OTHER."""
        if value in self._known:
            return value
        if len(self._known) >= self._most:
            return OTHER
        self._known.add(value)
        return value


@dataclass(frozen=True, slots=True)
class Table:
    """What is loaded: the index, and when it was, in seconds since the epoch."""

    index: RouteIndex
    loaded: float


class PullMetrics:
    """Counts pulls."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._pulls = Counter("ns_inject_pulls", "Pulls that are over.", ["result"], registry=registry)
        self._seconds = Histogram(
            "ns_inject_pull_seconds", "How long pulls took.", ["result"], buckets=_LONG_SECONDS, registry=registry
        )

    def pulled(self, pull: Pull) -> None:
        """A pull that is over."""
        self._pulls.labels(pull.result).inc()
        self._seconds.labels(pull.result).observe(pull.seconds)


class Metrics:
    """Counts what it is told. `table` gives what is loaded now.

    Where it is not `alone`, another process serves all, and what is told of a process (`serving.gathered_metrics`).
    """

    def __init__(self, table: Callable[[], Table], *, alone: bool = True) -> None:
        self._table = table
        # What clients make up cannot use up what is configured: they have places of their own.
        self._configured = {kind: Labels(_CONFIGURED_MAX) for kind in ("namespace", "endpoint")}
        self._foreign = {kind: Labels(_FOREIGN_MAX) for kind in ("namespace", "endpoint")}
        self.registry = registry = CollectorRegistry()
        if alone:
            _tell_of_process(registry)
            _tell_of_table(registry, table)
        self._decisions = Counter(
            "ns_inject_decisions",
            "Requests below /v2, by what was decided (action), the ns in force, and what told the registry (source).",
            ["action", "namespace", "source"],
            registry=registry,
        )
        self._responses = Counter(
            "ns_inject_responses",
            "Answers to clients, by endpoint, operation and status ('none': no answer).",
            ["endpoint", "operation", "status"],
            registry=registry,
        )
        self._received = Counter(
            "ns_inject_received_bytes", "Bytes of bodies from endpoints.", ["endpoint"], registry=registry
        )
        self._head_seconds = Histogram(
            "ns_inject_response_head_seconds",
            "From the client's request to the head of the endpoint's answer.",
            ["endpoint"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._whole_seconds = Histogram(
            "ns_inject_response_seconds",
            "From the client's request to the end of the answer.",
            ["operation"],
            buckets=_LONG_SECONDS,
            registry=registry,
        )
        self._fallbacks = Counter(
            "ns_inject_fallbacks", "Endpoints that were passed over for another.", ["endpoint"], registry=registry
        )
        self._findings = Counter(
            "ns_inject_findings", "What was found wrong with requests and answers.", ["kind"], registry=registry
        )
        self._pulls = PullMetrics(registry) if alone else None
        self._reloads = Counter("ns_inject_reloads", "Loads of the configuration.", ["result"], registry=registry)
        for result in ("ok", "failed"):
            self._reloads.labels(result)

    def decided(self, transfer: Transfer) -> None:
        """A decision."""
        record = transfer.record
        namespace = self._namespace(record.namespace)
        self._decisions.labels(record.action or NONE, namespace, record.source or NONE).inc()

    def answered(self, transfer: Transfer) -> None:
        """An answer, or none."""
        record = transfer.record
        endpoint = self._endpoint(record.endpoint)
        status = str(transfer.status) if transfer.status in _STATUSES else OTHER
        if transfer.status is None:
            status = NONE
        self._responses.labels(endpoint, record.operation, status).inc()
        self._received.labels(endpoint).inc(transfer.received)
        if transfer.headed is not None and not record.error:
            self._head_seconds.labels(endpoint).observe(max(transfer.headed - transfer.begun, 0.0))
        self._whole_seconds.labels(record.operation).observe(transfer.seconds)
        for each in record.passed_over:
            self._fallbacks.labels(self._endpoint(each.partition(": ")[0])).inc()
        for finding in transfer.findings:
            self._findings.labels(finding.kind.value).inc()

    def pulled(self, pull: Pull) -> None:
        """A pull that is over."""
        if self._pulls is not None:
            self._pulls.pulled(pull)

    def loaded(self, ok: bool) -> None:
        """The configuration was read, and is in use if `ok`."""
        self._reloads.labels("ok" if ok else "failed").inc()

    def _namespace(self, namespace: str) -> str:
        if not namespace:
            return NONE
        known = self._table().index.is_source(canonical_registry(namespace))
        return (self._configured if known else self._foreign)["namespace"].label(namespace)

    def _endpoint(self, endpoint: str) -> str:
        if not endpoint:
            return NONE
        known = self._table().index.is_endpoint(canonical_registry(endpoint.partition("/")[0]))
        return (self._configured if known else self._foreign)["endpoint"].label(endpoint)


def _tell_of_process(registry: CollectorRegistry) -> None:
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)


def _tell_of_table(registry: CollectorRegistry, table: Callable[[], Table]) -> None:
    registries = Gauge("ns_inject_table_registries", "[[registry]] tables in use.", registry=registry)
    registries.set_function(lambda: len(table().index.registries))
    age = Gauge("ns_inject_table_age_seconds", "Since the table in use was loaded.", registry=registry)
    age.set_function(lambda: max(time.time() - table().loaded, 0.0))


class MetricsServer:
    """Serves metrics over HTTP until it is closed."""

    def __init__(self, registry: CollectorRegistry, host: str, port: int, probes: Probes | None = None) -> None:
        """Port 0 is any free one; `probes` are answered, too. Raises OSError where nobody can listen there."""
        self._server, self._thread = start_http_server(port, host, registry)
        if probes is not None and (metrics := self._server.get_app()) is not None:
            self._server.set_app(probes.beside(metrics))

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = str(self._server.server_address[0]), self._server.server_address[1]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/metrics"

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
