"""SIGHUP reads the files again, unless it tells that the terminal is gone; and it is left as it was found."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from oci_ns.background import in_background
from oci_ns.conf_files import Sources
from oci_ns.index import RouteIndex
from oci_ns.reload import Reloader
from oci_ns.reload_triggers import watch
from tests.unit.changes import FIRST, conf

ROOT = Path(__file__).parents[2]

_WATCHES = """
import asyncio, sys
from pathlib import Path
from oci_ns.conf_files import Sources
from oci_ns.reload import Reloader
from oci_ns.reload_triggers import watch
async def main():
    reloader = Reloader(lambda index: print("used", flush=True), interval=3600)
    reloader.replace(lambda: Sources(Path(sys.argv[1])))
    watch(reloader)
    print("watching", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "registries.conf"
    path.write_text(conf(FIRST))
    return path


def test_each_sighup_reads_the_files_until_the_end(path: Path) -> None:
    used: list[RouteIndex] = []

    async def check() -> None:
        reloader = Reloader(used.append, interval=3600)
        reloader.replace(lambda: Sources(path))
        end = watch(reloader)
        for count in (2, 3):
            os.kill(os.getpid(), signal.SIGHUP)
            async with asyncio.timeout(10):
                while len(used) < count:
                    await asyncio.sleep(0.001)
        end()
        end()

    asyncio.run(check())
    assert len(used) == 3


@pytest.mark.parametrize("before", [signal.SIG_DFL, signal.SIG_IGN])
def test_at_the_end_sighup_means_what_it_meant_before(before: signal.Handlers, path: Path) -> None:
    async def check() -> None:
        reloader = Reloader(lambda _: None)
        reloader.replace(lambda: Sources(path))
        watch(reloader)()
        assert signal.getsignal(signal.SIGHUP) is before

    former = signal.signal(signal.SIGHUP, before)
    try:
        asyncio.run(check())
    finally:
        signal.signal(signal.SIGHUP, former)


def test_without_the_main_thread_there_is_no_signal_and_the_files_are_watched(path: Path) -> None:
    ended = threading.Event()

    async def check() -> None:
        watch(Reloader(lambda _: None))()
        ended.set()

    thread = threading.Thread(target=lambda: asyncio.run(check()))
    thread.start()
    thread.join(10)
    assert ended.is_set()
    assert path.exists()


def test_where_the_terminal_goes_away_the_process_ends_as_it_would_have(path: Path) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, "-c", _WATCHES, str(path)], _environment())
    with os.fdopen(terminal, "rb", buffering=0) as output:
        seen = b""
        while b"watching" not in seen:
            seen += output.read(1000)
        os.kill(pid, signal.SIGHUP)
        while seen.count(b"used") < 2:
            seen += output.read(1000)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGHUP


def test_without_a_terminal_sighup_reads_the_files(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _WATCHES, path],
        stdout=subprocess.PIPE,
        text=True,
        env=_environment(),
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["used\n", "watching\n"]
        process.send_signal(signal.SIGHUP)
        assert process.stdout.readline() == "used\n"
        process.terminate()


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "addon"), "PYTHONDONTWRITEBYTECODE": "1"}


def test_what_runs_in_the_background_neither_blocks_the_loop_nor_keeps_the_process() -> None:
    program = """
import asyncio, time
from oci_ns.background import in_background
async def main():
    asyncio.create_task(in_background(lambda: time.sleep(3600)))
    await asyncio.sleep(0.01)
asyncio.run(main())
print("ended")
"""
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, env=_environment(), timeout=20, check=True)
    assert (ended.stdout, ended.stderr) == ("ended\n", "")


def test_what_is_raised_in_the_background_is_raised_where_it_is_awaited() -> None:
    with pytest.raises(ZeroDivisionError):
        asyncio.run(in_background(lambda: 1 / 0))
