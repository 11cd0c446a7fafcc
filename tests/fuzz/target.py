"""What a fuzz target is: a function of bytes that raises where something does not hold, and what to begin with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """One thing to fuzz. `seeds` are inputs that are worth changing, `words` what the grammar is made of."""

    name: str
    summary: str
    one_input: Callable[[bytes], None]
    """Raises, with what does not hold, for an input that shows a fault; AssertionError where it can choose."""
    seeds: Callable[[], Iterable[bytes]]
    words: tuple[str, ...]


def text_of(data: bytes) -> str:
    """Bytes as mitmproxy has those of a request line: UTF-8, and what is not as surrogates."""
    return data.decode("utf-8", "surrogateescape")


def bytes_of(text: str) -> bytes:
    """The reverse of `text_of`."""
    return text.encode("utf-8", "surrogateescape")
