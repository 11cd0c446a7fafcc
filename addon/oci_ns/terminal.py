"""Where text is drawn: whether a stream is a terminal, whether it gets colours, and how wide its lines are.

Knows rich's console. A stream that is no terminal gets whole lines, never wrapped or cut, for programs to read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

from rich.console import Console
from rich.text import Text

COLOURS = ("auto", "always", "never")
"""The values of `--color`."""


def console_on(stream: TextIO, color: str, environment: Mapping[str, str]) -> Console:
    """A console that draws on the stream. `auto` is colours on a terminal, unless NO_COLOR or TERM=dumb says no.

    Source of NO_COLOR: no-color.org (set and not empty).
    """
    terminal = stream.isatty()
    plain = bool(environment.get("NO_COLOR")) or environment.get("TERM") == "dumb"
    coloured = color == "always" or (color == "auto" and terminal and not plain)
    return Console(
        file=stream,
        force_terminal=terminal,
        color_system="standard" if coloured else None,
        no_color=not coloured,
        highlight=False,
        markup=False,
        emoji=False,
    )


def write_line(console: Console, text: Text) -> None:
    """Write one line whole, however long it is."""
    console.print(text, soft_wrap=True)
