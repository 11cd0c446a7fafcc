"""Runs one function in a thread of its own, so that the event loop goes on, and so that the process can end meanwhile.

Not the loop's executor: its few threads may all be waiting for name servers, and the end of the process waits for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

TURN_SECONDS = 0.0005
"""How long a thread may compute while another wants to. The event loop gives its turn away with every read and write;
at CPython's 5 ms, a request takes a tenth of a second longer for as long as anything is computed beside it."""


async def in_background(work: Callable[[], T]) -> T:
    """Return what `work` returns, or raise what it raises. Where this is cancelled, `work` still runs to its end."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = work()
        except Exception as raised:
            error = raised
        # The loop may have ended before.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, error)

    start_background(run)
    return await future


def start_background(work: Callable[[], object]) -> None:
    """Start `work`, which does not raise, and do not wait for it."""

    def run() -> None:
        with _short_turns():
            work()

    threading.Thread(target=run, name="ns-inject", daemon=True).start()


_turns = threading.Lock()
_former: list[float] = []
"""The interval before the first of the threads that are running, once for each of them."""


@contextlib.contextmanager
def _short_turns() -> Iterator[None]:
    with _turns:
        _former.append(_former[0] if _former else sys.getswitchinterval())
        sys.setswitchinterval(min(TURN_SECONDS, _former[0]))
    try:
        yield
    finally:
        with _turns:
            former = _former.pop()
            if not _former:
                sys.setswitchinterval(former)
