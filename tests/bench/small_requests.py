"""The rows of small requests: how many a second, beside a mitmdump that only passes them on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Final

from .bench import Bench, Row
from .load import IMAGES, command, generate, sample_path
from .measures import Figure, Outcome, Target, ratios
from .peers import Kind, Peer, commands, start
from .rounds import averaged, interleaved
from .same import arrived_alike
from .upstream import Upstream

_QUANTITY: Final = "requests/s"
_TARGETS: Final = {
    Kind.STOCK: Target(">=", 0.97),
    Kind.SERVE: Target(">=", 1.9),
    Kind.SERVE_WORKERS: Target(">=", 2.5),
}
_KINDS: Final = (
    Kind.BARE,
    Kind.STOCK,
    Kind.SERVE,
    Kind.SERVE_WORKERS,
    Kind.MAP_REMOTE,
    Kind.NGINX,
    Kind.HAPROXY,
    Kind.DIRECT,
)


def measure(bench: Bench) -> Outcome:
    """Load all peers in turn."""
    settings = bench.settings
    with ExitStack() as stack:
        upstream = Upstream(bench)
        stack.enter_context(upstream.daemon)
        peers = start(bench, stack, _KINDS, upstream.authority)
        seen = arrived_alike(peers, upstream, sample_path("lab/image-1"))

        def load(peer: Peer) -> dict[str, float]:
            return generate(peer, connections=settings.connections, seconds=1).quantities()

        bench.say("warming up")
        with ThreadPoolExecutor(len(peers)) as threads:
            list(threads.map(load, peers))
        samples = interleaved(peers, settings.rounds * settings.turns, load, bench.say)
        outcome = Outcome(ROW.name, _conditions(bench), samples=samples, commands=dict(commands(peers)))
        outcome.commands |= {f"seen from {each['peer']}": f"{each['method']} {each['target']}" for each in seen}
        outcome.commands["load"] = " ".join(command(peers[0], connections=settings.connections, seconds=1))
    rounds = averaged(samples, settings.turns)
    for kind in _KINDS:
        if kind is Kind.BARE:
            continue
        values = ratios(rounds, _QUANTITY, kind, Kind.BARE)
        what = f"small requests: {kind} / {Kind.BARE}"
        outcome.figures.append(Figure(what, "", values, _TARGETS.get(kind)))
    bare = rounds[Kind.BARE][_QUANTITY]
    outcome.figures.append(Figure(f"small requests: {Kind.BARE}", "requests/s", bare))
    return outcome


def _conditions(bench: Bench) -> str:
    return (
        f"GET of a manifest of 1 kB, {IMAGES} images in turn; {bench.settings.turns} s for each in a round, "
        f"a second at a time, of wrk with one thread and {bench.settings.connections} keep-alive connections on the "
        "same processors; every mitmdump and ns-inject serve with -q (nothing printed for a flow), nginx and HAProxy "
        "with one worker and no access log; a table of 10 registries"
    )


ROW: Final = Row(
    "small-requests",
    "requests/s of mitmdump with the addon, ns-inject serve, --map-remote, nginx and HAProxy, beside bare mitmdump",
    ("wrk", "nginx", "haproxy", "setpriv"),
    measure,
)
