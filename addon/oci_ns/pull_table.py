"""How pulls look in a terminal: a table, or whole lines for other programs, and each pull's waterfall below it.

Knows rich; what is in a row is made in `pull_text`, a waterfall in `timeline`.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from oci_ns.printable import printable
from oci_ns.pull import Pull
from oci_ns.pull_text import HEADER, notes, pull_line, pull_row
from oci_ns.terminal import write_line
from oci_ns.timeline import legend, timeline_lines

_STYLES = {"failed": "bold red", "complete": "green", "partial": "cyan", "resolved": "dim"}
_RIGHT = frozenset({"layers", "bytes", "seconds"})
_WHOLE = frozenset({"begun", "result", "layers", "bytes", "seconds", "platform"})
_TIME = slice(11, 23)
"""The time of day in RFC 3339: where somebody looks on, the date is known."""
_WIDE = 160
"""In columns: how wide a waterfall is where nobody says how wide the screen is."""


def show_pulls(console: Console, pulls: Sequence[Pull]) -> None:
    """Write the pulls, in their order."""
    if not console.is_terminal:
        for pull in pulls:
            write_line(console, Text(printable(pull_line(pull)), _STYLES[pull.result]))
        return
    console.print(_table(pulls))
    for number, pull in enumerate(pulls, start=1):
        for note in notes(pull):
            console.print(Text(f"{number:>3}  {printable(note)}", _STYLES[pull.result]))


def show_timelines(console: Console, pulls: Sequence[Pull]) -> None:
    """Write each pull, and the waterfall of its requests."""
    width = console.width if console.is_terminal else _WIDE
    for pull in pulls:
        write_line(console, Text(printable(pull_line(pull)), _STYLES[pull.result]))
        for line in timeline_lines(pull, width - 2):
            write_line(console, Text(f"  {line}"))
    for line in legend():
        write_line(console, Text(f"  {line}", "dim"))


def _table(pulls: Sequence[Pull]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("#", justify="right", no_wrap=True)
    for name in HEADER:
        table.add_column(name, justify="right" if name in _RIGHT else "left", no_wrap=name in _WHOLE, overflow="fold")
    for number, pull in enumerate(pulls, start=1):
        cells = [Text(printable(cell)) for cell in pull_row(pull)]
        cells[HEADER.index("begun")] = Text(pull_row(pull)[0][_TIME])
        cells[HEADER.index("result")].stylize(_STYLES[pull.result])
        table.add_row(str(number), *cells)
    return table
