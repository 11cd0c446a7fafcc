"""Knows what tests measured, to be printed at the end of a run: figures for people, which no test depends on."""

from __future__ import annotations

import time

lines: list[str] = []


def measured(what: str, started: float) -> None:
    """Note that `what` took the time since `started` (of `time.monotonic`)."""
    noted(f"{what}: {time.monotonic() - started:.2f} s")


def noted(line: str) -> None:
    """Note a line."""
    lines.append(line)
