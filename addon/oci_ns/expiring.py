"""Things kept until a point in time, and no more of them than fit: the oldest go first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Expiring(Generic[_Key, _Value]):
    """A mapping. `now` is a clock in seconds, `entries_max` how many entries it has at most."""

    def __init__(self, now: Callable[[], float], entries_max: int) -> None:
        self._now = now
        self._entries_max = entries_max
        self._entries: dict[_Key, tuple[_Value, float]] = {}

    def get(self, key: _Key) -> _Value | None:
        """The value; None where there is none, or its time is over."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        value, until = entry
        if self._now() < until:
            return value
        del self._entries[key]
        return None

    def put(self, key: _Key, value: _Value, until: float) -> None:
        """Keep the value until then."""
        self._entries.pop(key, None)
        self._entries[key] = (value, until)
        while len(self._entries) > self._entries_max:
            del self._entries[next(iter(self._entries))]

    def drop(self, key: _Key) -> None:
        """Keep it no longer."""
        self._entries.pop(key, None)

    def __len__(self) -> int:
        return len(self._entries)
