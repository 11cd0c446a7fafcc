"""The row of exported configurations: requests a second and a big blob, beside the same engine that only passes on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Final

from lab.process import free_port

from .bench import Bench, Row
from .download import download
from .exporting import ENGINES, Engine, Running, exported, host_of, plain, table_of, tabulated
from .load import generate, sample_path
from .measures import BenchError, Figure, Outcome, Target, ratios
from .noise import write_noise
from .rounds import averaged, interleaved
from .settings import MIB
from .upstream import Upstream

_RATE: Final = "requests/s"
_PROCESSOR: Final = "processor us"
_SPEED: Final = "MiB/s"
_MIB: Final = 1024
_TARGET: Final = Target(">=", 0.95)
_TABLES: Final = (1, 100, 10_000)


def measure(bench: Bench) -> Outcome:
    """Load each engine with its configurations in turn."""
    settings = bench.settings
    size = settings.size(_MIB)
    blob = bench.new_directory("blob") / "blob"
    digest = write_noise(blob, size)
    outcome = Outcome(ROW.name, _conditions(size))
    with ExitStack() as stack:
        stack.callback(blob.unlink)
        upstream = Upstream(bench, blob=blob)
        stack.enter_context(upstream.daemon)
        for engine in ENGINES:
            with ExitStack() as running:
                _measure(bench, running, engine, upstream, f"lab/big/blobs/{digest}", size, outcome)
    return outcome


def _measure(
    bench: Bench, stack: ExitStack, engine: Engine, upstream: Upstream, blob: str, size: int, outcome: Outcome
) -> None:
    settings = bench.settings
    bench.say(f"exporting to {engine.name}")
    base, *others = peers = list(_peers(bench, engine, upstream.authority))
    for peer in peers:
        stack.enter_context(peer.daemon)
        _check(peer, upstream)

    def load(peer: Running) -> dict[str, float]:
        before = peer.processor_seconds()
        seen = generate(peer, connections=settings.connections, seconds=1, host=host_of(0))
        return seen.quantities() | {_PROCESSOR: (peer.processor_seconds() - before) * 1e6 / seen.requests}

    def one(peer: Running) -> dict[str, float]:
        return {_SPEED: size / MIB / download(peer.asked(blob), size, host=host_of(0)).seconds}

    bench.say("warming up")
    with ThreadPoolExecutor(len(peers)) as threads:
        list(threads.map(load, peers))
    small = averaged(interleaved(peers, settings.rounds * settings.turns, load, bench.say), settings.turns)
    big = interleaved(peers, settings.rounds, one, bench.say)
    outcome.samples |= {peer.name: small[peer.name] | big[peer.name] for peer in peers}
    outcome.commands |= {peer.name: " ".join(peer.daemon.argv) for peer in peers}
    for peer in others:
        # Of several endpoints, each request has to be kept until one has answered.
        target = None if peer is others[-1] else _TARGET
        rates = ratios(small, _RATE, peer.name, base.name)
        outcome.figures.append(Figure(f"small requests: {peer.name} / plain", "", rates, target))
        times = ratios(small, _PROCESSOR, peer.name, base.name)
        outcome.figures.append(Figure(f"small requests: {peer.name} / plain, processor time", "", times))
    for peer in others:
        target = None if peer is others[-1] else _TARGET
        speeds = ratios(big, _SPEED, peer.name, base.name)
        outcome.figures.append(Figure(f"{size // MIB} MiB blob: {peer.name} / plain", "", speeds, target))
    outcome.figures.append(Figure(f"small requests: {base.name}", _RATE, small[base.name][_RATE]))
    outcome.figures.append(Figure(f"{size // MIB} MiB blob: {base.name}", _SPEED, big[base.name][_SPEED]))


def _peers(bench: Bench, engine: Engine, upstream: str) -> Iterator[Running]:
    yield plain(bench, engine, upstream)
    for registries in sorted({bench.settings.number(each) for each in _TABLES}):
        name = f"{engine.name}, {registries:,} {'registry' if registries == 1 else 'registries'}"
        yield exported(bench, engine, name, tabulated(table_of(registries, upstream)), host_of(0))
    table = tabulated(table_of(1, upstream, f"127.0.0.1:{free_port()}"))
    yield exported(bench, engine, f"{engine.name}, a mirror with another endpoint behind it", table, host_of(0))


def _check(peer: Running, upstream: Upstream) -> None:
    """Raises BenchError where something else arrives than has to."""
    rest = sample_path("lab/image-1")
    request, _ = upstream.seen_from(peer.name, peer.asked(rest), host=host_of(0))
    wanted = "GET", peer.arriving(rest), upstream.authority
    found = request["method"], request["target"], request["host"]
    if found != wanted:
        raise BenchError(f"{peer.name} cannot be compared: it sent {found}, and was to send {wanted}")


def _conditions(size: int) -> str:
    return (
        "each engine with one worker, no access log and keep-alive connections on both sides, with an exported "
        "configuration beside one written by hand that passes everything on to the same endpoint unchanged; a table in "
        "which each registry has one endpoint with its ns, or a mirror, which answers, before it; GET of a manifest of "
        "1 kB by wrk with one thread on the same processors, a second at a time; "
        f"{size // MIB} MiB of noise in memory downloaded by curl over a new connection"
    )


ROW: Final = Row(
    "exported",
    "requests/s and a 1 GiB blob of nginx, HAProxy and Envoy with an exported configuration, beside a plain proxy",
    ("wrk", "curl", "nginx", "haproxy", "setpriv"),
    measure,
)
