"""mitmproxy's file of flows (`-w`) on a disk that is full: flows are lost, and it is said; requests go on.

By itself mitmproxy ends there, and with it every pull. A flow is in the file as a whole or not at all, so that it can
be read to its end.
"""

from __future__ import annotations

import logging
from io import RawIOBase
from typing import Any
from weakref import WeakSet

from mitmproxy.addons.save import Save
from mitmproxy.flow import Flow

logger = logging.getLogger(__name__)

_told: WeakSet[Save] = WeakSet()


class WholeWrites:
    """A file to write to of which nothing is left in between: each write is there at once, or taken back."""

    def __init__(self, raw: RawIOBase) -> None:
        self._raw = raw

    def write(self, data: bytes) -> int:
        """Write all of it. Raises OSError, and nothing was written."""
        start = self._raw.tell() if self._raw.seekable() else None
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._raw.write(rest) or 0 :]
        except OSError:
            if start is not None:
                self._raw.truncate(start)
                self._raw.seek(start)
            raise
        return len(data)

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Close the file."""
        self._raw.close()


def save_flow(save: Save, flow: Flow) -> None:
    """As Save.save_flow, but a flow that cannot be written is lost."""
    if save.stream is None:
        return
    try:
        save.maybe_rotate_to_new_file()
        # mitmproxy's versions disagree about its type; it is what open() gives, or what stands in its place.
        stream: Any = save.stream
        if not isinstance(stream.fo, WholeWrites):
            stream.fo = WholeWrites(stream.fo.detach())
        save.stream.add(flow)
    except OSError as error:
        if save not in _told:
            _told.add(save)
            # Not again: where only small flows still fit, it would be said for each of the others.
            logger.error("%s cannot be written: %s; flows are lost, requests go on", save.current_path, error.strerror)
    save.active_flows.discard(flow)


_done = Save.done


def done(save: Save) -> None:
    """As Save.done: flows that have no answer yet are saved, too."""
    for flow in list(save.active_flows):
        save_flow(save, flow)
    _done(save)


def install() -> None:
    """Have flows saved so from now on."""
    Save.save_flow = save_flow  # type: ignore[method-assign, assignment]
    Save.done = done  # type: ignore[method-assign, assignment]
