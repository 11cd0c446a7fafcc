"""How millions of objects come and go without stopping all threads at once.

CPython collects garbage, and frees what a freed object held, in one go during which no other thread runs.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import time
import weakref
from collections.abc import Iterator

from oci_ns.background import start_background

_MANY = 100_000
_MOMENT_SECONDS = 0.1


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Build many objects that are no garbage, without a collection for every few of them that visits all others."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if gc.get_count()[0] > _MANY:
            spare_the_young()
        gc.enable()


def spare_the_young() -> None:
    """Move all objects to the oldest generation, unvisited, where the next collections would visit too much."""
    gc.freeze()
    gc.unfreeze()


def free_slowly(items: list[object]) -> None:
    """Empty the list from its end, one by one, so that other threads get their turn."""
    while items:
        items.pop()


def free_slowly_with(whole: object, parts: list[object]) -> None:
    """When the last user of `whole` has let go of it, wherever that is, free its parts in a thread of their own.

    `parts` are freed from the last to the first, so each has to come behind those that it holds.
    """
    weakref.finalize(whole, start_background, functools.partial(_free_later, parts)).atexit = False


def _free_later(parts: list[object]) -> None:
    # The whole is told to be gone a moment before it lets go of its parts. Until then they would not be freed here.
    time.sleep(_MOMENT_SECONDS)
    free_slowly(parts)
