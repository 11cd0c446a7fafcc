"""A large table: how long it takes to load, its memory, the stall of a reload, and what a decision costs.

`python -m tests.bench.tables [--registries N]` prints all of it as JSON. Each figure is taken in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import gc
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from oci_ns.conf_files import Sources
from oci_ns.index import RouteIndex
from oci_ns.reload import Reloader, load_index
from oci_ns.routes import RouteTable

REGISTRIES: Final = 100_000
FEW: Final = 10
_ROOT: Final = Path(__file__).resolve().parents[2]
_ROUNDS: Final = 15
_RELOADS: Final = 5
_DECISIONS: Final = 2_000
_TICK_SECONDS: Final = 0.001
_AFTERWARDS_SECONDS: Final = 1.0
"""How long to go on looking after a reload: the former table is freed only then."""
_Figures = dict[str, float | list[float]]


def table_of(registries: int) -> str:
    """A registries.conf: each registry has one or two mirrors, each at its own location at one of fifty proxies."""
    return 'unqualified-search-registries = ["docker.io"]\n' + "".join(map(_registry, range(registries)))


def _registry(number: int) -> str:
    host = _host(number)
    mirrors = (
        f'\n[[registry.mirror]]\nlocation = "proxy-{number % 50}-{mirror}.example.net:5000/cache/{number}"\n'
        f'namespace-proxy = "{host}"\n'
        for mirror in range(1 + number % 2)
    )
    return f'\n[[registry]]\nprefix = "{host}"\nlocation = "{host}"\n{"".join(mirrors)}'


def _host(number: int) -> str:
    return f"registry-{number}.example.com"


def measure(registries: int = REGISTRIES) -> dict[str, Any]:
    """All figures of a table of that size, each a number or one for each round.

    `load_seconds`; `memory_mb`: the most that the whole process had, mitmproxy's modules included, and how much of it
    the table is (`growth_*`); `stall_ms`: the longest that an event loop which decides requests stood still in a
    reload (`quiet_ms`: in as much time without one); `decision_ratio`: a decision about one of all registries, at
    random, to one in a table of ten (`hot_ratio`: about the same registry each time), and both in microseconds.
    """
    with tempfile.TemporaryDirectory() as directory:
        many, few = Path(directory, "many.conf"), Path(directory, "few.conf")
        many.write_text(table_of(registries))
        few.write_text(table_of(FEW))
        loads = [_apart("load", many) for _ in range(3)]
        loaded = {key: [load[key] for load in loads] for key in loads[0]}
        figures = loaded | _apart("stall", many) | _apart("decide", many, few)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return {"conditions": f"{registries} registries, {python}", **figures}


def _apart(what: str, *paths: Path) -> dict[str, Any]:
    """Take one measurement in a process of its own."""
    command = [sys.executable, "-m", __spec__.name if __spec__ else __name__, "--only", what, *map(str, paths)]
    path = os.pathsep.join(filter(None, [str(_ROOT / "addon"), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        command, cwd=_ROOT, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, check=True
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def measure_load(path: Path) -> _Figures:
    """Load a table once, in a process that has mitmproxy's modules as one that serves has them."""
    import oci_ns.addon  # noqa: F401, PLC0415

    gc.collect()
    before, begin = _resident_mb(), time.perf_counter()
    loaded = load_index(Sources(path))
    seconds = time.perf_counter() - begin
    after, peak = _resident_mb(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert loaded.index.registries
    return {
        "load_seconds": seconds,
        "memory_mb": peak,
        "growth_peak_mb": peak - before,
        "growth_mb": after - before,
    }


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def measure_stall(path: Path) -> _Figures:
    """Reload a table again and again, beside an event loop that decides requests."""
    import oci_ns.addon  # noqa: F401, PLC0415

    return asyncio.run(_stalls(path))


async def _stalls(path: Path) -> _Figures:
    tables: list[RouteTable] = []

    def use(index: RouteIndex) -> None:
        tables[:] = [RouteTable(index)]

    reloader = Reloader(use, interval=3600)
    reloader.replace(lambda: Sources(path))
    watch = asyncio.create_task(reloader.watch())
    stalls, quiet, seconds = [], [], []
    for _ in range(_RELOADS):
        former, begin = tables[0], time.perf_counter()
        reloader.ask()
        stalls.append(await _longest_gap(tables, functools.partial(_is_replaced, tables, former)))
        seconds.append(time.perf_counter() - begin - _AFTERWARDS_SECONDS)
        del former
        until = time.perf_counter() + seconds[-1]
        quiet.append(await _longest_gap(tables, functools.partial(_is_past, until)))
    watch.cancel()
    return {"stall_ms": stalls, "quiet_ms": quiet, "reload_seconds": seconds}


def _is_replaced(tables: list[RouteTable], former: RouteTable) -> bool:
    return tables[0] is not former


def _is_past(moment: float) -> bool:
    return time.perf_counter() > moment


async def _longest_gap(tables: list[RouteTable], is_done: Callable[[], bool]) -> float:
    """The longest time between two turns of the event loop, in ms, until something is done and a while longer."""
    numbers = random.Random(1)
    longest, end, last = 0.0, float("inf"), time.perf_counter()
    while time.perf_counter() < end:
        await asyncio.sleep(_TICK_SECONDS)
        now = time.perf_counter()
        longest, last = max(longest, now - last - _TICK_SECONDS), now
        for _ in range(5):
            _decide(tables[0], _host(numbers.randrange(len(tables[0].index.registries))))
        if end == float("inf") and is_done():
            end = now + _AFTERWARDS_SECONDS
    return longest * 1000


def measure_decision(many: Path, few: Path) -> _Figures:
    """Decide with both tables by turns."""
    tables = {name: RouteTable(load_index(Sources(path)).index) for name, path in (("many", many), ("few", few))}
    micros: dict[str, list[float]] = {}
    numbers = random.Random(1)
    for _ in range(_ROUNDS):
        for name, table in tables.items():
            registries = range(len(table.index.registries))
            hosts = [_host(numbers.choice(registries)) for _ in range(_DECISIONS)]
            micros.setdefault(name, []).append(_micros(partial(_decide, table), hosts))
            micros.setdefault(f"{name}_hot", []).append(_micros(partial(_decide, table), [_host(7)] * _DECISIONS))
    return {
        "decision_ratio": list(_ratios(micros["many"], micros["few"])),
        "hot_ratio": list(_ratios(micros["many_hot"], micros["few_hot"])),
        "decision_us": statistics.median(micros["many"]),
        "decision_us_of_few": statistics.median(micros["few"]),
    }


def _ratios(many: list[float], few: list[float]) -> Iterator[float]:
    yield from (one / other for one, other in zip(many, few, strict=True))


def _micros(decide: Callable[[str], None], hosts: list[str]) -> float:
    begin = time.perf_counter()
    for host in hosts:
        decide(host)
    return (time.perf_counter() - begin) / len(hosts) * 1e6


def _decide(table: RouteTable, host: str) -> None:
    table.decide("GET", "https", host, 443, "/v2/library/alpine/manifests/latest")


_MEASUREMENTS: Final[dict[str, Callable[..., _Figures]]] = {
    "load": measure_load,
    "stall": measure_stall,
    "decide": measure_decision,
}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.tables", description=__doc__)
    parser.add_argument("--registries", type=int, default=REGISTRIES, metavar="N")
    parser.add_argument("--only", choices=list(_MEASUREMENTS), help=argparse.SUPPRESS)
    parser.add_argument("paths", nargs="*", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(_MEASUREMENTS[arguments.only](*arguments.paths)))
    else:
        print(json.dumps(measure(arguments.registries), indent=2))


if __name__ == "__main__":
    main()
