"""Knows how to start, await, watch and end other programs.

Every program of the laboratory is started through this module, so that each has its output in a file, a deadline, an
environment that does not depend on the machine the tests run on, and an end.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# All that a program may learn from the environment of the tests. Everything else (HTTP_PROXY, SSL_CERT_FILE,
# DOCKER_HOST, XDG_CONFIG_HOME, ...) changes where a client goes or whom it trusts, and must be said explicitly.
_INHERITED = ("LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "COVERAGE_PROCESS_CONFIG")

_POLL_SECONDS = 0.02
_LOG_TAIL_LINES = 40
_TCP_SYN_SENT = "02"
_TCP_LISTEN = "0A"
_FIRST_PORT = 10_000

# Test processes outside the private network share their ports, so each begins somewhere else.
_port_numbers = itertools.count(os.getpid() * 100)


def unavailable(reason: str) -> NoReturn:
    """End the calling test because the machine lacks something: a failure in CI, a skip elsewhere.

    CI promises to have everything, so there a missing program must not make tests vanish silently.
    """
    # The laboratory serves the benchmarks too, which run without pytest.
    import pytest  # noqa: PLC0415

    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def search_path() -> str:
    """The PATH of the tests, with the directories for system programs, which not every user has in it."""
    inherited = os.environ.get("PATH", "")
    return f"{inherited}:{_SYSTEM_PATH}" if inherited else _SYSTEM_PATH


def require(name: str) -> str:
    """The absolute path of a program; without it the calling test is skipped, or failed in CI."""
    found = shutil.which(name, path=search_path())
    if found is None:
        unavailable(f"the program {name!r} is not installed")
    return str(Path(found).absolute())


def clean_env(home: Path, **variables: str) -> dict[str, str]:
    """An environment which is the same on every machine, with ``home`` as the place for a program's own files."""
    env = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    env |= {"PATH": search_path(), "HOME": str(home), "TMPDIR": str(home)}
    return env | variables


def free_port() -> int:
    """A TCP port that nobody uses on any address of this machine, and that nobody gets by chance."""
    # Not one the kernel chooses, which may give it to an outgoing connection meanwhile. Its range begins here.
    limit = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(_FIRST_PORT, limit):
        port = _FIRST_PORT + next(_port_numbers) % (limit - _FIRST_PORT)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("", port))
            return port
    raise AssertionError("all ports are in use")


def listens(port: int, address: str = "0.0.0.0") -> bool:
    """Whether something listens on this TCP port of ``address``, on the network of the calling thread.

    Asks the kernel instead of connecting, so the program that listens does not notice and logs nothing about it.
    """
    # In the kernel's table, addresses are hexadecimal numbers in the byte order of the machine.
    wanted = {f"{int.from_bytes(socket.inet_aton(each), sys.byteorder):08X}" for each in (address, "0.0.0.0")}
    for line in _lines(Path("/proc/thread-self/net/tcp"), skip=1):
        local, state = line.split()[1], line.split()[3]
        listening_address, _, listening_port = local.partition(":")
        if state == _TCP_LISTEN and int(listening_port, 16) == port and listening_address in wanted:
            return True
    return False


def is_waited_for(port: int) -> bool:
    """Whether somebody on the network of the calling thread is connecting to this TCP port, and has no answer."""
    lines = (line.split() for line in _lines(Path("/proc/thread-self/net/tcp"), skip=1))
    return any(line[3] == _TCP_SYN_SENT and int(line[2].rpartition(":")[2], 16) == port for line in lines)


