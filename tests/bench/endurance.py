"""The row of endurance: whether many requests in a row leave something behind in memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Final

from .bench import Bench, Row
from .load import generate, sample_path
from .measures import Figure, Outcome, Target
from .memory import resident_mib
from .peers import Kind, Peer, commands, start
from .same import arrived_alike
from .upstream import Upstream

_FIRST: Final = 10_000
_ALL: Final = 200_000
_IMAGES: Final = 500
_SLICE_SECONDS: Final = 3
_KINDS: Final = (Kind.STOCK, Kind.SERVE)
_TARGET: Final = Target("<=", 1.05)
_CONDITIONS: Final = (
    f"manifests of {_IMAGES} images in turn, by wrk in slices of {_SLICE_SECONDS} s; resident memory after the slice "
    "that completes the number"
)


def measure(bench: Bench) -> Outcome:
    """Load all at once, which memory does not mind, and see what each occupies on the way."""
    first, all_ = bench.settings.number(_FIRST), bench.settings.number(_ALL)
    with ExitStack() as stack:
        upstream = Upstream(bench)
        stack.enter_context(upstream.daemon)
        peers = start(bench, stack, _KINDS, upstream.authority)
        arrived_alike(peers, upstream, sample_path("lab/image-1"))
        with ThreadPoolExecutor(len(peers)) as threads:
            watched = dict(zip(_KINDS, threads.map(lambda peer: _watched(bench, peer, all_), peers), strict=True))
        outcome = Outcome(ROW.name, _CONDITIONS, commands=dict(commands(peers)))
    for kind in _KINDS:
        counts, memory = watched[kind]
        outcome.samples[kind] = {"requests": counts, "MiB": memory}
        growth = [memory[-1] / _memory_after(first, counts, memory)]
        what = f"memory after {all_:,} requests / after {first:,}: {kind}"
        outcome.figures.append(Figure(what, "", growth, _TARGET))
    return outcome


def _watched(bench: Bench, peer: Peer, requests: int) -> tuple[list[float], list[float]]:
    """The number of requests until the end of each slice, and the memory then, in MiB."""
    counts: list[float] = []
    memory: list[float] = []
    total = 0
    while total < requests:
        load = generate(peer, connections=bench.settings.connections, seconds=_SLICE_SECONDS, images=_IMAGES)
        total += load.requests
        counts.append(total)
        memory.append(resident_mib(peer.pid))
        bench.say(f"{peer.name}: {total:,} of {requests:,} requests, {memory[-1]:.1f} MiB")
    return counts, memory


def _memory_after(first: int, counts: list[float], memory: list[float]) -> float:
    return next(mebibytes for count, mebibytes in zip(counts, memory, strict=True) if count >= first)


ROW: Final = Row(
    "endurance",
    "200,000 requests in a row: memory at the end beside that after the first 10,000",
    ("wrk", "nginx", "setpriv"),
    measure,
)
