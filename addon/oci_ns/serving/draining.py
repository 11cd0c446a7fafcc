"""How a runner ends without cutting off what is under way: it listens no more, and waits until that is done.

A mitmproxy addon, which is there only where somebody wants to wait for it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from weakref import WeakSet

from mitmproxy import ctx, http
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.master import Master

logger = logging.getLogger(__name__)

QUIET_SECONDS = 1.0
"""How long nothing has to be under way until it is over: between two requests of a pull, nothing is."""
_TICK_SECONDS = 0.05


class Draining:
    """Ends the master when no request is under way, and no later than `seconds` after it was begun."""

    def __init__(self, master: Master, seconds: float) -> None:
        self._master = master
        self._seconds = seconds
        self._flows: WeakSet[http.HTTPFlow] = WeakSet()
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Listen no more, and end when all is done; at once where this is said a second time."""
        if self._task is not None:
            self._master.shutdown()
            return
        self._task = asyncio.get_running_loop().create_task(self._drain())

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """A request begins."""
        self._flows.add(flow)

    def response(self, flow: http.HTTPFlow) -> None:
        """Its answer is there as a whole."""
        self._flows.discard(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        """It will have none."""
        self._flows.discard(flow)

    async def _drain(self) -> None:
        ctx.options.update(server=False)
        until = time.monotonic() + self._seconds
        busy_at = time.monotonic() if self._is_busy() else None
        if busy_at is not None:
            logger.info("waiting for %d requests, %g s at most", len(self._flows), self._seconds)
        while busy_at is not None and (now := time.monotonic()) < min(until, busy_at + QUIET_SECONDS):
            await asyncio.sleep(_TICK_SECONDS)
            if self._is_busy():
                busy_at = now
        if self._flows:
            logger.warning("%d requests are cut off: they took longer than %g s", len(self._flows), self._seconds)
        self._master.shutdown()

    def _is_busy(self) -> bool:
        return bool(self._flows) or _unsent(self._master.addons.get("proxyserver"))


def _unsent(server: Proxyserver) -> bool:
    """Whether a client has not read yet what is there for it."""
    return any(
        isinstance(each.writer, asyncio.StreamWriter) and each.writer.transport.get_write_buffer_size() > 0
        for handler in server.connections.values()
        for each in handler.transports.values()
    )
