"""`ns-inject serve` without its processes: what of mitmdump it has, what it refuses, and mitmproxy behind a table."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from mitmproxy import exceptions, options
from mitmproxy.addons import (
    anticomp,
    blocklist,
    mapremote,
    modifyheaders,
    proxyauth,
    save,
    upstream_auth,
)
from mitmproxy.test import tflow
from mitmproxy.tools import cmdline
from mitmproxy.tools.dump import DumpMaster

from oci_ns.assembly import assemble
from oci_ns.cli.main import main
from oci_ns.hook_table import HookTable
from oci_ns.serving.event_loop import Ports, loop_factory
from oci_ns.serving.options import FLAGS, LEFT_OUT_FLAGS, LEFT_OUT_OPTIONS, CommandLine
from oci_ns.serving.runner import IDLE_UNLESS, Runner
from oci_ns.serving.supervisor import ended, pause_after
from oci_ns.serving.worker import check

ADDON = Path(__file__).parents[2] / "addon"


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def in_loop(work: Callable[[], Any]) -> Any:
    async def run() -> Any:
        return work()

    return asyncio.run(run())


# -- what of mitmdump there is -----------------------------------------------------------------------------------------


def of_mitmdump() -> tuple[set[str], set[str]]:
    """mitmdump's flags, and its options."""
    found = options.Options()
    DumpMaster(found, with_termlog=False)
    flags = {name for action in cmdline.mitmdump(found)._actions for name in action.option_strings}
    return flags, set(found.keys())


def own_options() -> set[str]:
    return set(Runner(options.Options()).options.keys())


def test_every_flag_of_mitmdump_is_taken_or_named_as_left_out() -> None:
    flags, _ = in_loop(of_mitmdump)
    shared = {"-h", "--help", "--set", "-q", "--quiet", "-v", "--verbose", "--options", "--commands"}
    taken = {name for flag in FLAGS for name in (flag.short, flag.name) if name}
    taken |= {f"--no-{flag.name[2:]}" for flag in FLAGS if flag.kind == "switch"}
    assert taken <= flags
    assert not taken & LEFT_OUT_FLAGS
    # What a later mitmproxy adds to an addon that serve has, too, can be set.
    settable = {f"--{no}{name.replace('_', '-')}" for name in in_loop(own_options) for no in ("", "no-")}
    assert flags - taken - shared - settable <= LEFT_OUT_FLAGS


def test_every_option_of_mitmdump_is_there_or_named_as_left_out() -> None:
    _, names = in_loop(of_mitmdump)
    own = in_loop(own_options)
    assert own - names == {"termlog_verbosity"}
    assert not own & LEFT_OUT_OPTIONS
    assert names - own <= LEFT_OUT_OPTIONS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--anticache"], "serve has no --anticache, mitmdump has"),
        (["-r", "flows"], "serve has no -r, mitmdump has"),
        (["--no-such-flag"], "No such option '--no-such-flag'"),
        (["-p", "x"], "'x' is not a valid integer"),
        (["~q"], "serve takes no filter: ~q"),
        (["--workers", "0"], "'0' is neither auto nor a number"),
        (["--workers", "many"], "'many' is neither auto nor a number"),
        (["-s", "addon/ns_inject.py"], "serve has ns-inject already: leave out -s addon/ns_inject.py"),
    ],
)
def test_a_command_line_that_cannot_be_ends_with_mitmdumps_status(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(main, ["serve", *arguments])
    assert result.exit_code == 1
    assert message in result.output


def test_a_command_line_survives_the_way_to_another_process() -> None:
    command = CommandLine(("ns_default=quay.io",), {"mode": ["regular"], "listen_port": 0}, quiet=True)
    assert CommandLine.from_json(command.to_json()) == command


@pytest.mark.parametrize(
    ("mode", "fits"),
    [
        ("regular", True),
        ("reverse:https://quay.io", True),
        ("reverse:http3://quay.io", False),
        ("dns", False),
        ("wireguard", False),
        ("local", False),
    ],
)
def test_only_tcp_ports_are_shared_by_workers(mode: str, fits: bool) -> None:
    def choose() -> None:
        Runner(options.Options(), check=check).options.update(mode=[mode])

    if fits:
        in_loop(choose)
    else:
        with pytest.raises(exceptions.OptionsError, match=f"mode {mode} needs --workers 1"):
            in_loop(choose)


def test_several_workers_refuse_a_file_of_flows_before_they_touch_it(tmp_path: Path) -> None:
    saved = tmp_path / "flows"
    saved.write_text("of before")
    with pytest.raises(exceptions.OptionsError, match="save_stream_file"):
        in_loop(lambda: Runner(options.Options(), check=check).options.update(save_stream_file=str(saved)))
    assert saved.read_text() == "of before"


@pytest.mark.parametrize(
    ("status", "told"),
    [(0, "ended with status 0"), (3, "ended with status 3"), (-9, "was ended by SIGKILL"), (-250, "by signal 250")],
)
def test_how_a_worker_ended_is_told(status: int, told: str) -> None:
    assert told in ended(status)


def test_a_worker_that_dies_at_once_is_started_again_later_each_time() -> None:
    pauses = [0.0]
    for _ in range(8):
        pauses.append(pause_after(0.1, pauses[-1]))
    assert pauses[1:] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert pause_after(60, 30) == 0


# -- mitmproxy without its checks of itself ----------------------------------------------------------------------------


def test_the_checks_are_those_that_python_leaves_out_with_an_option() -> None:
    # A process of its own: here mitmproxy's layers are there already.
    code = (
        "from oci_ns.cli.main import main\n"
        "from oci_ns.serving.unchecked import uncheck\n"
        "assert uncheck()\n"
        "from mitmproxy import http\n"
        "from mitmproxy.proxy.layers.http import HttpStream\n"
        "assert HttpStream._handle_event.__code__.co_name == '_handle_event'\n"
        "assert HttpStream.state_done.__code__.co_name == 'state_done'\n"
        "http.ResponseData(*[None] * 8)\n"
        "assert not uncheck()\n"
    )
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(ADDON)}, check=True)


