"""One registries.conf file as rows: its plain tables are read at once, all others by way of the TOML parser.

Knows how the two ways become one document; what the tables mean is in `registries_conf`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from oci_ns.plain_tables import read_plain_tables
from oci_ns.problems import SHADOWED, ConfigurationError, Problem
from oci_ns.registries_conf import Registry, TableReader
from oci_ns.registry_rows import BLOCKED, INSECURE, Rows
from oci_ns.toml_pieces import ARRAY, NotInPiecesError, parse_pieces, parse_whole


@dataclass(frozen=True)
class Document:
    """What one file says: its registries by prefix, its search registries (None: not set), and what looks wrong.

    `numbers` are those of the registries' rows.
    """

    rows: Rows
    numbers: dict[str, int]
    unqualified_search_registries: tuple[str, ...] | None
    warnings: tuple[Problem, ...]

    @cached_property
    def registries(self) -> dict[str, Registry]:
        """The registries by prefix, each prefix once."""
        return {prefix: self.rows.registry(number) for prefix, number in self.numbers.items()}


def read_document(path: Path, text: str, rows: Rows) -> Document:
    """Add the registries of the file at `path`, whose text is `text`, to the rows.

    Raises TomlSyntaxError, and ConfigurationError for what the reference implementation refuses to load.
    """
    first = len(rows)
    try:
        reader = _Reader(path, text, rows)
        document = reader.read_pieces()
    except NotInPiecesError:
        rows.cut(first)
        reader = _Reader(path, text, rows)
        document = parse_whole(text)
    return reader.finish(document)


class _Reader:
    """Reads one document; the state is how far it has come."""

    def __init__(self, path: Path, text: str, rows: Rows) -> None:
        self._text = text
        self._rows = rows
        self._first = len(rows)
        self._tables = TableReader(path)
        self._file = rows.file(path)
        self._count = 0
        """How many registries were read, those that do not load included."""
        self._at, self._line = 0, 1

    def read_pieces(self) -> dict[str, Any]:
        """Read the registries; what else is in the document. Raises TomlSyntaxError and NotInPiecesError."""
        document: dict[str, Any] = {}
        for piece in parse_pieces(self._text, self._read_plain):
            tables = piece.values.get(ARRAY)
            if isinstance(tables, list) and all(isinstance(table, dict) for table in tables):
                self._read(tables, piece.start, piece.end)
                piece.values[ARRAY] = []
            document |= piece.values
        # Whatever is called like it but for the case does not count where there is one.
        return document if self._count == 0 else {ARRAY: [], **document}

    def finish(self, document: dict[str, Any]) -> Document:
        """Read what else is in the document. Raises ConfigurationError."""
        top = self._tables.top_level(document, self._text)
        self._read(top.tables, 0, len(self._text))
        problems = [*self._tables.problems, *self._conflicts()]
        if problems:
            raise ConfigurationError(*problems)
        numbers = self._unique()
        return Document(self._rows, numbers, top.search_registries(), tuple(self._tables.warnings))

    def _read_plain(self, at: int) -> int:
        before = len(self._rows)
        behind = read_plain_tables(self._text, at, self._line_at(at), self._rows, self._file, self._count)
        self._count += len(self._rows) - before
        return behind

    def _read(self, tables: list[dict[str, Any]], start: int, end: int) -> None:
        if tables:
            line = self._line_at(start)
            for registry in self._tables.registries(tables, self._text[start:end], line, self._count):
                self._rows.add(registry)
            self._count += len(tables)

    def _line_at(self, position: int) -> int:
        """The line of a position, which is never before one that was asked for already."""
        self._line += self._text.count("\n", self._at, position)
        self._at = position
        return self._line

    def _own(self) -> range:
        return range(self._first, len(self._rows))

    def _conflicts(self) -> Iterator[Problem]:
        """Several registries may share a location, not with different ideas of its security."""
        rows = self._rows
        if not any(rows.flags[number] & BLOCKED or self._is_insecure(number) for number in self._own()):
            return
        first: dict[str, int] = {}
        for number in self._own():
            key = rows.locations[rows.ends[number] - 1] or rows.prefixes[number]
            other = first.setdefault(key, number)
            if other == number:
                continue
            for name, differ in (
                ("insecure", self._is_insecure(number) != self._is_insecure(other)),
                ("blocked", (rows.flags[number] ^ rows.flags[other]) & BLOCKED),
            ):
                if differ:
                    origin = rows.origin(number)
                    message = (
                        f'location "{key}" is {name} here and not at {rows.origin(other)}, or the reverse; choose one'
                    )
                    yield Problem(origin.path, origin.line, message)

    def _is_insecure(self, number: int) -> bool:
        return bool(self._rows.endpoint_flags[self._rows.ends[number] - 1] & INSECURE)

    def _unique(self) -> dict[str, int]:
        rows = self._rows
        numbers: dict[str, int] = {}
        for number in self._own():
            # The first of several with the same prefix counts, as in the reference implementation.
            kept = numbers.setdefault(rows.prefixes[number], number)
            if kept != number:
                prefix, origin = rows.prefixes[number], rows.origin(number)
                message = f"prefix {prefix} is there already, at {rows.origin(kept)}; this table has no effect"
                self._tables.warnings.append(Problem(origin.path, origin.line, message, SHADOWED))
        return numbers
