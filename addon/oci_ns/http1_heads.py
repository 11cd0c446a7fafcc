"""How long the head of an HTTP/1 message may be: mitmproxy has no limit, and work to do for each line of it."""

from __future__ import annotations

import re

from h11._receivebuffer import ReceiveBuffer
from mitmproxy.proxy import events

LINES_MAX = 2000
"""Most servers take a twentieth of it."""

_empty_lines = re.compile(rb"(?:\r?\n)++").match
_end_of_head = re.compile(rb"\n\r?\n").search


class Head:
    """A head that is being read, until its end is there."""

    def __init__(self, size_max: int) -> None:
        """`size_max` is in bytes."""
        self._size_max = size_max
        self._lines = 0

    def excess(self, event: events.Event, buffer: ReceiveBuffer) -> str:
        """What there is too much of, with what has come now and is in the buffer, too; '' for nothing.

        Empty lines before the head are lines of it, and taken out of the buffer.
        """
        data: bytearray = buffer._data
        if isinstance(event, events.DataReceived):
            # Without data, it is about what came before anybody read it.
            self._lines += (event.data or data).count(b"\n")
            # Else each of them would be a head to mitmproxy, which looks behind it with the next event, if any comes.
            before = _empty_lines(data)
            if before is not None:
                buffer.maybe_extract_at_most(before.end())
        if len(data) <= self._size_max and self._lines <= LINES_MAX:
            return ""
        # Some of it may be the body's. This is looked for once: either there is an end, or too much without one.
        end = _end_of_head(data)
        size = end.start() if end is not None else len(data)
        if size > self._size_max:
            return f"is larger than {self._size_max // 2**10} KiB"
        return f"has more than {LINES_MAX} lines" if self._lines - data.count(b"\n", size) > LINES_MAX else ""

    def ends(self) -> None:
        """The next one begins."""
        self._lines = 0
