"""Knows what each actor did: how many operations, how many bytes, and every failure with its time and its words."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that a client wanted and did not get, from `begin` to `end` of `time.monotonic`."""

    actor: str
    what: str
    begin: float
    end: float
    detail: str
    restartable: bool = True
    """Whether it was of endpoints that the soak restarts."""
    cut: bool = False
    """Whether the head of the answer had come, and its body ended early, which the client noticed."""
    wall: float = field(default_factory=time.time)
    """When it was noted, in seconds since the epoch."""


@dataclass(slots=True)
class Tally:
    """What an actor did."""

    operations: int = 0
    bytes: int = 0
    wrong: int = 0
    """Successes with the wrong content."""
    counted: Counter[str] = field(default_factory=Counter)


class Ledger:
    """The tallies and failures of all; may be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.tallies: dict[str, Tally] = {}
        self.failures: list[Failure] = []
        self.wrong: list[str] = []
        """What came with the wrong content, in words."""
        self.broken: list[str] = []
        """Actors that ended by an error of their own, in words."""

    def did(self, actor: str, length: int = 0, **counted: int) -> None:
        """An operation that went well, with so many bytes of content."""
        with self._lock:
            tally = self._tally(actor)
            tally.operations += 1
            tally.bytes += length
            tally.counted.update(counted)

    def counted(self, actor: str, **counted: int) -> None:
        """Something to be counted that is no operation."""
        with self._lock:
            self._tally(actor).counted.update(counted)

    def failed(self, failure: Failure) -> None:
        """An operation that failed."""
        with self._lock:
            self._tally(failure.actor).operations += 1
            self.failures.append(failure)

    def got_wrong(self, actor: str, words: str) -> None:
        """An operation that ended as a success, with the wrong content."""
        with self._lock:
            tally = self._tally(actor)
            tally.operations += 1
            tally.wrong += 1
            self.wrong.append(f"{actor}: {words}")

    def broke(self, actor: str, words: str) -> None:
        """An actor cannot go on."""
        with self._lock:
            self.broken.append(f"{actor}: {words}")

    def total(self, what: str) -> int:
        """The sum over all actors of something that was counted."""
        with self._lock:
            return sum(tally.counted[what] for tally in self.tallies.values())

    def _tally(self, actor: str) -> Tally:
        return self.tallies.setdefault(actor, Tally())
