"""The table of hooks in place of mitmproxy's manager: addons hear the same, and only those that listen are asked."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import exceptions, hooks, log, options
from mitmproxy.addonmanager import AddonManager, Loader
from mitmproxy.proxy.layers.http._hooks import HttpRequestHook
from mitmproxy.test import tflow
from mitmproxy.tools.dump import DumpMaster

from oci_ns.assembly import assemble
from oci_ns.hook_table import HookTable
from oci_ns.legacy_events import spare_legacy_events


def in_loop(act: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run it in a loop, with the log as it was before."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        return asyncio.run(act())
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def dump_master() -> DumpMaster:
    return DumpMaster(options.Options(), with_termlog=False, with_dumper=False)


class Noting:
    """Notes what it hears."""

    def __init__(self, name: str = "noting") -> None:
        self.name = name
        self.heard: list[str] = []

    def load(self, loader: Loader) -> None:
        loader.add_option(f"{self.name}_value", str, "", "any")

    def configure(self, updated: set[str]) -> None:
        self.heard += [f"configure {name}" for name in updated if name == f"{self.name}_value"]
        if getattr(self, "refuses", False):
            raise exceptions.OptionsError("no")

    def request(self, flow: object) -> None:  # noqa: ARG002
        self.heard.append("request")


class Legacy(Noting):
    """Listens as addons for mitmproxy 8 did."""

    def add_log(self, entry: log.LogEntry) -> None:
        self.heard.append(entry.msg)


def test_the_table_takes_the_place_of_mitmproxys_manager_with_all_its_addons() -> None:
    async def run() -> None:
        master, noting = dump_master(), Noting()
        master.addons.add(noting)
        former = master.addons
        table = HookTable.take_over(master)
        assert table is master.addons
        assert [*map(str, table.chain)] == [*map(str, former.chain)]
        assert table.lookup["noting"] is noting
        assert HookTable.take_over(master) is None
        await master.addons.handle_lifecycle(HttpRequestHook(tflow.tflow()))
        master.options.update(noting_value="x")
        assert noting.heard == ["request", "configure noting_value"]

    in_loop(run)


def test_another_manager_than_mitmproxys_own_stays() -> None:
    class Other(AddonManager):
        pass

    async def run() -> None:
        master = dump_master()
        master.addons = other = Other(master)  # type: ignore[no-untyped-call]
        assert HookTable.take_over(master) is None
        assert master.addons is other

    in_loop(run)


def test_who_is_told_of_a_changed_option_is_told_in_the_same_order() -> None:
    async def run() -> list[str]:
        master, told = dump_master(), list[str]()

        def before(updated: object) -> None:  # noqa: ARG001
            told.append("before")

        def behind(updated: object) -> None:  # noqa: ARG001
            told.append("behind")

        class Asked(Noting):
            def configure(self, updated: set[str]) -> None:  # noqa: ARG002
                told.append("addon")

        master.addons.add(Asked())
        master.options.changed.connect(before)
        master.options.changed.receivers.insert(0, master.options.changed.receivers.pop())
        master.options.changed.connect(behind)
        HookTable.take_over(master)
        told.clear()
        master.options.update(noting_value="y")
        return told

    assert in_loop(run) == ["before", "addon", "behind"]


def test_an_option_that_an_addon_refuses_stays_as_it_was() -> None:
    async def run() -> None:
        master, noting = dump_master(), Noting()
        master.addons.add(noting)
        HookTable.take_over(master)
        noting.refuses = True  # type: ignore[attr-defined]
        with pytest.raises(exceptions.OptionsError, match="no"):
            master.options.update(noting_value="x")
        assert master.options.noting_value == ""

    in_loop(run)


def makes_events(master: DumpMaster) -> bool:
    handlers = logging.getLogger().handlers
    return any(isinstance(each, log.LegacyLogEvents) and each.master is master for each in handlers)


def test_a_line_of_the_log_is_an_event_only_while_an_addon_listens_to_it() -> None:
    async def settled() -> None:
        for _ in range(3):
            await asyncio.sleep(0)

    async def run() -> None:
        master, legacy = dump_master(), Legacy("legacy")
        assert makes_events(master)
        table = HookTable.take_over(master)
        assert table is not None
        spare_legacy_events(table)
        assert not makes_events(master)
        master.addons.add(legacy)
        await settled()
        assert makes_events(master)
        logging.getLogger("any").error("said")
        await settled()
        assert [line.split("] ")[1] for line in legacy.heard] == ["said"]
        master.addons.remove(legacy)
        await settled()
        assert not makes_events(master)

    in_loop(run)


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "registries.conf"
    path.write_text('[[registry]]\nprefix = "quay.io"\nlocation = "quay.io"\n')
    return path


@pytest.mark.parametrize(("chosen", "kind"), [(True, HookTable), (False, AddonManager)])
def test_the_addon_takes_over_unless_it_is_told_not_to(conf: Path, chosen: bool, kind: type) -> None:
    async def run() -> None:
        master = dump_master()
        master.addons.add(*assemble())
        master.options.update(ns_registries_conf=str(conf), ns_hook_table=chosen)
        await master.addons.trigger_event(hooks.RunningHook())
        assert type(master.addons) is kind
        assert type(master.addons.chain[-1]).__name__ == "LastWord"
        await master.addons.trigger_event(hooks.DoneHook())

    in_loop(run)
