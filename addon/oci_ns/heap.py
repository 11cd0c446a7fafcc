"""Memory that is free goes back to the system: glibc keeps what lies between memory in use, which with time is most.

Where blobs, manifests and tables come and go together, the process would grow for hours. Source: malloc_trim(3).
"""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable
from typing import Final

_EVERY_SECONDS: Final = 30.0


def trimmer() -> Callable[[], object] | None:
    """What gives free memory back; None where the C library has nothing for that, as others than glibc do."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return None if trim is None else lambda: trim(ctypes.c_size_t(0))


class HeapTrimming:
    """Gives memory back every now and then, from `begin` to `end`. Belongs to one event loop."""

    def __init__(self, trim: Callable[[], object] | None, every: float = _EVERY_SECONDS) -> None:
        """`trim` as of `trimmer`; `every` is in seconds."""
        self._trim = trim
        self._every = every
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begin; a second time changes nothing."""
        if self._trim is not None and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._go_on(self._trim))

    def end(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _go_on(self, trim: Callable[[], object]) -> None:
        while True:
            await asyncio.sleep(self._every)
            trim()
