"""Knows which failures are explained by what the soak itself did at the time. Everything else fails it.

Explained is, and nothing more:
- what overlaps a moment at which *all* endpoints of the request were down, each until ns-inject has to have looked
  again;
- a blob that a client saw break off while an endpoint went down: the head and a part of it were at the client by then,
  and no other endpoint can take that back.
"""

from __future__ import annotations

from .ledger import Failure
from .windows import Windows

ALL_DOWN = "all endpoints down"
CUT = "endpoint went down in the middle of a blob"

_EARLY = 0.25
"""In seconds: a window begins before its endpoint is told to end, the body before its client is told of the cut."""


def explanation(failure: Failure, windows: Windows) -> str | None:
    """Why a request failed; None where nobody knows."""
    if not failure.restartable:
        return None
    if windows.all_down(failure.begin, failure.end):
        return ALL_DOWN
    if failure.cut and windows.went_down(failure.begin - _EARLY, failure.end):
        return CUT
    return None
