"""The row of exports: how long it takes to write an engine's configuration, and the engine to load it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.engines import ENGINES, checking
from lab.mitmdump import ADDON
from lab.process import clean_env

from .bench import Bench, Row
from .measures import BenchError, Figure, Outcome, ratios
from .rounds import interleaved

_REGISTRIES: Final = 10_000
_ENTRY: Final = """
[[registry]]
prefix = "r{0}.example.net"
location = "r{0}.example.net"
[[registry.mirror]]
location = "127.0.0.1:5000/r{0}"
plain-http = true
namespace-proxy = "r{0}.example.net"
"""
_MAIN: Final = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg", "envoy": "envoy.yaml"}
_CHECK: Final = "check"
_SECONDS: Final = "seconds"


@dataclass(frozen=True, slots=True)
class _Task:
    """A command that is timed."""

    name: str
    command: Sequence[str]


def measure(bench: Bench) -> Outcome:
    """Export for each engine, load what is written, and check the same configuration for comparison."""
    registries = bench.settings.number(_REGISTRIES, least=300)
    directory = bench.new_directory("exports")
    conf = directory / "registries.conf"
    conf.write_text("".join(_ENTRY.format(number) for number in range(registries)))
    tasks = [_Task(_CHECK, [*_ns_inject(), "check", str(conf)])]
    for engine in ENGINES:
        place = directory / engine
        options = ["--registries-conf", str(conf), "--resolver", "127.0.0.1", "-o", f"{place}/"]
        export = _Task(f"{engine} export", [*_ns_inject(), "export", engine, *options])
        _timed(export, directory)
        tasks += [export, _Task(f"{engine} load", checking(engine, place, place / _MAIN[engine]))]
    samples = interleaved(tasks, bench.settings.long_rounds, lambda task: _timed(task, directory), bench.say)
    what = f"{registries:,} registries: {{}} / ns-inject check"
    figures = [Figure(what.format(task.name), "", ratios(samples, _SECONDS, task.name, _CHECK)) for task in tasks[1:]]
    conditions = f"whole commands, each registry with one mirror that has a path: {', '.join(ENGINES)}"
    commands = {task.name: " ".join(task.command) for task in tasks}
    return Outcome(ROW.name, conditions, figures, samples, commands)


def _ns_inject() -> list[str]:
    return [sys.executable, "-c", "from oci_ns.cli.main import main; main()"]


def _timed(task: _Task, directory: Path) -> Mapping[str, float]:
    environment = clean_env(directory) | {"PYTHONPATH": os.pathsep.join([str(ADDON.parent), *sys.path])}
    started = time.perf_counter()
    done = subprocess.run(task.command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{task.name} failed: {done.stderr[-500:]}")
    return {_SECONDS: time.perf_counter() - started}


ROW: Final = Row("exports", "10,000 registries: the export to each engine, and its load", ("nginx", "haproxy"), measure)
