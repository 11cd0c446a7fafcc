"""mitmproxy's look-ups that every request needs by the dozen, with the same answers for less work.

By default, a header field is found by making all of them lower-case three times over, an event's arguments by asking
anew which fields it has, and an option is copied whenever it is read. Together that is a fifth of a request.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
from collections.abc import Collection, Coroutine
from typing import Any, TypeVar

from mitmproxy import hooks, http, options
from mitmproxy.utils import strutils

T = TypeVar("T")

_PLAIN = (str, int, bool, type(None))


def install() -> None:
    """Look up in this way from now on."""
    http.Headers.get_all = get_all  # type: ignore[method-assign, assignment]
    http.Headers.get = get  # type: ignore[method-assign, assignment]
    http.Headers.__contains__ = contains  # type: ignore[method-assign, assignment]
    hooks.Hook.args = arguments  # type: ignore[method-assign, assignment]
    asyncio.StreamReader.read = read  # type: ignore[method-assign, assignment]


def get_all(headers: http.Headers, name: str | bytes) -> list[str]:
    """As Headers.get_all."""
    wanted = _lower(name)
    return [value.decode("utf-8", "surrogateescape") for key, value in headers.fields if key.lower() == wanted]


def get(headers: http.Headers, name: str | bytes, default: T | None = None) -> str | T | None:
    """As Headers.get."""
    return ", ".join(found) if (found := get_all(headers, name)) else default


def contains(headers: http.Headers, name: str | bytes) -> bool:
    """As Headers.__contains__."""
    wanted = _lower(name)
    return any(key.lower() == wanted for key, _ in headers.fields)


_read = asyncio.StreamReader.read
_CHUNK = 65535
_CHUNK_MAX = 256 * 1024


def read(reader: asyncio.StreamReader, n: int = -1) -> Coroutine[Any, Any, bytes]:
    """As StreamReader.read, but what mitmproxy reads of a connection at once is all that is there."""
    return _read(reader, _CHUNK_MAX if n == _CHUNK else n)


def _lower(name: str | bytes) -> bytes:
    found: bytes = strutils.always_bytes(name, "utf-8", "surrogateescape")
    return found.lower()


def arguments(event: hooks.Hook) -> list[Any]:
    """As Hook.args."""
    return [getattr(event, name) for name in _names(type(event))]  # type: ignore[arg-type]


@functools.cache
def _names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(each.name for each in dataclasses.fields(kind))


class QuickOptions(options.Options):
    """mitmproxy's options, of which those that nobody can change in place are not copied."""

    def __init__(self) -> None:
        self._read: set[str] = set()
        super().__init__()
        self.changed.connect(self._forget)
        # Whoever is told of a change reads what has changed.
        self.changed.receivers.insert(0, self.changed.receivers.pop())

    def __getattr__(self, name: str) -> Any:
        value = super().__getattr__(name)  # type: ignore[no-untyped-call]
        if type(value) in _PLAIN:
            self.__dict__[name] = value
            self._read.add(name)
        return value

    def _forget(self, updated: Collection[str]) -> None:  # noqa: ARG002
        for name in self._read:
            self.__dict__.pop(name, None)
        self._read.clear()
