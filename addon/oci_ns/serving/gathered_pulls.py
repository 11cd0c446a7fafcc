"""Pulls whose requests went through several processes: what these observed, brought into the order of time.

Knows no clock but the times it is given. What to make of the order is in `pulls`.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable
from dataclasses import replace

from oci_ns.pull import Pull
from oci_ns.pulls import Pulls
from oci_ns.serving.worker_link import Begun, Ended
from oci_ns.transfer import Transfer

LAG_SECONDS = 0.5
"""How long an event may be on its way: later ones of other processes wait so long for it."""

_Key = tuple[int, float, str, str, str]
_Event = tuple[float, int, int, int, Transfer]
_BEGUN, _ENDED = 1, 2


class GatheredPulls:
    """Groups what workers, told by their numbers, have observed."""

    def __init__(self) -> None:
        self._pulls = Pulls()
        self._waiting: list[_Event] = []
        self._under_way: dict[_Key, tuple[Pull, Transfer]] = {}
        self._count = itertools.count()

    def take(self, worker: int, event: Begun | Ended) -> None:
        """See what a worker has observed."""
        transfer = event.transfer
        if isinstance(event, Begun):
            self._put(transfer.begun, _BEGUN, worker, transfer)
        else:
            self._put(max(transfer.ended or transfer.begun, transfer.begun), _ENDED, worker, transfer)

    def gone(self, worker: int, now: float, why: str) -> None:
        """The worker has ended, and with it all its requests."""
        self._process(now)
        for key in [key for key in self._under_way if key[0] == worker]:
            _, transfer = self._under_way[key]
            self._put(now, _ENDED, worker, replace(transfer, ended=now, error=why))

    def over(self, now: float) -> list[Pull]:
        """The pulls that are over."""
        self._process(now - LAG_SECONDS)
        return self._pulls.over(now - LAG_SECONDS)

    def close(self) -> list[Pull]:
        """All that are not over: no more will come."""
        self._process(float("inf"))
        return self._pulls.close()

    def _put(self, at: float, kind: int, worker: int, transfer: Transfer) -> None:
        heapq.heappush(self._waiting, (at, kind, next(self._count), worker, transfer))

    def _process(self, until: float) -> None:
        for _, kind, _, worker, transfer in self._until(until):
            key = (worker, transfer.begun, transfer.client, transfer.agent, transfer.method)
            if kind == _BEGUN:
                pull = self._pulls.begin(transfer)
                if pull is not None:
                    self._under_way[key] = (pull, transfer)
            elif key in self._under_way:
                self._pulls.end(self._under_way.pop(key)[0], transfer)

    def _until(self, until: float) -> Iterable[_Event]:
        while self._waiting and self._waiting[0][0] <= until:
            yield heapq.heappop(self._waiting)
