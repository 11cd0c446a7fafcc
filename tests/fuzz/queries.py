"""How others read a query: Go's `url.ParseQuery`, and Python's `urllib.parse`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qsl

from tests.fuzz.target import bytes_of, text_of

_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")


def _unescaped(data: bytes) -> bytes | None:
    """As `url.QueryUnescape` does; None where that is an error."""
    if _BAD_ESCAPE.search(data):
        return None
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), data.replace(b"+", b" "))


def read_by_go(query: str | None, name: str) -> list[str]:
    """The values of a parameter in `url.ParseQuery`, which leaves out what it cannot read."""
    found = []
    for parameter in bytes_of(query or "").split(b"&"):
        key, _, value = parameter.partition(b"=")
        pair = _unescaped(key), _unescaped(value)
        if b";" not in parameter and pair[1] is not None and parameter and pair[0] == name.encode():
            found.append(text_of(pair[1]))
    return found


def read_by_python(query: str | None, name: str) -> list[str]:
    """The values of a parameter in `urllib.parse`, which takes what it cannot read as it is."""
    pairs = parse_qsl(query or "", keep_blank_values=True, errors="surrogateescape")
    return [value for key, value in pairs if key == name]


def others(query: str | None, name: str) -> list[str]:
    """The parameters of a query that are not called so, as they are written."""
    return [each for each in _parameters(query) if not read_by_python(each, name)]


def _parameters(query: str | None) -> Iterator[str]:
    yield from (query or "").split("&") if query else ()
