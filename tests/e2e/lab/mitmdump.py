"""Knows how to run a real mitmdump, of the Python that runs the tests, with the addon in it."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from .network import ClientMachine
from .process import Daemon, clean_env, free_port, listens, require

ADDON = Path(__file__).resolve().parents[3] / "addon" / "ns_inject.py"

# `python -m mitmproxy.tools.main` would start nothing: the module only defines the entry points.
_ENTRY_POINT = "import sys; sys.argv[0] = '{0}'; from mitmproxy.tools.main import {0}; {0}()"

_CA = "mitmproxy-ca-cert.pem"

_numbers = itertools.count(1)


class Mitmdump:
    """A running mitmdump.

    ``modes`` are mitmproxy's proxy modes (``regular``, ``transparent``, ``reverse:https://proxy.example.com``, ...);
    each gets a port of its own, in the same order in ``ports``, unless it names an ``@address:port`` itself.
    """

    program: ClassVar[str] = "mitmdump"
    settings: ClassVar[Mapping[str, str]] = {"flow_detail": "1", "termlog_verbosity": "info"}
    flags: ClassVar[Sequence[str]] = ()
    """The options that are set if the test does not."""

    def __init__(
        self,
        directory: Path,
        *,
        conf: Path | None = None,
        modes: Sequence[str] = ("regular",),
        options: Mapping[str, str] | None = None,
        scripts: Sequence[Path] = (ADDON,),
        trusted_ca: Path | None = None,
        user: int | None = None,
        confdir: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 90.0,
    ) -> None:
        """``conf`` is the containers-registries.conf, ``trusted_ca`` whom mitmproxy trusts as a client.

        ``options`` are further mitmproxy options; they win over those set here. ``user`` is a numeric user id under
        which mitmdump runs, for rules that tell its connections from others'; it can still read all files. With
        ``confdir`` mitmproxy's own certificate authority can be kept from one mitmdump to the next.
        """
        number = next(_numbers)
        directory.mkdir(parents=True, exist_ok=True)
        self.confdir = confdir or directory / f"confdir-{number}"
        self.confdir.mkdir(parents=True, exist_ok=True)
        self._listeners = [_listener(mode) for mode in modes]
        self.ports = [port for _, port in self._listeners]
        log = directory / f"{self.program}-{number}.log"
        command = [*_as_user(user), *self._command(conf, modes, scripts, trusted_ca, options or {})]
        variables = clean_env(directory, PYTHONUNBUFFERED="1", PYTHONDONTWRITEBYTECODE="1", **(env or {}))
        self._daemon = self._daemon_of(command, log, variables, timeout)

    def _daemon_of(self, command: Sequence[str], log: Path, env: Mapping[str, str], timeout: float) -> Daemon:
        """The program, not started yet."""
        return Daemon(self.program, command, log=log, ready=self._is_ready, env=env, cwd=log.parent, timeout=timeout)

    def _command(
        self,
        conf: Path | None,
        modes: Sequence[str],
        scripts: Sequence[Path],
        trusted_ca: Path | None,
        options: Mapping[str, str],
    ) -> list[str]:
        settings = {**self.settings, "confdir": str(self.confdir)}
        if conf is not None:
            settings["ns_registries_conf"] = str(conf)
        if trusted_ca is not None:
            settings["ssl_verify_upstream_trusted_ca"] = str(trusted_ca)
        settings |= options
        beside = Path(sys.executable).parent / self.program
        command = [str(beside)] if beside.exists() else [sys.executable, "-c", _ENTRY_POINT.format(self.program)]
        for mode, port in zip(modes, self.ports, strict=True):
            command += ["--mode", mode if "@" in mode else f"{mode}@{port}"]
        for script in scripts:
            command += ["-s", str(script)]
        for name, value in settings.items():
            command += ["--set", f"{name}={value}"]
        return [*command, *self.flags]

    def _is_ready(self) -> bool:
        return all(listens(port, address) for address, port in self._listeners)

    @property
    def port(self) -> int:
        """The port of the first mode; it listens on all addresses."""
        return self.ports[0]

    @property
    def url(self) -> str:
        """The first port as a proxy for clients on the same machine."""
        return f"http://127.0.0.1:{self.port}"

    def url_from(self, machine: ClientMachine) -> str:
        """The first port as a proxy for clients on a client machine."""
        return f"http://{machine.gateway}:{self.port}"

    @property
    def ca_pem(self) -> Path:
        """The certificate of mitmproxy's authority, which clients behind it have to trust."""
        return self.confdir / _CA

    @property
    def argv(self) -> list[str]:
        """The command it is started with."""
        return self._daemon.argv

    @property
    def pid(self) -> int:
        """The process id."""
        return self._daemon.pid

    def alive(self) -> bool:
        """Whether it runs."""
        return self._daemon.alive()

    def status(self) -> int | None:
        """Its exit status, or the number of the signal that ended it; None while it runs."""
        return self._daemon.status()

    def log(self) -> str:
        """Everything it printed so far."""
        return self._daemon.log()

    def start(self) -> Self:
        """Start it and wait until it listens on all its ports."""
        self._daemon.start()
        return self

    def stop(self) -> None:
        """Stop it."""
        self._daemon.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def _listener(mode: str) -> tuple[str, int]:
    """Address and port the mode listens on."""
    address, colon, port = mode.partition("@")[2].rpartition(":")
    return (address, int(port)) if colon else ("0.0.0.0", free_port())


def _as_user(user: int | None) -> list[str]:
    if user is None:
        return []
    # Temporary directories are closed to other users; the capability lets this one in, without making it root.
    power = "+dac_override"
    # A process that becomes another user forgets that it was to end with its parent.
    identity = [f"--reuid={user}", f"--regid={user}", "--clear-groups", "--pdeathsig=KILL"]
    return [require("setpriv"), *identity, f"--inh-caps={power}", f"--ambient-caps={power}"]
