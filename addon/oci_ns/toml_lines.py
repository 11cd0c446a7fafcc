"""Where the tables and keys of a registries.conf stand in its text, for messages that name a line.

The TOML parser tells values, not positions. Headers are found by their own lines; a file that hides a header in a
multi-line string or uses inline tables gives no lines rather than wrong ones.
"""

from __future__ import annotations

import functools
import re

_HEADER = re.compile(r"^[ \t]*\[\[?[ \t]*([^\[\]\n]+?)[ \t]*\]\]?[ \t]*(?:#.*)?\r?$", re.MULTILINE)


class TomlLines:
    """Line numbers of `[[registry]]` and `[[registry.mirror]]` tables in a part of a document, and of their keys."""

    def __init__(self, text: str, mirrors_per_registry: list[int], first: int = 1) -> None:
        """`mirrors_per_registry` is what the parser found: one number of mirrors for each registry.

        `first` is the number of the text's first line.
        """
        self._text = text
        self._first = first
        self._wanted = mirrors_per_registry

    @functools.cached_property
    def _starts(self) -> list[int]:
        return [line for line, _ in self._headers]

    @functools.cached_property
    def _headers(self) -> list[tuple[int, str]]:
        """The line and the name of each header."""
        found: list[tuple[int, str]] = []
        at, line = 0, self._first
        for match in _HEADER.finditer(self._text):
            line += self._text.count("\n", at, match.start())
            at = match.start()
            found.append((line, match[1].replace(" ", "").replace('"', "")))
        return found

    @functools.cached_property
    def _tables(self) -> list[list[int]]:
        """The lines of each registry and its mirrors; none where they are not what the parser found."""
        tables: list[list[int]] = []
        for line, name in self._headers:
            array, _, key = name.partition(".")
            if name == "registry":
                tables.append([line])
            elif array == "registry" and key.lower() == "mirror" and tables:
                tables[-1].append(line)
        return tables if [len(lines) - 1 for lines in tables] == self._wanted else []

    @functools.cached_property
    def _end(self) -> int:
        return self._first + self._text.count("\n") + 1

    @functools.cached_property
    def _lines(self) -> list[str]:
        """Split only for a message: a long document has many lines, and mostly nothing is wrong with it."""
        return self._text.split("\n")

    def registry(self, number: int, key: str | None = None) -> int | None:
        """The line of registry `number` (from 0), or of `key` in it; None where it is not known."""
        return self._key(self._tables[number][0], key) if self._tables else None

    def mirror(self, number: int, mirror: int, key: str | None = None) -> int | None:
        """The line of mirror `mirror` (from 0) of registry `number` (from 0), or of `key` in it."""
        return self._key(self._tables[number][mirror + 1], key) if self._tables else None

    def top_level(self, key: str) -> int | None:
        """The line of a key or table of the document itself; None where it is not known."""
        end = self._starts[0] if self._starts else self._end
        return self._find(self._first, end, key) or self._find_header(key)

    def _find_header(self, key: str) -> int | None:
        return next((line for line, name in self._headers if name.partition(".")[0] == key), None)

    def _line(self, number: int) -> str:
        return self._lines[number - self._first]

    def _key(self, header: int, key: str | None) -> int:
        if key is None:
            return header
        following = next((start for start in self._starts if start > header), self._end)
        return self._find(header + 1, following, key) or header

    def _find(self, first: int, end: int, key: str) -> int | None:
        pattern = re.compile(rf"[ \t]*[\"']?{re.escape(key)}[\"']?[ \t]*=", re.IGNORECASE)
        return next((line for line in range(first, end) if pattern.match(self._line(line))), None)
