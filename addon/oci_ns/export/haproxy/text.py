"""Words, maps and comments of HAProxy's configuration files: whatever the text, it is one word, or is refused.

Knows the syntax (HAProxy's configuration manual, section 2.2, "Quoting and escaping"); nothing of what is configured.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_SPECIAL = re.compile(r"""([\s"'\\#$])""")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_no_key = re.compile(r"#|.*[\x00-\x20\x7f]|$", re.DOTALL).match
_LINE_MAX = 16_000
"""In bytes: what HAProxy reads of a line of a map at once (`tune.bufsize`), and some room."""


class NotWritableError(ValueError):
    """A text that HAProxy's syntax has no form for."""


def word(text: str) -> str:
    """The text as one word of a line. Raises NotWritableError where it has a control character."""
    if _CONTROL.search(text):
        raise NotWritableError(f"{text!r} has a control character")
    return _SPECIAL.sub(r"\\\1", text)


def argument(text: str) -> str:
    """The text as an argument of a converter that stands in single quotes. Raises NotWritableError."""
    if _CONTROL.search(text) or not _SPECIAL.sub("", text) == text.replace(" ", ""):
        raise NotWritableError(f"{text!r} has a character that an argument cannot have: quotes, a backslash, # or $")
    return f'"{text}"'


def shown(text: str) -> str:
    """The text for a comment, on one line."""
    return _CONTROL.sub("?", text).encode("utf-8", "backslashreplace").decode()


def nth(number: int) -> str:
    """The converter that takes one of the fields between spaces."""
    return f'field({number}," ")'


def looked_up(directory: str, name: str, how: str = "str") -> str:
    """The converter that looks up in a map of the directory."""
    return f"map_{how}({argument(f'{directory}/{name}.map')})"


def inside_json(text: str) -> str:
    """The text as it stands inside a string of a JSON document; without any `|`, which separates fields here."""
    return json.dumps(text)[1:-1].replace("|", "\\u007c")


@dataclass(slots=True)
class MapFile:
    """A file of keys and values. What is looked up in it is found in constant time, or by the longest beginning."""

    name: str
    about: str
    _rows: dict[str, tuple[str, str]] = field(default_factory=dict)

    def add(self, key: str, value: str, entry: str = "") -> None:
        """Have `key` mean `value`; `entry` says where that comes from. Raises NotWritableError."""
        if not value or _no_key(key) or _CONTROL.search(value):
            raise NotWritableError(f"{key!r} cannot be a key of a map")
        if len(key) + len(value) > _LINE_MAX:
            raise NotWritableError(f"{key[:100]!r}… is too long for a map")
        self._rows[key] = value, entry

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it."""
        return not self._rows

    def text(self) -> str:
        """The file."""
        return "\n".join([f"# {self.about}", *self._lines()]) + "\n"

    def _lines(self) -> Iterable[str]:
        last = ""
        for key, (value, entry) in self._rows.items():
            if entry and entry != last:
                yield f"# {shown(entry)}"
            last = entry
            yield f"{key} {value}"
