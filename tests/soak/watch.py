"""Knows what a running program holds: memory, open files, sockets, threads, processes, files; sampled every second."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from lab.process import rss_kib
from tests.bench.memory import session

_INTERVAL: Final = 1.0


@dataclass(frozen=True, slots=True)
class Held:
    """What all processes of a program hold together."""

    mib: float
    files: int
    """Open file descriptors, sockets among them."""
    sockets: int
    threads: int
    processes: int
    temporary: int
    """Files in its own directory for temporary ones, its logs aside."""


def held(pid: int, temporary: Path) -> Held:
    """What the program whose first process is `pid` holds now."""
    kib = files = sockets = threads = 0
    processes = session(pid)
    for each in processes:
        # One that ends just now holds nothing.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, AssertionError):
            kib += rss_kib(each)
            threads += len(os.listdir(f"/proc/{each}/task"))
            for name in os.listdir(f"/proc/{each}/fd"):
                with contextlib.suppress(FileNotFoundError):
                    files += 1
                    sockets += os.readlink(f"/proc/{each}/fd/{name}").startswith("socket:")
    there = sum(1 for path in temporary.rglob("*") if path.suffix != ".log")
    return Held(kib / 1024, files, sockets, threads, len(processes), there)


class Watch:
    """Samples until it is stopped, in a thread of its own."""

    def __init__(self, look: Callable[[], Held], also: Callable[[], None]) -> None:
        """`also` is called with every fifth sample."""
        self.samples: list[tuple[float, Held]] = []
        """With the time of `time.monotonic`."""
        self.broken = ""
        self._look = look
        self._also = also
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stopping.wait(_INTERVAL):
                self.samples.append((time.monotonic(), self._look()))
                if len(self.samples) % 5 == 0:
                    self._also()
        except Exception as error:
            self.broken = f"{type(error).__name__}: {error}"

    def quarters(self, name: str) -> list[float]:
        """The median of one field of `Held` in each quarter of the time."""
        values = [float(getattr(each, name)) for _, each in self.samples]
        edges = [len(values) * number // 4 for number in range(5)]
        return [statistics.median(values[a:b] or [0.0]) for a, b in itertools.pairwise(edges)]

    def most(self, name: str) -> float:
        """The greatest value of one field."""
        return max((float(getattr(each, name)) for _, each in self.samples), default=0.0)


FIELDS: Final = tuple(field.name for field in fields(Held))


def tables(inside: Path) -> dict[str, int]:
    """The sums of what `inside` wrote last, over all processes."""
    total: dict[str, int] = {}
    for file in inside.glob("*.json"):
        for name, value in json.loads(file.read_text()).items():
            total[name] = total.get(name, 0) + value
    return total
