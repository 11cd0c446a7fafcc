"""What probes ask, beside the metrics: `/healthz`, whether to start anew, and `/readyz`, whether to send requests here.

Knows WSGI, and how to ask an event loop from another thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_TURN_SECONDS = 5.0
"""How long an event loop may be busy with one thing, the adoption of a large table say, before it counts as stuck."""


@dataclass(frozen=True, slots=True)
class Probes:
    """Both answers. They are asked for in a thread of their own."""

    alive: Callable[[], bool]
    ready: Callable[[], bool]

    def beside(self, application: WSGIApplication) -> WSGIApplication:
        """The application, which answers all other paths."""
        answers = {"/healthz": self.alive, "/readyz": self.ready}

        def answer(environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
            holds = answers.get(environment.get("PATH_INFO", ""))
            if holds is None:
                return application(environment, start)
            status, text = ("200 OK", b"ok\n") if holds() else ("503 Service Unavailable", b"no\n")
            headers = [
                ("Content-Type", "text/plain"),
                ("Content-Length", str(len(text))),
                ("Cache-Control", "no-store"),
            ]
            start(status, headers)
            return [text]

        return answer


def turns(loop: asyncio.AbstractEventLoop, seconds: float = _TURN_SECONDS) -> bool:
    """Whether the loop, which runs in another thread, gets round to anything within so many seconds."""
    turned = threading.Event()
    # A loop that is closed is no longer there.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(turned.set)
        return turned.wait(seconds)
    return False
