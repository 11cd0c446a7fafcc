"""The rows of big blobs: how fast they pass, how much memory that takes, and when their first byte arrives."""

from __future__ import annotations

import functools
from contextlib import ExitStack
from typing import Final

from .bench import Bench, Row
from .download import command, download
from .measures import Figure, Outcome, Target, differences, ratios
from .memory import forget_peak, peak_mib, resident_mib
from .noise import write_noise
from .peers import Kind, Peer, commands, start
from .rounds import interleaved
from .same import arrived_alike
from .settings import MIB
from .upstream import Upstream

_MIB: Final = 1024
_KINDS: Final = (Kind.DIRECT, Kind.NGINX, Kind.STOCK, Kind.SERVE, Kind.HAPROXY)
_OURS: Final = (Kind.STOCK, Kind.SERVE)

_THROUGHPUT: Final = {False: Target(">=", 0.6), True: Target(">=", 0.4)}
_MEMORY: Final = Target("<", 32)
_FIRST_BYTE: Final = Target("<", 10)


def measure(bench: Bench, *, tls: bool) -> Outcome:
    """Download the blob through each peer in turn."""
    settings = bench.settings
    size = settings.size(_MIB)
    blob = bench.new_directory("blob") / "blob"
    bench.say(f"making a blob of {size // MIB} MiB")
    digest = write_noise(blob, size)
    path = f"lab/big/blobs/{digest}"
    with ExitStack() as stack:
        # Its last user is gone when the row is done.
        stack.callback(blob.unlink)
        upstream = Upstream(bench, tls=tls, blob=blob)
        stack.enter_context(upstream.daemon)
        peers = start(bench, stack, _KINDS, upstream.authority, tls=tls)
        arrived_alike(peers, upstream, "lab/big/manifests/v1")
        idle = {peer.name: resident_mib(peer.pid) for peer in peers if peer.kind in _OURS}

        def one(peer: Peer) -> dict[str, float]:
            if peer.name in idle:
                forget_peak(peer.pid)
            seen = download(peer.asked(path), size)
            quantities = {"MiB/s": size / MIB / seen.seconds, "first byte ms": seen.first_byte * 1000}
            if peer.name in idle:
                quantities["MiB over idle"] = peak_mib(peer.pid) - idle[peer.name]
            return quantities

        # Not warmed up with a blob: the memory that the first one takes counts.
        samples = interleaved(peers, settings.rounds, one, bench.say)
        row = TLS_ROW if tls else PLAIN_ROW
        outcome = Outcome(row.name, _conditions(size, tls), samples=samples, commands=dict(commands(peers)))
        outcome.commands["load"] = " ".join(command(peers[0].asked(path)))
    blobs = f"{size // MIB} MiB blob, {'TLS on both sides' if tls else 'plain http'}"
    for kind in _OURS:
        speed = ratios(samples, "MiB/s", kind, Kind.NGINX)
        outcome.figures.append(Figure(f"{blobs}: {kind} / nginx proxy_pass", "", speed, _THROUGHPUT[tls]))
        if not tls:
            memory = samples[kind]["MiB over idle"]
            outcome.figures.append(Figure(f"{blobs}: {kind}, peak memory over idle", "MiB", memory, _MEMORY))
            first = differences(samples, "first byte ms", kind, Kind.DIRECT)
            outcome.figures.append(Figure(f"{blobs}: {kind}, first byte after direct", "ms", first, _FIRST_BYTE))
    for kind in (Kind.HAPROXY, Kind.DIRECT):
        values = ratios(samples, "MiB/s", kind, Kind.NGINX)
        outcome.figures.append(Figure(f"{blobs}: {kind} / nginx proxy_pass", "", values))
    outcome.figures.append(Figure(f"{blobs}: nginx proxy_pass", "MiB/s", samples[Kind.NGINX]["MiB/s"]))
    return outcome


def _conditions(size: int, tls: bool) -> str:
    return (
        f"{size // MIB} MiB of noise in memory, served by nginx with sendfile, downloaded by curl over HTTP/1.1, "
        f"{'a new TLS connection on either side' if tls else 'a new connection'} each time; nginx in between with one "
        "worker and buffers as they are by default, but no temporary file"
    )


_PROGRAMS: Final = ("curl", "nginx", "haproxy", "setpriv")
PLAIN_ROW: Final = Row(
    "blob",
    "a 1 GiB blob over plain http: throughput, peak memory, time to the first byte",
    _PROGRAMS,
    functools.partial(measure, tls=False),
)
TLS_ROW: Final = Row(
    "blob-tls",
    "a 1 GiB blob with TLS on both sides: throughput",
    _PROGRAMS,
    functools.partial(measure, tls=True),
)
