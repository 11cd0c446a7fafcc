"""Knows what came of a soak: everything that was seen, before anybody judges it."""

from __future__ import annotations

from dataclasses import dataclass

from .ledger import Ledger
from .ping import Ping
from .scrape import Scrape
from .settings import Settings
from .watch import Held, Watch
from .windows import Windows


@dataclass(frozen=True, slots=True)
class Outcome:
    """All of it."""

    settings: Settings
    actors: tuple[str, ...]
    """Their names in the ledger."""
    seconds: float
    """Of load."""
    ledger: Ledger
    windows: Windows
    watch: Watch
    idle: Held
    after: Held
    tables: dict[str, int]
    pings: list[Ping]
    scrapes: list[Scrape]
    unanswered: list[str]
    log: str
    survived: bool
    end: str
    touched: list[str]
