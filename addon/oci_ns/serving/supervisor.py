"""Several processes behind one port: starts them, passes signals on, starts those that die again, and ends with them.

Serves nothing itself but what they cannot each tell alone: metrics, and pulls, whose requests come by any of them. The
kernel deals out the connections (SO_REUSEPORT, socket(7)).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from oci_ns.probes import Probes, turns
from oci_ns.reload_triggers import on_sighup
from oci_ns.serving.gathered_pulls import GatheredPulls
from oci_ns.serving.metrics_directory import DIRECTORY
from oci_ns.serving.options import CommandLine
from oci_ns.serving.service_manager import ServiceManager
from oci_ns.serving.supervisor_accounts import SupervisorAccounts
from oci_ns.serving.worker_link import Assignment, Begun, Ended, Loaded, Ready, packed, values

logger = logging.getLogger(__name__)

_TICK_SECONDS = 0.25
_AT_ONCE_SECONDS = 10.0
"""A worker that dies sooner is started again later each time, up to:"""
_PAUSE_MAX_SECONDS = 30.0
_FIRST_PAUSE_SECONDS = 0.5
_PATIENCE_SECONDS = 10.0
"""How long workers may take to end, beside what is to be waited for, before they are killed."""


@dataclass(eq=False, slots=True)
class _Process:
    number: int
    process: asyncio.subprocess.Process
    writer: asyncio.StreamWriter
    messages: asyncio.Task[None]
    ready: asyncio.Future[Ready]
    begun: float
    loaded: Loaded | None = None
    is_to_reload: bool = False
    """Once it listens."""

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it is there."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)


class Supervisor:
    """Runs the workers. `use_verbosity` is told the log's level once it is known."""

    def __init__(
        self,
        command: CommandLine,
        count: int,
        use_verbosity: Callable[[str], None],
        manager: ServiceManager | None = None,
    ) -> None:
        """`manager` is told of the beginning and the end."""
        self._manager = manager or ServiceManager()
        self._command = command
        self._count = count
        self._use_verbosity = use_verbosity
        self._processes: dict[int, _Process] = {}
        self._pulls = GatheredPulls()
        self._modes: tuple[str, ...] = ()
        self._stopping = asyncio.Event()
        self._last_signal = signal.SIGTERM
        self._status = 0
        self._restarts = 0
        self._accounts = SupervisorAccounts(
            lambda: {str(each.number): each.process.pid for each in self._processes.values()},
            lambda: [each.loaded for each in self._processes.values() if each.loaded is not None],
            lambda: self._restarts,
        )

    async def run(self) -> int:
        """Serve until SIGINT or SIGTERM. Returns the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop, number)
        on_sighup(loop, self._reload)
        self._accounts.probes = Probes(lambda: turns(loop), self._is_ready)
        with tempfile.TemporaryDirectory(prefix="ns-inject-", ignore_cleanup_errors=True) as directory:
            os.environ[DIRECTORY] = directory
            with contextlib.ExitStack() as ports:
                await self._serve(ports)
            self._accounts.close()
        return self._status

    async def _serve(self, ports: contextlib.ExitStack) -> None:
        # The first finds out whether the options work and the ports are free, and makes mitmproxy's CA.
        first = await self._start(1)
        ready = await self._until_ready(first)
        if ready is None or not self._take_over(ready):
            self._fail()
        else:
            for address in ready.addresses:
                _reserve(address, ports)
            self._manager.ready()
            tasks = [asyncio.create_task(self._keep(first))]
            tasks += [asyncio.create_task(self._begin(number)) for number in range(2, self._count + 1)]
            tasks.append(asyncio.create_task(self._tick()))
            await self._stopping.wait()
            for task in tasks:
                task.cancel()
        await self._end()

    def _take_over(self, ready: Ready) -> bool:
        self._modes = ready.modes
        self._use_verbosity(ready.verbosity)
        try:
            self._accounts.open(ready.log_json, ready.metrics)
        except (OSError, ValueError) as error:
            logger.error("%s", error)
            print("Error logged during startup, exiting...", file=sys.stderr)
            return False
        return True

    def _fail(self) -> None:
        if not self._stopping.is_set():
            self._status = 1
            self._stopping.set()

    async def _begin(self, number: int) -> None:
        """Start a worker for the first time, and look after it."""
        process = await self._start(number)
        if await self._until_ready(process) is None:
            logger.error("worker %d cannot start", number)
            self._fail()
            return
        await self._keep(process)

    async def _keep(self, process: _Process) -> None:
        """Start the worker again whenever it dies."""
        number, pause = process.number, 0.0
        while True:
            status = await process.process.wait()
            await process.messages
            if self._stopping.is_set():
                return
            self._restarts += 1
            self._pulls.gone(number, time.time(), f"worker {number} died")
            self._accounts.forget(number)
            pause = pause_after(time.monotonic() - process.begun, pause)
            how = f"{ended(status)}; it is started again{f' in {pause:g} s' if pause else ''}"
            logger.error("worker %d (process %d) %s", number, process.process.pid, how)
            await asyncio.sleep(pause)
            process = await self._start_again(number)

    async def _start_again(self, number: int) -> _Process:
        while True:
            try:
                return await self._start(number)
            except OSError as error:
                logger.error("worker %d cannot be started: %s", number, error)
                await asyncio.sleep(_PAUSE_MAX_SECONDS)

    async def _start(self, number: int) -> _Process:
        here, there = socket.socketpair()
        with there:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "oci_ns.serving.worker_process", str(there.fileno())),
                pass_fds=(there.fileno(),),
                process_group=0,
            )
        reader, writer = await asyncio.open_unix_connection(sock=here)
        writer.write(packed(Assignment(self._command, number, first=not self._modes, modes=self._modes)))
        ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
        messages = asyncio.create_task(self._listen(number, reader, ready))
        found = _Process(number, process, writer, messages, ready, time.monotonic())
        self._processes[number] = found
        return found

    async def _listen(self, number: int, reader: asyncio.StreamReader, ready: asyncio.Future[Ready]) -> None:
        async for batch in values(reader):
            for message in batch:
                if isinstance(message, Begun | Ended):
                    self._pulls.take(number, message)
                elif isinstance(message, Loaded):
                    self._note(number, message)
                elif not ready.done():
                    ready.set_result(message)
                    if self._processes[number].is_to_reload:
                        self._processes[number].send(signal.SIGHUP)

    def _note(self, number: int, loaded: Loaded) -> None:
        process = self._processes[number]
        if loaded.ok or process.loaded is None:
            process.loaded = loaded

    async def _until_ready(self, process: _Process) -> Ready | None:
        """What the worker has when it listens; None where it ended before, or all shall end."""
        stopping = asyncio.create_task(self._stopping.wait())
        waited_for: list[asyncio.Future[Any]] = [process.ready, process.messages, stopping]
        await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        return process.ready.result() if process.ready.done() else None

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            self._accounts.tell(self._pulls.over(time.time()))

    def _stop(self, number: signal.Signals) -> None:
        """Begin to end. SIGINT is for at once, and so is whatever comes while they are ending."""
        if self._stopping.is_set() or number == signal.SIGINT:
            self._last_signal = signal.SIGINT
            self._signal(signal.SIGINT)
        self._stopping.set()

    def _is_ready(self) -> bool:
        """Whether a worker listens, and is to go on with it."""
        processes = list(self._processes.values())
        listens = (each.ready.done() and each.process.returncode is None for each in processes)
        return not self._stopping.is_set() and any(listens)

    async def _end(self) -> None:
        self._manager.stopping()
        self._signal(self._last_signal)
        ends = [asyncio.create_task(each.process.wait()) for each in self._processes.values()]
        _, late = await asyncio.wait(ends, timeout=_PATIENCE_SECONDS + self._command.drain)
        if late:
            self._signal(signal.SIGKILL)
            await asyncio.wait(late)
        await asyncio.gather(*(each.messages for each in self._processes.values()))
        self._accounts.tell(self._pulls.close())

    def _reload(self) -> None:
        for each in self._processes.values():
            # One that is being started does not heed the signal yet: it would die of it.
            if each.ready.done():
                each.send(signal.SIGHUP)
            else:
                each.is_to_reload = True

    def _signal(self, number: signal.Signals) -> None:
        for each in self._processes.values():
            each.send(number)


def pause_after(lived: float, former: float) -> float:
    """Seconds to wait after a worker that lived so many, where it was `former` before that one."""
    return min(max(former * 2, _FIRST_PAUSE_SECONDS), _PAUSE_MAX_SECONDS) if lived < _AT_ONCE_SECONDS else 0.0


def ended(status: int) -> str:
    """How a process ended, by its status as `subprocess` has it."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"


def _reserve(address: tuple[str, int], ports: contextlib.ExitStack) -> None:
    """Keep the port for the workers, also while all of them are dead."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with contextlib.suppress(OSError):
        kept = ports.enter_context(socket.socket(family, socket.SOCK_STREAM))
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            kept.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        kept.bind(address)
