"""A long TOML document, parsed piece by piece: the same values as at once, without one long stop of all threads.

The parser is compiled and lets no other thread run until it returns, seconds for a document of many megabytes. So the
document is cut before lines that are `[[registry]]`. A cut inside a string, array or inline table leaves a piece that
is no TOML, so it cannot go unnoticed; then the rest is parsed as one. A caller who can read some of these tables
without the parser does so in between.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import tomli

PIECE_SIZE = 32 * 1024
"""The most that the least length of a piece grows to, in characters; parsed in a few milliseconds."""

ARRAY = "registry"
"""The name of the array whose tables a document is cut at."""

_CUT = re.compile(rf"^\[\[{ARRAY}\]\]", re.MULTILINE)


class TomlSyntaxError(Exception):
    """A document is not TOML: the line (from 1; None where it is not known) and what is wrong."""

    def __init__(self, line: int | None, message: str) -> None:
        super().__init__(message)
        self.line = line


class NotInPiecesError(Exception):
    """The pieces do not tell what the whole says: it has to be parsed at once."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What a part of the document, from character `start` up to `end`, says."""

    start: int
    end: int
    values: dict[str, Any]


def parse_pieces(text: str, skip: Callable[[int], int] = lambda at: at) -> Iterator[Piece]:
    """Parse a document; each key but `registry`, whose tables add up, is in one piece only.

    At a line that is `[[registry]]`, `skip` tells from its position up to where the caller has read the document
    itself: to another such line, or to the end. Raises TomlSyntaxError, or NotInPiecesError: what was given so far
    and what the caller read comes to nothing, `parse_whole` tells.
    """
    at, least = 0, 1
    may_grow: dict[str, bool] = {}
    while at < len(text):
        if _CUT.match(text, at):
            behind = skip(at)
            if behind > at:
                at, least = behind, 1
                continue
        cut = _CUT.search(text, at + least)
        piece = _parse(text, at, cut.start() if cut else len(text), may_grow)
        if at == 0 and piece.end < len(text) and ARRAY in piece.values and not _CUT.match(text):
            # Whether more may be added to it depends on how it was written.
            raise NotInPiecesError
        others = piece.values.keys() - {ARRAY}
        if not may_grow.keys().isdisjoint(others):
            # It says more about something that another began, so that order matters.
            raise NotInPiecesError
        may_grow.update((key, _may_grow(piece.values[key])) for key in others)
        yield piece
        at, least = piece.end, min(PIECE_SIZE, 2 * (piece.end - at))


def parse_whole(text: str) -> dict[str, Any]:
    """Parse a document at once. Raises TomlSyntaxError."""
    return _loads(text, 0)


def _parse(text: str, start: int, end: int, may_grow: dict[str, bool]) -> Piece:
    try:
        return Piece(start, end, tomli.loads(text[start:end]))
    except (ValueError, RecursionError):
        if any(may_grow.values()):
            raise NotInPiecesError from None
        # Wrong in itself or by the cut. All before was right, so that at least was cut where it may be.
        return Piece(start, len(text), _loads(text, start))


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
    except ValueError as error:
        # The parser leaves this one to Python, which does not read a decimal number of any length.
        raise TomlSyntaxError(None, "a number has too many digits") from error
