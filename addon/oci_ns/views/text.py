"""Text for people: sizes, tables, times and raw bodies as lines that are safe on a terminal.

Knows nothing of what it shows. Every line is `printable`, whatever a registry has sent.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from oci_ns.printable import LENGTH_MAX, printable

_UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")
_WIDTH_MAX = 80
"""In characters: a longer cell does not widen the other rows of its table."""


def human_size(size: int) -> str:
    """A size in bytes with one decimal, in decimal units as Docker prints them: 1 MB is 10^6 bytes."""
    if size < 1000:
        return f"{size} B"
    unit = 1000
    for name in _UNITS[:-1]:
        tenths = (size * 10 + unit // 2) // unit
        if tenths < 10_000:
            return f"{tenths // 10}.{tenths % 10} {name}"
        unit *= 1000
    tenths = (size * 10 + unit // 2) // unit
    return f"{tenths // 10:,}.{tenths % 10} {_UNITS[-1]}"


def full_size(size: int | None) -> str:
    """A size in bytes, rounded where that is shorter, and exact; None is a size that is not said."""
    if size is None:
        return "size not said"
    exact = counted(size, "byte")
    return exact if size < 1000 else f"{human_size(size)} ({exact})"


def counted(number: int, what: str) -> str:
    """A number of things: `1 layer`, `2 layers`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def table(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[str]:
    """Rows of equally many cells as aligned lines, one for each; columns whose number is in `right` end flush."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(min(len(cell), _WIDTH_MAX) for cell in column) for column in zip(*cells, strict=True)]
    return ["  ".join(_padded(row, widths, right)).rstrip() for row in cells]


def _padded(row: Sequence[str], widths: Sequence[int], right: Collection[int]) -> Iterable[str]:
    for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
        yield cell.rjust(width) if number in right else cell.ljust(width)


def fields(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Names and values, aligned; what has no value is left out."""
    return table([pair for pair in pairs if pair[1]])


def indented(pairs: Mapping[str, str], by: int = 2) -> list[str]:
    """Annotations or labels, one a line, `by` spaces to the right."""
    return [f"{' ' * by}{printable(key)}: {printable(value)}" for key, value in pairs.items()]


def with_notes(lines: Sequence[str], notes: Sequence[Mapping[str, str]], by: int) -> list[str]:
    """A table's lines with each row's annotations below it; `notes` has those of the last rows, the title has none."""
    head = len(lines) - len(notes)
    out = list(lines[:head])
    for line, note in zip(lines[head:], notes, strict=True):
        out += [line, *indented(note, by)]
    return out


def compact(value: object) -> str:
    """A JSON value on one line; a string as it is, None as ''. Never raises."""
    if value is None or isinstance(value, str):
        return value or ""
    try:
        return json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return "(nested too deeply to be shown)"


def utc(seconds: float) -> str:
    """A point in time (seconds since 1970) in UTC, to the second; '' where no calendar has it. Never raises."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"
    except (ValueError, OverflowError, OSError):
        return ""


def raw_lines(body: bytes) -> list[str]:
    """A body's text, unshortened: a line that is too long for one is continued on the next."""
    lines = body.decode("utf-8", "backslashreplace").expandtabs(4).splitlines()
    return [
        printable(line[start : start + LENGTH_MAX])
        for line in lines
        for start in range(0, max(len(line), 1), LENGTH_MAX)
    ]


def broken(what: str, body: bytes, missing: str) -> list[str]:
    """For a body that is labelled as `what` and is not: first the reason, then its text.

    `missing` is the reason where it is a JSON object after all.
    """
    return [f"not a readable {what}: {_reason(body) or missing}", "", *raw_lines(body)]


def _reason(body: bytes) -> str:
    try:
        value = json.loads(body)
    except json.JSONDecodeError as error:
        ends = error.msg.startswith("Unterminated") or error.pos >= len(error.doc.rstrip())
        where = f"line {error.lineno}, column {error.colno}"
        return f"the JSON ends early, at {where}" if ends else f"no JSON: {error.msg}, {where}"
    except UnicodeDecodeError:
        return "no JSON: the text is not UTF-8"
    except (ValueError, RecursionError):
        return "JSON beyond what is read: nested too deeply, or a number too long"
    return "" if isinstance(value, dict) else "JSON, but no object"