def test_mitmproxy_has_them() -> None:
    from mitmproxy import http  # noqa: PLC0415
    from mitmproxy.proxy.layers.http import HttpStream  # noqa: PLC0415

    assert HttpStream.state_done.__code__.co_name == "_check_event_type"
    with pytest.raises(TypeError):
        http.ResponseData(*[None] * 8)  # type: ignore[arg-type]


# -- the table of hooks ------------------------------------------------------------------------------------------------


class Noting:
    def __init__(self, name: str, told: list[str], raises: Exception | None = None) -> None:
        self.name = name
        self._told = told
        self._raises = raises

    def request(self, _: object) -> None:
        self._told.append(self.name)
        if self._raises is not None:
            raise self._raises


class Awaited(Noting):
    async def request(self, _: object) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        self._told.append(self.name)


class Parent(Noting):
    def __init__(self, name: str, told: list[str], *below: object) -> None:
        super().__init__(name, told)
        self.addons = list(below)


class Updated:
    def __init__(self, told: list[str]) -> None:
        self._told = told

    def update(self, flows: list[object]) -> None:
        self._told.append(f"updated {len(flows)}")


async def heard(build: Callable[[list[str]], list[object]], *, stock: bool) -> list[str]:
    """What addons hear of a request, by mitmproxy's own manager or by the table."""
    from mitmproxy.addonmanager import AddonManager  # noqa: PLC0415
    from mitmproxy.master import Master  # noqa: PLC0415
    from mitmproxy.proxy.layers.http._hooks import HttpRequestHook  # noqa: PLC0415

    master, told = Master(options.Options()), list[str]()
    master.addons = AddonManager(master) if stock else HookTable(master, {})
    master.addons.add(*build(told))
    await master.addons.handle_lifecycle(HttpRequestHook(tflow.tflow()))
    await master.done()
    return told


def _failing(told: list[str], error: Exception) -> list[object]:
    below = Parent("parent", told, Noting("fails", told, error), Noting("missed", told))
    return [below, Noting("next", told), Updated(told)]


@pytest.mark.parametrize(
    "build",
    [
        lambda told: [Noting("one", told), Awaited("two", told), Updated(told)],
        lambda told: [Parent("parent", told, Noting("child", told)), Noting("next", told)],
        lambda told: _failing(told, ValueError("no")),
        lambda told: _failing(told, exceptions.AddonHalt()),
        lambda told: [type("Odd", (), {"request": 1, "__repr__": lambda _: "odd"})(), Noting("next", told)],
        lambda told: [type("Module", (), {"request": logging})(), Noting("next", told)],
    ],
)
def test_addons_hear_through_the_table_what_they_hear_without(
    build: Callable[[list[str]], list[object]], caplog: pytest.LogCaptureFixture
) -> None:
    stock = asyncio.run(heard(build, stock=True))
    logged = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    caplog.clear()
    assert asyncio.run(heard(build, stock=False)) == stock
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == logged


