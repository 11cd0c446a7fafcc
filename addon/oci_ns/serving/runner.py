"""The addon on a lean mitmproxy: only what a proxy without a user interface needs, and started as mitmdump starts.

Knows which of mitmproxy's addons there are, in which order options are read, signals and exit statuses. Everything
that is left out is named in `options`.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from mitmproxy import ctx, exceptions, hooks, optmanager
from mitmproxy import options as mitmproxy_options
from mitmproxy.addons import (
    anticomp,
    block,
    blocklist,
    core,
    disable_h2c,
    dns_resolver,
    errorcheck,
    mapremote,
    modifyheaders,
    next_layer,
    proxyauth,
    proxyserver,
    save,
    script,
    strip_dns_https_records,
    tlsconfig,
    update_alt_svc,
    upstream_auth,
)
from mitmproxy.master import Master
from mitmproxy.optmanager import OptManager
from mitmproxy.utils import debug

from oci_ns.hook_table import HookTable
from oci_ns.legacy_events import spare_legacy_events
from oci_ns.serving.draining import Draining
from oci_ns.serving.event_loop import Ports, loop_factory
from oci_ns.serving.gone_clients import GoneClients
from oci_ns.serving.line_log import TermLog
from oci_ns.serving.options import LEFT_OUT_OPTIONS, CommandLine, left_out
from oci_ns.serving.quick import QuickOptions, install

logger = logging.getLogger(__name__)

IDLE_UNLESS: Mapping[type, str] = {
    anticomp.AntiComp: "anticomp",
    blocklist.BlockList: "block_list",
    mapremote.MapRemote: "map_remote",
    modifyheaders.ModifyHeaders: "modify_headers",
    proxyauth.ProxyAuth: "proxyauth",
    save.Save: "save_stream_file",
    upstream_auth.UpstreamAuth: "upstream_auth",
}
"""mitmproxy's addons that do nothing to a flow unless this option is set."""

_NOISY = ("asyncio", "hpack", "quic", "tornado")
_COLLECTED_AFTER = (20_000, 10, 5)
"""Objects until a collection of the youngest, and collections of one generation until one of the next. CPython's 700
objects are a request and a half, whose connections all live on."""


Check = Callable[[OptManager, Collection[str]], None]
"""Refuses changes of the options named, by an OptionsError."""


class _Checking:
    """Checks before the others act."""

    def __init__(self, check: Check) -> None:
        self._check = check

    def configure(self, updated: Collection[str]) -> None:
        """Refuse a change. Raises OptionsError."""
        self._check(ctx.options, updated)


class Own:
    """Holds the place of ns-inject's addons, where mitmdump has those of scripts."""

    def __init__(self) -> None:
        self.addons: list[object] = []


class Runner(Master):
    """mitmproxy's master with the addons that are needed."""

    def __init__(
        self,
        options: mitmproxy_options.Options,
        ready: Callable[[], None] = lambda: None,
        check: Check = lambda *_: None,
    ) -> None:
        """`ready` is called when everything listens and no error was logged. Needs a running loop."""
        super().__init__(options)
        self._ready = ready
        self._own = Own()
        self._log = TermLog()
        self.addons = self._table = table = HookTable(self, IDLE_UNLESS)
        table.add(
            self._log,
            _Checking(check),
            core.Core(),
            GoneClients(),
            block.Block(),
            strip_dns_https_records.StripDnsHttpsRecords(),
            blocklist.BlockList(),
            anticomp.AntiComp(),
            disable_h2c.DisableH2C(),
            proxyauth.ProxyAuth(),
            proxyserver.Proxyserver(),
            dns_resolver.DnsResolver(),
            self._own,
            script.ScriptLoader(),
            next_layer.NextLayer(),
            mapremote.MapRemote(),
            modifyheaders.ModifyHeaders(),
            save.Save(),
            tlsconfig.TlsConfig(),
            upstream_auth.UpstreamAuth(),
            update_alt_svc.UpdateAltSvc(),
            errorcheck.ErrorCheck(),
        )
        spare_legacy_events(table)

    def add_own(self, addons: Sequence[object]) -> None:
        """Add ns-inject's addons, when the options are what they will be. Raises OptionsError."""
        for addon in addons:
            self.addons.register(addon)
        self._own.addons += addons
        for addon in addons:
            self.addons.invoke_addon_sync(addon, hooks.ConfigureHook(self.options.keys()))

    async def running(self) -> None:
        """Everything listens."""
        await super().running()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_COLLECTED_AFTER)
        self._ready()

    async def done(self) -> None:
        """The end."""
        await super().done()
        self._log.uninstall()


