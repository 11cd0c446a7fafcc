"""How long the head of an HTTP/1 message may be: mitmproxy has no limit, and work to do for each line of it."""

from __future__ import annotations

import re

from mitmproxy.proxy import events

LINES_MAX = 2000
"""Most servers take a twentieth of it."""

_end_of_head = re.compile(rb"\n\r?\n").search


class Head:
    """A head that is being read, until its end is there."""

    def __init__(self, size_max: int) -> None:
        """`size_max` is in bytes."""
        self._size_max = size_max
        self._lines = 0

    def excess(self, event: events.Event, buffer: bytearray) -> str:
        """What there is too much of, with what has come now and is in the buffer, too; '' for nothing."""
        if isinstance(event, events.DataReceived):
            # Without data, it is about what came before anybody read it.
            self._lines += (event.data or buffer).count(b"\n")
        if len(buffer) <= self._size_max and self._lines <= LINES_MAX:
            return ""
        # Some of it may be the body's. This is looked for once: either there is an end, or too much without one.
        end = _end_of_head(buffer)
        size = end.start() if end is not None else len(buffer)
        if size > self._size_max:
            return f"is larger than {self._size_max // 2**10} KiB"
        return f"has more than {LINES_MAX} lines" if buffer.count(b"\n", 0, size) > LINES_MAX else ""

    def ends(self) -> None:
        """The next one begins."""
        self._lines = 0