def test_an_addon_that_comes_or_goes_is_heard_or_not() -> None:
    from mitmproxy.proxy.layers.http._hooks import HttpRequestHook  # noqa: PLC0415

    async def run() -> list[str]:
        told: list[str] = []
        master = Runner(options.Options())
        later, child = Noting("later", told), Noting("child", told)
        event = HttpRequestHook(tflow.tflow())
        await master.addons.handle_lifecycle(event)
        master.addons.add(later)
        await master.addons.handle_lifecycle(event)
        master.addons.register(child)
        parent = Parent("parent", told)
        master.addons.add(parent)
        parent.addons.append(child)
        await master.addons.handle_lifecycle(event)
        master.addons.remove(later)
        await master.addons.handle_lifecycle(event)
        return told

    assert asyncio.run(run()) == ["later", "later", "parent", "child", "parent", "child"]


SET: dict[type, object] = {
    anticomp.AntiComp: True,
    blocklist.BlockList: ["|~d quay.io|403"],
    mapremote.MapRemote: ["|quay.io|ghcr.io"],
    modifyheaders.ModifyHeaders: ["|X-Any|value"],
    proxyauth.ProxyAuth: "any",
    save.Save: "flows",
    upstream_auth.UpstreamAuth: "user:password",
}


@pytest.mark.parametrize("kind", IDLE_UNLESS)
def test_an_idle_addon_costs_nothing_until_its_option_is_set(kind: type, tmp_path: Path) -> None:
    def listeners(master: Runner) -> int:
        hooks = ("requestheaders", "request", "responseheaders", "response", "http_connect", "socks5_auth")
        found = [each for hook in hooks for link in master._table._listeners_to(hook) for each in link]
        return sum(isinstance(getattr(each, "__self__", None), kind) for each in found)

    def count() -> tuple[int, int, int]:
        master = Runner(options.Options())
        before = listeners(master)
        value = str(tmp_path / "flows") if kind is save.Save else SET[kind]
        master.options.update(**{IDLE_UNLESS[kind]: value})
        during = listeners(master)
        master.options.reset()
        return before, during, listeners(master)

    before, during, after = in_loop(count)
    assert (before, after) == (0, 0)
    assert during > 0


def test_the_runner_asks_the_same_of_a_start_as_mitmdump_with_the_addon() -> None:
    def build() -> tuple[str, bool]:
        master = Runner(options.Options())
        master.options.set("ns_registries_conf=/nowhere", defer=True)
        master.add_own(assemble())
        return master.options.connection_strategy, bool(master.addons.get("errorcheck").logger.has_errored)

    assert in_loop(build) == ("lazy", True)


# -- the loop ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ports", Ports)
def test_a_loop_runs_tasks_eagerly_where_mitmproxy_wants_them_so(ports: Ports) -> None:
    ran: list[int] = []

    async def work() -> None:
        ran.append(1)

    async def run() -> None:
        eager = getattr(asyncio, "eager_task_factory", None)
        asyncio.get_running_loop().set_task_factory(eager)
        await asyncio.create_task(work(), name="named")

    with asyncio.Runner(loop_factory=loop_factory(ports)) as runner:
        runner.run(run())
    assert ran == [1]


def test_shared_ports_are_shared_and_claimed_ones_are_not() -> None:
    async def listen(port: int) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(asyncio.Protocol, "127.0.0.1", port)

    with (
        asyncio.Runner(loop_factory=loop_factory(Ports.CLAIMED)) as first,
        asyncio.Runner(loop_factory=loop_factory(Ports.SHARED)) as second,
        asyncio.Runner(loop_factory=loop_factory(Ports.CLAIMED)) as third,
    ):
        server = first.run(listen(0))
        port = server.sockets[0].getsockname()[1]
        other = second.run(listen(port))
        with pytest.raises(OSError, match="address already in use"):
            third.run(listen(port))
        server.close()
        other.close()
