"""Which addons there are: the one that decides, the ones that watch, and what they know of each other."""

from __future__ import annotations

from oci_ns.accounting import Accounting
from oci_ns.addon import NsInject
from oci_ns.commands import Commands
from oci_ns.observer import Observer


def assemble() -> list[object]:
    """The addons for mitmproxy, in the order in which they see a flow."""
    inject = NsInject()
    accounting = Accounting(lambda: inject.table.index)
    inject.on_load = accounting.loaded
    return [inject, Observer(inject.forwarding.record, (accounting,)), accounting, Commands(inject)]
