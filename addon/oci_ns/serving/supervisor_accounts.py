"""What a supervisor keeps account of for all its workers: pulls, told as one process tells them, and metrics."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from oci_ns.json_log import JsonLog
from oci_ns.options import listen_address
from oci_ns.printable import printable
from oci_ns.probes import Probes
from oci_ns.pull import Pull
from oci_ns.pull_text import pull_line
from oci_ns.serving.metrics_directory import DIRECTORY, use_directory
from oci_ns.serving.worker_link import Loaded

if TYPE_CHECKING:
    from oci_ns.metrics import MetricsServer, PullMetrics

logger = logging.getLogger(__name__)


class SupervisorAccounts:
    """Keeps the accounts. The functions are those of `gathered_metrics.Workers`."""

    def __init__(
        self,
        processes: Callable[[], Mapping[str, int]],
        loads: Callable[[], Iterable[Loaded]],
        restarts: Callable[[], int],
    ) -> None:
        self._about = (processes, loads, restarts)
        self.probes: Probes | None = None
        """What is answered beside the metrics."""
        self._log: JsonLog | None = None
        self._metrics: PullMetrics | None = None
        self._server: MetricsServer | None = None

    def open(self, log_json: str, metrics: str) -> None:
        """Begin, by the options of these names. Raises OSError or ValueError, with the reason."""
        if log_json:
            self._log = JsonLog(log_json)
        if metrics:
            self._serve(metrics)

    def _serve(self, address: str) -> None:
        # Only here: prometheus-client is to find the directory when it is imported.
        use_directory(0)
        from prometheus_client import CollectorRegistry  # noqa: PLC0415

        from oci_ns.metrics import MetricsServer, PullMetrics  # noqa: PLC0415
        from oci_ns.serving.gathered_metrics import Workers, gathered  # noqa: PLC0415

        host, port = listen_address("ns_metrics", address)
        self._metrics = PullMetrics(CollectorRegistry())
        try:
            self._server = MetricsServer(
                gathered(os.environ[DIRECTORY], Workers(*self._about)), host, port, self.probes
            )
        except OSError as error:
            raise ValueError(f"ns_metrics cannot listen on {address}: {error.strerror}") from error
        logger.info("metrics at %s", self._server.url)

    def forget(self, worker: int) -> None:
        """The worker is dead."""
        if self._server is not None:
            from oci_ns.serving.gathered_metrics import forget  # noqa: PLC0415

            forget(worker, os.environ[DIRECTORY])

    def tell(self, over: Iterable[Pull]) -> None:
        """These pulls are over."""
        for pull in over:
            log = logger.warning if pull.result == "failed" else logger.info
            log("%s", printable(pull_line(pull)))
            if self._log is not None:
                self._log.pulled(pull)
            if self._metrics is not None:
                self._metrics.pulled(pull)

    def close(self) -> None:
        """The end."""
        if self._log is not None:
            self._log.close()
        if self._server is not None:
            self._server.close()
