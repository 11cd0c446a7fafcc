"""The syntax of nginx's configuration: quoting, `map` blocks, comments, and how large its hash tables must be.

Knows nothing of registries. Sources: nginx.org, "ngx_http_map_module", "Setting up hashes"; its `ngx_conf_file.c`
(quoting: a backslash stands for itself unless it is before a quote, a backslash, t, r or n) and `ngx_hash.h` (sizes).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

TOKEN_MAX = 4000
"""nginx reads its configuration by 4096 bytes, and no word of it may be longer."""

DOLLAR = "${oci_dollar}"
"""Stands for a dollar sign in a text in which variables are replaced: there is no escape for it."""

_RESERVED = frozenset({"default", "hostnames", "include", "volatile"})


class Row(NamedTuple):
    """One look-up of a `map`: the key, the value with its variables, and a comment."""

    key: str
    value: str
    comment: str = ""


@dataclass
class Sizes:
    """What the hash tables of the maps must hold."""

    longest: int = 0
    rows: int = 0

    def directives(self) -> list[str]:
        """The directives that make room for it."""
        bucket = 128
        while bucket < self.longest + 32:
            bucket *= 2
        return [
            f"map_hash_bucket_size {bucket};",
            f"map_hash_max_size {max(4096, 4 * self.rows)};",
            "variables_hash_max_size 4096;",
            "variables_hash_bucket_size 128;",
        ]


def quoted(text: str) -> str:
    """A text as one word of the configuration. Raises ValueError where nginx cannot read it."""
    if "\0" in text or (len(text) > TOKEN_MAX // 4 and len(text.encode(errors="surrogateescape")) > TOKEN_MAX):
        raise ValueError("nginx's configuration has no words that long, or with NUL in them")
    if "\\" in text or '"' in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def literal(text: str) -> str:
    """A text that has no variables, for a place where variables are replaced."""
    return text.replace("$", DOLLAR)


def comment(text: str) -> str:
    """A text as it may stand behind `#`: on one line."""
    return text if text.isprintable() else "".join(each if each.isprintable() else "?" for each in text)


@dataclass
class Map:
    """A `map`: what is looked up, in which rows, for which variable.

    Rows whose key begins with `~` are regular expressions if `expressions` has them; those of `rows` are taken to the
    letter (but in either case). With `hostnames`, `*.` at their beginning stands for one or more labels.
    """

    source: str
    variable: str
    rows: Sequence[Row] = ()
    expressions: Sequence[Row] = ()
    default: str = ""
    hostnames: bool = False
    about: str = ""

    def text(self, sizes: Sizes) -> Iterable[str]:
        """Its lines; `sizes` is told what it holds."""
        if self.about:
            yield f"# {comment(self.about)}"
        yield f"map {quoted(self.source)} ${self.variable} {{"
        if self.hostnames:
            yield "    hostnames;"
        yield f"    default {quoted(self.default)};"
        longest = 0
        for row in self.rows:
            length = len(row.key) if row.key.isascii() else len(row.key.encode())
            if length > longest:  # noqa: PLR1730
                # `max` costs more than all the rest.
                longest = length
            yield _row(_key(row.key), row)
        sizes.longest = max(sizes.longest, longest)
        sizes.rows = max(sizes.rows, len(self.rows))
        for row in self.expressions:
            yield _row(quoted(f"~{row.key}"), row)
        yield "}"


def _key(text: str) -> str:
    return quoted(f"\\{text}" if text.startswith(("~", "\\")) or text in _RESERVED else text)


def _row(key: str, row: Row) -> str:
    told = f"  # {comment(row.comment)}" if row.comment else ""
    return f"    {key} {quoted(row.value)};{told}"


def expressions(*pairs: tuple[str, str]) -> list[Row]:
    """Rows of regular expressions, in order."""
    return [Row(*pair) for pair in pairs]


def words(*pairs: tuple[str, str]) -> list[Row]:
    """Rows of words."""
    return [Row(*pair) for pair in pairs]