def wait_until(condition: Callable[[], bool], what: str, *, timeout: float = 60.0) -> None:
    """Poll ``condition`` until it holds; an AssertionError says ``what`` did not come about in time."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:g} s in vain until {what}")
        time.sleep(_POLL_SECONDS)


def run(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float = 180.0,
    check: bool = True,
    stdin: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; unless ``check`` is off, anything but success is an AssertionError with the output."""
    command = [str(part) for part in argv]
    shown = shlex.join(command)
    # A session of its own, so that on a timeout the program's children end too: otherwise they would keep the pipes
    # open and the test waiting.
    with subprocess.Popen(
        command,
        env=None if env is None else dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            stdout, stderr = process.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            _signal_group(process.pid, signal.SIGKILL)
            stdout, stderr = process.communicate()
            raise AssertionError(f"{shown}\ndid not end within {timeout:g} s\n{stdout}{stderr}") from None
        except BaseException:
            if process.returncode is None:
                _signal_group(process.pid, signal.SIGKILL)
            raise
    if check and process.returncode != 0:
        raise AssertionError(f"{shown}\nended with status {process.returncode}\n{stdout}{stderr}")
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


class Daemon:
    """A program that runs until it is stopped.

    ``start`` returns when ``ready()`` holds; a program that ends before, or does not get ready before the deadline, is
    an AssertionError with the end of its log. The program does not outlive the thread that started it, not even when
    the tests are killed.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        log: Path,
        ready: Callable[[], bool],
        env: Mapping[str, str],
        cwd: Path | None = None,
        timeout: float = 90.0,
    ) -> None:
        self.name = name
        self.argv = [str(part) for part in argv]
        self.log_path = log
        self._ready = ready
        self._env = dict(env)
        self._cwd = cwd
        self._timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start the program and wait until it is ready."""
        assert not self.alive(), f"{self.name} was started already"
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [require("setpriv"), "--pdeathsig=KILL", *self.argv],
                env=self._env,
                cwd=self._cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            deadline = time.monotonic() + self._timeout
            while not self._ready():
                if not self.alive():
                    raise AssertionError(f"{self.name} ended while starting: {self._describe()}")
                if time.monotonic() > deadline:
                    raise AssertionError(f"{self.name} was not ready within {self._timeout:g} s: {self._describe()}")
                time.sleep(_POLL_SECONDS)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self, *, grace: float = 10.0) -> None:
        """End the program and everything it started in its process group; stopping twice is no error."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        if self.alive():
            _signal_group(process.pid, signal.SIGTERM)
            with contextlib.suppress(AssertionError):
                wait_until(lambda: not self.alive(), f"{self.name} ends", timeout=grace)
        # Also when the program itself has ended, since it may have left children behind. Only what comes after, the
        # wait, frees its process id for others.
        _signal_group(process.pid, signal.SIGKILL)
        process.wait()

    @property
    def pid(self) -> int:
        """The process id of the program."""
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    def alive(self) -> bool:
        """Whether the program is running."""
        return self._process is not None and self.status() is None

    def log(self) -> str:
        """Everything the program printed so far."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def _describe(self) -> str:
        tail = "\n".join(self.log().splitlines()[-_LOG_TAIL_LINES:])
        return f"{shlex.join(self.argv)}\nstatus {self.status()}, end of {self.log_path}:\n{tail}"

    def status(self) -> int | None:
        """The exit status, or the number of the signal, that ended the program; it stays in the process table."""
        assert self._process is not None
        if self._process.returncode is not None:
            return self._process.returncode
        ended = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return None if ended is None else ended.si_status

    def __enter__(self) -> Self:
        return self if self._process is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def rss_kib(pid: int) -> int:
    """The memory a process occupies now, in KiB."""
    return _status_kib(pid, "VmRSS")


def peak_rss_kib(pid: int) -> int:
    """The most memory a process has occupied at any time since it started (or since ``reset_peak_rss``), in KiB."""
    return _status_kib(pid, "VmHWM")


def reset_peak_rss(pid: int) -> None:
    """Let the peak start anew at the memory the process occupies now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _status_kib(pid: int, field: str) -> int:
    for line in _lines(Path(f"/proc/{pid}/status")):
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise AssertionError(f"process {pid} has no {field}; has it ended?")


def _lines(path: Path, *, skip: int = 0) -> Iterator[str]:
    with path.open() as file:
        yield from itertools.islice(file, skip, None)


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)
