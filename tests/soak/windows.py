"""Knows when which endpoint was down, by the clock of `time.monotonic`."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

LOOKS_AGAIN = 1.0
"""In seconds. An endpoint that refused a connection is not tried again before (`oci_ns.health.BACK_OFF_MIN`)."""
SLACK = 1.0
"""In seconds, for a machine that has more to do than it can."""


@dataclass(slots=True)
class Window:
    """An endpoint is down from `begin` (just before it is told to end) to `end` (it listens again)."""

    endpoint: str
    begin: float
    end: float = inf

    @property
    def felt(self) -> float:
        """Until when clients may still feel it: what was found down is not asked again at once."""
        return self.end + LOOKS_AGAIN + SLACK


class Windows:
    """All windows of all endpoints; may be used from any thread."""

    def __init__(self, endpoints: tuple[str, ...]) -> None:
        self.endpoints = endpoints
        self._windows: list[Window] = []
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def down(self, endpoint: str) -> Iterator[None]:
        """The endpoint is down for as long as this lasts."""
        window = Window(endpoint, time.monotonic())
        self.add(window)
        yield
        window.end = time.monotonic()

    def add(self, window: Window) -> None:
        """Note a window."""
        with self._lock:
            self._windows.append(window)

    def all(self) -> list[Window]:
        """In the order of their beginnings."""
        with self._lock:
            return list(self._windows)

    def all_down(self, begin: float, end: float) -> bool:
        """Whether at some moment from `begin` to `end` no endpoint could be used."""
        windows = self.all()
        moments = {begin, *(window.begin for window in windows if begin < window.begin <= end)}
        return any(
            all(any(w.endpoint == each and w.begin <= moment <= w.felt for w in windows) for each in self.endpoints)
            for moment in moments
        )

    def went_down(self, begin: float, end: float) -> list[str]:
        """The endpoints that went down between `begin` and `end`."""
        return [window.endpoint for window in self.all() if begin <= window.begin <= end]
