"""Where the tables and keys of a registries.conf stand in its text, for messages that name a line.

The TOML parser tells values, not positions. Headers are found by their own lines; a file that hides a header in a
multi-line string or uses inline tables gives no lines rather than wrong ones.
"""

from __future__ import annotations

import functools
import re

_HEADER = re.compile(r"^[ \t]*\[\[?[ \t]*([^\[\]\n]+?)[ \t]*\]\]?[ \t]*(?:#.*)?\r?$", re.MULTILINE)


class TomlLines:
    """Line numbers, from 1, of one document's `[[registry]]` and `[[registry.mirror]]` tables and of their keys."""

    def __init__(self, text: str, mirrors_per_registry: list[int]) -> None:
        """`mirrors_per_registry` is what the parser found: one number of mirrors for each registry."""
        self._text = text
        self._end = text.count("\n") + 2
        self._registries: list[int] = []
        self._mirrors: list[list[int]] = []
        self._starts: list[int] = []
        at, line = 0, 1
        for match in _HEADER.finditer(text):
            line += text.count("\n", at, match.start())
            at = match.start()
            self._starts.append(line)
            name = match[1].replace(" ", "").replace('"', "")
            if name == "registry":
                self._registries.append(line)
                self._mirrors.append([])
            elif name == "registry.mirror" and self._mirrors:
                self._mirrors[-1].append(line)
        if [len(found) for found in self._mirrors] != mirrors_per_registry:
            self._registries, self._mirrors = [], []

    @functools.cached_property
    def _lines(self) -> list[str]:
        """Split only for a message: a long document has many lines, and mostly nothing is wrong with it."""
        return self._text.split("\n")

    def registry(self, number: int, key: str | None = None) -> int | None:
        """The line of registry `number` (from 0), or of `key` in it; None where it is not known."""
        return self._key(self._registries[number], key) if self._registries else None

    def mirror(self, number: int, mirror: int, key: str | None = None) -> int | None:
        """The line of mirror `mirror` (from 0) of registry `number` (from 0), or of `key` in it."""
        return self._key(self._mirrors[number][mirror], key) if self._registries else None

    def top_level(self, key: str) -> int | None:
        """The line of a key or table of the document itself; None where it is not known."""
        end = self._starts[0] if self._starts else self._end
        return self._find(1, end, key) or self._find_header(key)

    def _find_header(self, key: str) -> int | None:
        for line in self._starts:
            match = _HEADER.match(self._lines[line - 1])
            if match is not None and match[1].split(".")[0].strip().strip('"') == key:
                return line
        return None

    def _key(self, header: int, key: str | None) -> int:
        if key is None:
            return header
        following = next((start for start in self._starts if start > header), self._end)
        return self._find(header + 1, following, key) or header

    def _find(self, first: int, end: int, key: str) -> int | None:
        pattern = re.compile(rf"[ \t]*[\"']?{re.escape(key)}[\"']?[ \t]*=", re.IGNORECASE)
        return next((line for line in range(first, end) if pattern.match(self._lines[line - 1])), None)