class _Unclaimed:
    """Tells of options that no addon and no script has declared by now: mitmdump overlooks a slip in their names."""

    def __init__(self, options: mitmproxy_options.Options, names: set[str]) -> None:
        self._options = options
        self._names = names

    def running(self) -> None:
        """All scripts are loaded."""
        for name in sorted(self._names & self._options.deferred.keys()):
            logger.error("--set %s: there is no such option", name)


def run(
    command: CommandLine,
    addons: Callable[[], Sequence[object]],
    *,
    ready: Callable[[Runner], None] = lambda _: None,
    stopping: Callable[[], None] = lambda: None,
    ports: Ports = Ports.OWN,
    check: Check = lambda *_: None,
) -> None:
    """Serve until SIGINT or SIGTERM. Raises SystemExit with status 1 where the start fails, the reason being printed.

    `ready` is called when everything listens, `stopping` when the end begins.
    """
    with asyncio.Runner(loop_factory=loop_factory(ports)) as runner:
        runner.run(_serve(command, addons, ready, stopping, check))


async def _serve(
    command: CommandLine,
    addons: Callable[[], Sequence[object]],
    ready: Callable[[Runner], None],
    stopping: Callable[[], None],
    check: Check,
) -> None:
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    debug.register_info_dumpers()
    install()
    options = QuickOptions()
    master = Runner(options, lambda: ready(master), check)
    try:
        _set_options(options, command)
        master.add_own(addons())
        if command.show == "options":
            optmanager.dump_defaults(options, sys.stdout)
        elif command.show == "commands":
            master.commands.dump()
        if command.show:
            sys.exit(0)
    except exceptions.OptionsError as error:
        print(f"ns-inject serve: {error}", file=sys.stderr)
        sys.exit(1)
    master.addons.add(_Unclaimed(options, {_name(each) for each in command.assignments}))
    loop = asyncio.get_running_loop()
    ends = dict.fromkeys((signal.SIGINT, signal.SIGTERM), master.shutdown)
    if command.drain:
        draining = Draining(master, command.drain)
        master.addons.add(draining)
        ends[signal.SIGTERM] = draining.begin
    for number, end in ends.items():
        loop.add_signal_handler(number, _both, stopping, end)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    await master.run()
    loop.set_exception_handler(_at_the_end)


def _both(first: Callable[[], None], then: Callable[[], None]) -> None:
    first()
    then()


def _at_the_end(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Connections that are cancelled now are no news."""
    if not isinstance(context.get("exception"), asyncio.CancelledError):
        loop.default_exception_handler(context)


def _set_options(options: mitmproxy_options.Options, command: CommandLine) -> None:
    """In mitmdump's order: --set, then config.yaml, then flags."""
    for name in map(_name, command.assignments):
        if name in LEFT_OUT_OPTIONS:
            raise exceptions.OptionsError(left_out(f"option {name}"))
    options.set(*command.assignments, defer=True)
    before = set(options.deferred)
    directory = os.path.expanduser(options.confdir)
    optmanager.load_paths(options, os.path.join(directory, "config.yaml"), os.path.join(directory, "config.yml"))
    flags: dict[str, Any] = dict(command.values)
    if command.quiet or command.show:
        flags["termlog_verbosity"] = "error"
    if command.verbose:
        flags["termlog_verbosity"] = "debug"
    options.update(**flags)
    for name in sorted((options.deferred.keys() - before) & LEFT_OUT_OPTIONS):
        logger.warning("config.yaml: %s", left_out(f"option {name}"))


def _name(assignment: str) -> str:
    return assignment.partition("=")[0]
