"""One TOML table read against its known keys: typed values out, and messages that say file, line and table.

Knows nothing of what the keys mean.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from oci_ns.problems import ConfigurationError, Problem
from oci_ns.toml_lines import TomlLines

_TYPE_NAMES: dict[type, str] = {str: "a string", bool: "true or false", list: "an array", dict: "a table"}


def shown(value: object) -> str:
    """A value as it stands in a message: as it is, or its type where it is too much to be written out."""
    try:
        return repr(value)
    except (ValueError, RecursionError):
        return f"this {type(value).__name__}"


def _close_to(key: str, known: Iterable[str]) -> str | None:
    """The known key that `key` is a slip for: spelt nearly so, or cut short at a hyphen."""
    names = list(known)
    close = difflib.get_close_matches(key, names, n=1, cutoff=0.8)
    return next(iter(close), None) or next((name for name in names if name.startswith(f"{key}-")), None)


@dataclass(slots=True)
class Report:
    """What messages about a part of a document need: its path, its lines, a name for each registry; all warnings.

    `before` is how many registries are in the document before this part.
    """

    path: Path
    lines: TomlLines
    names: list[str]
    warnings: list[Problem] = field(default_factory=list)
    before: int = 0


class Table:
    """A table of the document: the document itself, a registry (number) or a mirror (number of registry, of mirror)."""

    def __init__(
        self,
        report: Report,
        values: Mapping[str, Any],
        known: Mapping[str, type],
        place: tuple[int, ...] = (),
        misplaced: Mapping[str, str] | None = None,
    ) -> None:
        """`misplaced` says of a key that is known elsewhere where it belongs.

        Raises ConfigurationError where a known key's value has another type.
        """
        self.report = report
        self.place = place
        self.values: dict[str, Any] = {}
        for key, value in values.items():
            folded = key if key in known else key.lower()
            if folded not in known:
                self._unknown(key, known, misplaced or {})
            elif folded == key or folded not in values:
                # The reference implementation's decoder matches keys without regard to case.
                if not isinstance(value, known[folded]):
                    self.fail(key, f"{key} must be {_TYPE_NAMES[known[folded]]}, not {shown(value)}")
                self.values[folded] = value

    def _unknown(self, key: str, known: Mapping[str, type], misplaced: Mapping[str, str]) -> None:
        if key in misplaced:
            self.warn(key, f"{key} is ignored here; it belongs {misplaced[key]}", "misplaced-key")
            return
        close = _close_to(key.lower().replace("_", "-"), known)
        if close is not None:
            self.warn(key, f"unknown key {key} is ignored; did you mean {close}?", "similar-key")

    def line(self, key: str | None = None) -> int | None:
        """The line of the table, or of a key in it; None where it is not known."""
        lines = self.report.lines
        if len(self.place) == 2:
            return lines.mirror(self.place[0], self.place[1], key)
        return lines.registry(self.place[0], key) if self.place else lines.top_level(key or "")

    def _describe(self) -> str:
        if not self.place:
            return ""
        name = self.report.names[self.place[0]]
        text = f"[[registry]] {self.report.before + self.place[0] + 1}" + (f" ({name})" if name else "")
        return f"{text}, mirror {self.place[1] + 1}: " if len(self.place) == 2 else f"{text}: "

    def fail(self, key: str | None, message: str) -> NoReturn:
        """Raise ConfigurationError about the table, or about a key in it."""
        raise ConfigurationError(Problem(self.report.path, self.line(key), self._describe() + message))

    def warn(self, key: str | None, message: str, code: str) -> None:
        """Note what does not keep the document from loading but will not do what was meant."""
        self.report.warnings.append(Problem(self.report.path, self.line(key), self._describe() + message, code))

    def text(self, key: str) -> str:
        """A string; '' where it is not set."""
        return str(self.values.get(key, ""))

    def flag(self, key: str) -> bool:
        """A boolean; False where it is not set."""
        return bool(self.values.get(key))

    def strings(self, key: str) -> tuple[str, ...]:
        """An array of strings. Raises ConfigurationError where it holds anything else."""
        for item in self.values.get(key, []):
            if not isinstance(item, str):
                self.fail(key, f"{key} must be an array of strings, not {shown(item)}")
        return tuple(self.values.get(key, []))

    def tables(self, key: str) -> list[dict[str, Any]]:
        """An array of tables. Raises ConfigurationError where it holds anything else."""
        found: list[dict[str, Any]] = self.values.get(key, [])
        for item in found:
            if not isinstance(item, dict):
                self.fail(key, f"{key} must be an array of tables, not {shown(item)}")
        return found
