"""What makes a running process read its configuration again: the clock, and SIGHUP. And how that is ended.

SIGHUP also tells that the terminal is gone, which ends a process. That is left as it is: the signal means a reload
only where it does not mean that.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable

from oci_ns.reload import Reloader


def watch(reloader: Reloader) -> Callable[[], None]:
    """Have the reloader watch its files and heed SIGHUP, on the running loop. Returns what ends both; it may be called
    more than once.

    Raises RuntimeError where no loop runs.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(reloader.watch())
    remove = on_sighup(loop, reloader.ask)

    def end() -> None:
        task.cancel()
        remove()

    return end


def on_sighup(loop: asyncio.AbstractEventLoop, reload: Callable[[], None]) -> Callable[[], None]:
    """Call `reload` at each SIGHUP from somebody. Returns what undoes it. Does nothing where there are no signals."""
    if not hasattr(signal, "SIGHUP") or threading.current_thread() is not threading.main_thread():
        return lambda: None
    had_terminal = _has_terminal()
    before = signal.getsignal(signal.SIGHUP)

    def restore() -> None:
        # The loop's own way back is SIG_DFL, which would undo nohup.
        if loop.remove_signal_handler(signal.SIGHUP) and before is not None:
            signal.signal(signal.SIGHUP, before)

    def received() -> None:
        if had_terminal and not _has_terminal() and before is signal.SIG_DFL:
            restore()
            os.kill(os.getpid(), signal.SIGHUP)
        else:
            reload()

    try:
        loop.add_signal_handler(signal.SIGHUP, received)
    except NotImplementedError:
        return lambda: None
    return restore


def _has_terminal() -> bool:
    """Whether the process has a controlling terminal that is still there."""
    with contextlib.suppress(OSError):
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
        return True
    return False
