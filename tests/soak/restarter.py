"""Who ends the mirrors and starts them again: one at a time, each in its turn, and now and then both at once."""

from __future__ import annotations

import contextlib
import random
import time
from typing import Final

from .ledger import Ledger
from .mirror import Mirror
from .windows import LOOKS_AGAIN, SLACK, Windows

_NAME: Final = "restarter"
_BOTH_EVERY: Final = 5
_BOTH_SECONDS: Final = 2.0


class Restarter:
    """Runs in the thread that started the mirrors, since they end with it."""

    def __init__(self, mirrors: tuple[Mirror, Mirror], windows: Windows, ledger: Ledger, seed: int) -> None:
        self._mirrors = mirrors
        self._windows = windows
        self._ledger = ledger
        self._chance = random.Random(f"{seed} {_NAME}")
        self._turn = 0

    def run(self, until: float, rest: float) -> None:
        """Restart until that moment of `time.monotonic`, `rest` seconds after one another. All run at the end."""
        while True:
            # One that is back is in use again before the other goes down.
            pause = LOOKS_AGAIN + SLACK + rest * self._chance.uniform(0.5, 1.0)
            if time.monotonic() + pause + 3 * _BOTH_SECONDS > until:
                time.sleep(max(0.0, until - time.monotonic()))
                return
            time.sleep(pause)
            self._turn += 1
            if self._turn % _BOTH_EVERY == 0:
                self._down(self._mirrors, _BOTH_SECONDS)
            else:
                self._down([self._chance.choice(self._mirrors)], self._chance.uniform(0.3, 3.0))

    def _down(self, mirrors: tuple[Mirror, ...] | list[Mirror], seconds: float) -> None:
        kill = self._chance.random() < 0.5
        with contextlib.ExitStack() as stack:
            for mirror in mirrors:
                stack.enter_context(self._windows.down(mirror.authority))
                mirror.end(kill=kill)
            time.sleep(seconds)
            for mirror in mirrors:
                mirror.start()
        self._ledger.did(_NAME, killed=int(kill), both=int(len(mirrors) > 1))
