"""Which addons there are: the one that decides, the ones that watch, and what they know of each other."""

from __future__ import annotations

from collections.abc import Callable

from oci_ns.accounting import Accounting
from oci_ns.addon import NsInject
from oci_ns.commands import Commands
from oci_ns.observer import Observer
from oci_ns.pulls import Pulls


def assemble(pulls: Pulls | None = None, loaded: Callable[[bool, int], None] | None = None) -> list[object]:
    """The addons for mitmproxy, in the order in which they see a flow.

    With `pulls`, this is one of several processes: somebody else tells of pulls and serves the metrics. `loaded` is
    called with each load of the configuration: whether it is in use now, and how many registries are.
    """
    inject = NsInject()
    accounting = Accounting(lambda: inject.table.index, alone=pulls is None)

    def on_load(ok: bool) -> None:
        accounting.loaded(ok)
        if loaded is not None:
            loaded(ok, len(inject.table.index.registries))

    inject.on_load = on_load
    observer = Observer(inject.forwarding.record, (accounting,), pulls or Pulls())
    return [inject, observer, accounting, Commands(inject)]
