"""Who keeps account of what goes by: the JSON log and the metrics, as the options ask for them.

A mitmproxy addon; it starts and ends them, and hands on what the observer sees.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

from mitmproxy import ctx, exceptions

from oci_ns.index import RouteIndex
from oci_ns.json_log import JsonLog
from oci_ns.options import listen_address
from oci_ns.probes import Probes, turns
from oci_ns.pull import Pull
from oci_ns.transfer import Transfer

if TYPE_CHECKING:
    from oci_ns.metrics import Metrics, MetricsServer

logger = logging.getLogger(__name__)


class Accounting:
    """Keeps the accounts. `index` gives the table in use. Unless it is `alone`, another process serves the metrics."""

    def __init__(self, index: Callable[[], RouteIndex], *, alone: bool = True) -> None:
        self._index = index
        self._alone = alone
        self._loaded = time.time()
        self._log: JsonLog | None = None
        self._metrics: Metrics | None = None
        self._server: MetricsServer | None = None
        self._running = False
        self._listening = False

    def running(self) -> None:
        """Everything listens. From here on an option that does not work is refused, where before it ended the start."""
        self._running = True
        self._listening = ctx.options.server

    def configure(self, updated: Collection[str]) -> None:
        """Start and end what the options ask for."""
        if "server" in updated:
            self._listening = self._running and ctx.options.server
        try:
            if "ns_log_json" in updated:
                self._use_log(ctx.options.ns_log_json)
            if "ns_metrics" in updated:
                self._use_metrics(ctx.options.ns_metrics)
        except (OSError, ValueError) as error:
            if self._running:
                raise exceptions.OptionsError(str(error)) from error
            # During start-up an error in the log ends mitmproxy with exit status 1; an exception would add a traceback.
            logger.error("%s", error)

    def done(self) -> None:
        """End both."""
        self._close_log()
        self._close_metrics()

    def loaded(self, ok: bool) -> None:
        """The configuration was read, and is in use if `ok`."""
        if ok:
            self._loaded = time.time()
        if self._metrics is not None:
            self._metrics.loaded(ok)

    @property
    def _accounts(self) -> Iterator[JsonLog | Metrics]:
        if self._log is not None:
            yield self._log
        if self._metrics is not None:
            yield self._metrics

    def decided(self, transfer: Transfer) -> None:
        """A request was decided about."""
        for account in self._accounts:
            account.decided(transfer)

    def answered(self, transfer: Transfer) -> None:
        """A request has its answer, or will have none."""
        for account in self._accounts:
            account.answered(transfer)

    def pulled(self, pull: Pull) -> None:
        """A pull is over."""
        for account in self._accounts:
            account.pulled(pull)

    def _use_log(self, path: str) -> None:
        try:
            log = JsonLog(path) if path else None
        except OSError as error:
            raise ValueError(f"ns_log_json: {path} cannot be written: {error.strerror}") from error
        self._close_log()
        self._log = log

    def _use_metrics(self, address: str) -> None:
        if not address:
            self._close_metrics()
            return
        host, port = listen_address("ns_metrics", address)
        try:
            from oci_ns.metrics import Metrics, MetricsServer, Table  # noqa: PLC0415
        except ImportError as error:
            raise ValueError("ns_metrics needs prometheus-client: pip install prometheus-client") from error
        self._close_metrics()
        metrics = self._metrics or Metrics(lambda: Table(self._index(), self._loaded), alone=self._alone)
        if not self._alone:
            self._metrics = metrics
            return
        try:
            self._server = MetricsServer(metrics.registry, host, port, self._probes())
        except OSError as error:
            raise ValueError(f"ns_metrics cannot listen on {address}: {error.strerror}") from error
        self._metrics = metrics
        logger.info("metrics at %s", self._server.url)

    def _probes(self) -> Probes:
        # Whoever asks is in another thread.
        master = ctx.master
        return Probes(lambda: turns(master.event_loop), lambda: self._listening)

    def _close_log(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None

    def _close_metrics(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
