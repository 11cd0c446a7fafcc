"""A long TOML document, parsed piece by piece: the same values as at once, without one long stop of all threads.

The parser is compiled and lets no other thread run until it returns, seconds for a document of many megabytes. So the
document is cut before lines that are `[[registry]]`. A cut inside a string, array or inline table leaves a piece that
is no TOML, so it cannot go unnoticed; then the rest is parsed as one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import tomli

from oci_ns.garbage import free_slowly

PIECE_SIZE = 32 * 1024
"""The least length of a piece, in characters; parsed in a few milliseconds."""

_ARRAY = "registry"
_CUT = re.compile(rf"^\[\[{_ARRAY}\]\]", re.MULTILINE)


class TomlSyntaxError(Exception):
    """A document is not TOML: the line (from 1; None where it is not known) and what is wrong."""

    def __init__(self, line: int | None, message: str) -> None:
        super().__init__(message)
        self.line = line


def load_toml(text: str) -> dict[str, Any]:
    """Parse a document. Raises TomlSyntaxError."""
    document: dict[str, Any] = {}
    try:
        together = _load_pieces(text, document)
    except TomlSyntaxError:
        free_document(document)
        raise
    return document if together else _loads(text, 0)


def free_document(document: dict[str, Any]) -> None:
    """Empty a document that may be long, so that other threads get their turn."""
    tables = document.get(_ARRAY)
    if isinstance(tables, list):
        free_slowly(tables)


def _load_pieces(text: str, document: dict[str, Any]) -> bool:
    """Add what each piece says to the document; False where the pieces do not tell what the whole says."""
    for start, end in _pieces(text):
        try:
            piece = tomli.loads(text[start:end])
        except (tomli.TOMLDecodeError, RecursionError):
            if any(key != _ARRAY and _may_grow(value) for key, value in document.items()):
                return False
            # Wrong in itself or by the cut. All before was right, so that at least was cut where it may be.
            return _append(document, _loads(text, start))
        if start == 0 and end < len(text) and _ARRAY in piece and not _CUT.match(text):
            # Whether more may be added to it depends on how it was written.
            return False
        if not _append(document, piece):
            return False
    return True


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    """Where each piece starts and ends: what is before the first cut, then as many tables as a piece should have."""
    start, shortest = 0, 0
    while start < len(text):
        cut = _CUT.search(text, start + shortest)
        end = cut.start() if cut else len(text)
        if end > start:
            yield start, end
        start, shortest = end, PIECE_SIZE


def _append(document: dict[str, Any], piece: dict[str, Any]) -> bool:
    """Add what a piece says; False where it says more about something that another began, so that order matters."""
    if not document.keys().isdisjoint(piece.keys() - {_ARRAY}):
        return False
    if _ARRAY in document:
        document[_ARRAY] += piece.pop(_ARRAY)
    document.update(piece)
    return True


def _may_grow(value: object) -> bool:
    """Whether headers further down can mean this value, so that they are right only behind it."""
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, dict) for item in value))


def _loads(text: str, start: int) -> dict[str, Any]:
    """Parse what begins at `start`; an error's line is that of the whole text."""
    before = text.count("\n", 0, start)
    try:
        return tomli.loads(text[start:])
    except RecursionError as error:
        raise TomlSyntaxError(None, "nested too deeply") from error
    except tomli.TOMLDecodeError as error:
        message, _, position = str(error).rpartition(" (at ")
        line = position.removeprefix("line ").partition(",")[0]
        rest = text.count("\n", start) + 1
        raise TomlSyntaxError(before + (int(line) if line.isdigit() else rest), message or str(error)) from error
