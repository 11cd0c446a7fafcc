"""A script for mitmproxy: writes once a second how much ns-inject has in its tables, for somebody outside to read.

Into the directory `$SOAK_INSIDE`, a file per process. Once there is a file `quiesce` in it, garbage is collected first,
so that what is left is left for good.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import threading
from pathlib import Path

from mitmproxy import ctx
from mitmproxy.addonmanager import traverse

from oci_ns.addon import NsInject
from oci_ns.observer import Observer

_DIRECTORY = Path(os.environ["SOAK_INSIDE"])


class Inside:
    """Looks and writes."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    def running(self) -> None:
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._look())

    def done(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()

    async def _look(self) -> None:
        file = _DIRECTORY / f"{os.getpid()}.json"
        while True:
            if (_DIRECTORY / "quiesce").exists():
                gc.collect()
            beside = file.with_suffix(".new")
            beside.write_text(json.dumps(_found()))
            beside.replace(file)
            await asyncio.sleep(1)


def _found() -> dict[str, int]:
    connections = len(ctx.master.addons.get("proxyserver").connections)
    found = {"connections": connections, "tasks": len(asyncio.all_tasks()), "python threads": threading.active_count()}
    for addon in traverse(ctx.master.addons.chain):
        if isinstance(addon, NsInject):
            under_way = addon.forwarding._under_way
            found["under way"] = len(under_way._known)
            found["carried"] = len(list(under_way.all_carried()))
            found["visits"] = len(addon.forwarding.selection.endpoints._visits)
        if isinstance(addon, Observer):
            found["watched"] = len(addon._watched)
            found["pulls open"] = len(list(addon.pulls.open()))
    return found


addons = [Inside()]
