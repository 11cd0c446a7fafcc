"""Knows what an actor is: somebody who does one thing after the other until all is over, from a seed."""

from __future__ import annotations

import random
import threading
import traceback
from abc import ABC, abstractmethod
from typing import Final

from .ledger import Ledger

_PATIENCE: Final = 150.0
"""In seconds, to wait for an actor's last operation: as long as a whole client may take."""


class Actor(ABC):
    """Belongs to the thread that runs it."""

    pause: float = 0.0
    """In seconds, between two operations."""

    def __init__(self, name: str, ledger: Ledger, seed: int) -> None:
        self.name = name
        self.tally = name
        """Its name in the ledger."""
        self.ledger = ledger
        self.chance = random.Random(f"{seed} {name}")

    @abstractmethod
    def once(self) -> None:
        """One operation, whatever comes of it."""

    def close(self) -> None:
        """Let go of all that is held."""
        return


class Company:
    """Actors, each in a thread of its own."""

    def __init__(self, actors: list[Actor]) -> None:
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=[actor], name=actor.name) for actor in actors]

    def start(self) -> None:
        """Let all begin."""
        for thread in self._threads:
            thread.daemon = True
            thread.start()

    def stop(self) -> list[str]:
        """Let all end what they are at; the names of those who do not."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(_PATIENCE)
        return [thread.name for thread in self._threads if thread.is_alive()]

    def _run(self, actor: Actor) -> None:
        try:
            while not self._stopping.is_set():
                actor.once()
                self._stopping.wait(actor.pause)
            actor.close()
        except Exception:
            actor.ledger.broke(actor.name, traceback.format_exc())
