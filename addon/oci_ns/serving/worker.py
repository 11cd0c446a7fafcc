"""One of several processes behind one port: the runner, with what its supervisor has to know and to tell."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import time
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from mitmproxy import exceptions
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.optmanager import OptManager
from mitmproxy.proxy.mode_specs import LocalMode, ProxyMode, ReverseMode

from oci_ns.assembly import assemble
from oci_ns.serving.event_loop import Ports
from oci_ns.serving.metrics_directory import DIRECTORY, use_directory
from oci_ns.serving.options import CommandLine
from oci_ns.serving.outbox import HandedOn, Outbox
from oci_ns.serving.runner import Runner, run
from oci_ns.serving.worker_link import Assignment, Loaded, Ready, receive, values


class Worker:
    """Serves, and tells its supervisor."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._assignment: Assignment = receive(connection)
        self._outbox = Outbox()
        self._listening: asyncio.Task[None] | None = None

    def run(self) -> None:
        """Serve until the supervisor says so, or is gone. Raises SystemExit where the start fails."""
        assignment = self._assignment
        use_directory(assignment.number)
        run(
            _command(assignment),
            self._addons,
            ready=self._ready,
            ports=Ports.CLAIMED if assignment.first else Ports.SHARED,
            check=check,
        )

    def _addons(self) -> list[object]:
        return assemble(HandedOn(self._outbox), self._loaded)

    def _loaded(self, ok: bool, registries: int) -> None:
        self._outbox.put(Loaded(ok, registries, time.time()))

    def _ready(self, master: Runner) -> None:
        options, servers = master.options, master.addons.get("proxyserver")
        self._outbox.put(
            Ready(
                tuple(_modes_of(servers, options)),
                tuple((host, port) for host, port, *_ in servers.listen_addrs()),
                options.termlog_verbosity,
                options.ns_log_json,
                options.ns_metrics,
            )
        )
        self._listening = asyncio.get_running_loop().create_task(self._attend(master))

    async def _attend(self, master: Runner) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=self._connection)
        self._outbox.open(writer)
        async for _ in values(reader):
            pass
        # The supervisor is gone. Where it had its time, it has cleaned up itself.
        shutil.rmtree(os.environ.get(DIRECTORY, ""), ignore_errors=True)
        master.shutdown()  # type: ignore[no-untyped-call]


def _command(assignment: Assignment) -> CommandLine:
    command = assignment.command
    return replace(command, values={**command.values, "mode": list(assignment.modes)}) if assignment.modes else command


def check(options: OptManager, updated: Collection[str]) -> None:
    """Raise OptionsError for what several processes cannot do, before it does harm."""
    if "save_stream_file" in updated and options.save_stream_file:
        raise exceptions.OptionsError("save_stream_file (-w) needs --workers 1: there would be several writers")
    for spec in options.mode:
        try:
            mode = ProxyMode.parse(spec)
        except ValueError:
            # mitmproxy has its own words for it.
            return
        if isinstance(mode, ReverseMode) and mode.scheme == "https":
            # HTTP/3 comes over UDP, whose datagrams the kernel would deal out one by one. It needs one process.
            object.__setattr__(mode, "transport_protocol", "tcp")
        elif mode.transport_protocol != "tcp" or isinstance(mode, LocalMode):
            raise exceptions.OptionsError(f"mode {spec} needs --workers 1: only TCP ports can be shared")


def _modes_of(servers: Proxyserver, options: OptManager) -> Any:
    """The modes as the options give them, with the port where that was to be any."""
    for server in servers.servers:
        mode = server.mode
        if mode.listen_port(options.listen_port) != 0 or not server.listen_addrs:
            yield mode.full_spec
            continue
        host, port = mode.listen_host(options.listen_host), server.listen_addrs[0][1]
        kind = f"{mode.type_name}:{mode.data}" if mode.data else mode.type_name
        yield f"{kind}@{host}:{port}" if host else f"{kind}@{port}"
