"""mitmproxy's event for each line of its log, for addons written for mitmproxy 8: made only where one listens to it.

The event costs more than the line itself, which is made even where nobody prints it.
"""

from __future__ import annotations

import asyncio
import logging

from mitmproxy import log

from oci_ns.hook_table import HookTable


def spare_legacy_events(table: HookTable) -> None:
    """From now on no such event is made while no addon listens. Needs a running loop."""
    root = logging.getLogger()
    handlers = [each for each in root.handlers if isinstance(each, log.LegacyLogEvents) and each.master is table.master]

    def heed() -> None:
        wanted = table.listens("add_log")
        for each in handlers:
            (root.addHandler if wanted else root.removeHandler)(each)

    loop = asyncio.get_running_loop()
    # What came or went may not yet be in its place.
    table.changed = lambda: None if loop.is_closed() else loop.call_soon(heed)
    heed()
