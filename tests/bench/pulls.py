"""The rows of whole images, pulled by real clients from a real registry: beside pulling them directly."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.clients import Dockerd, Skopeo
from lab.registries import Pushed

from .bench import Bench, Row
from .images import REPOSITORY, TAG, registry_with_image
from .measures import BenchError, Figure, Outcome, Target, ratios
from .peers import Kind, Peer, commands, start
from .rounds import interleaved
from .settings import MIB

_LAYERS: Final = 7
_LAYER_MEBIBYTES: Final = 100
_DOCKER_LAYERS: Final = 2
_CROWD_LAYERS: Final = 2
_CROWD_LAYER_MEBIBYTES: Final = 10
_CROWD: Final = 50
_SECONDS: Final = "seconds"

_RELAYED: Final = Target("<=", 1.2)
_REDIRECTED: Final = Target("<=", 1.05)
_TOGETHER: Final = Target("<=", 1.5)

_Puller = Callable[[Peer], dict[str, float]]
"""Pulls from a peer, and tells how long it took."""

_PROGRAMS: Final = ("skopeo", "docker-registry", "setpriv")


class _Skopeos:
    """So many skopeos, each with a directory of its own to pull to."""

    def __init__(self, bench: Bench, number: int, pushed: Pushed) -> None:
        directory = bench.new_directory("skopeo")
        self._clients = [Skopeo(directory) for _ in range(number)]
        self._targets = [directory / f"image-{index}" for index in range(number)]
        self._pushed = pushed

    def pull(self, peer: Peer) -> dict[str, float]:
        """Pull from a peer, all at once: the seconds until the last of them has its image."""
        with ThreadPoolExecutor(len(self._clients)) as threads:
            started = time.perf_counter()
            pulls = [
                threads.submit(self._pull, client, target, peer)
                for client, target in zip(self._clients, self._targets, strict=True)
            ]
            digests = {pull.result() for pull in pulls}
            seconds = time.perf_counter() - started
        for target in self._targets:
            shutil.rmtree(target)
        _check(digests, self._pushed, peer)
        return {_SECONDS: seconds}

    def _pull(self, client: Skopeo, target: Path, peer: Peer) -> str:
        return client.copy(f"docker://{peer.image(REPOSITORY)}:{TAG}", f"dir:{target}", tls_verify=False)


def _check(digests: set[str], pushed: Pushed, peer: Peer) -> None:
    if digests != {pushed.digest}:
        raise BenchError(f"{peer.name}: pulled {digests}, and {pushed.digest} was pushed")


@dataclass(frozen=True, slots=True)
class _Pull:
    """What is pulled, and through whom."""

    title: str
    conditions: str
    layers: int
    layer_size: int
    targets: Mapping[Kind, Target | None]
    """Of the seconds, beside those of pulling directly."""
    tls: bool = False


_PLAIN_ONLY: Final = Path(__file__).with_name("plain_only.py")


def _skopeo(bench: Bench) -> Outcome:
    size = bench.settings.size(_LAYER_MEBIBYTES)
    pull = _Pull(
        title=f"skopeo pull of {_LAYERS * size // MIB} MiB",
        conditions=f"skopeo copy docker:// dir: of {_layers(_LAYERS, size)} from a docker-registry, "
        "without TLS, all in memory",
        layers=_LAYERS,
        layer_size=size,
        targets={Kind.STOCK: _RELAYED, Kind.STOCK_REDIRECT: _REDIRECTED, Kind.SERVE: _RELAYED},
    )
    return _measure(bench, SKOPEO_ROW.name, pull, lambda pushed, _: _Skopeos(bench, 1, pushed).pull)


def _crowd(bench: Bench) -> Outcome:
    size = bench.settings.size(_CROWD_LAYER_MEBIBYTES)
    number = bench.settings.number(_CROWD, least=4)
    pull = _Pull(
        title=f"{number} skopeo pulls of {_CROWD_LAYERS * size // MIB} MiB at once",
        conditions=f"{number} skopeos started together, each to a directory of its own, of "
        f"{_layers(_CROWD_LAYERS, size)}, without TLS, all in memory; until the last one has ended",
        layers=_CROWD_LAYERS,
        layer_size=size,
        targets={Kind.STOCK: _TOGETHER, Kind.SERVE: _TOGETHER, Kind.SERVE_WORKERS: _TOGETHER},
    )
    return _measure(bench, CROWD_ROW.name, pull, lambda pushed, _: _Skopeos(bench, number, pushed).pull)


def _docker(bench: Bench) -> Outcome:
    size = bench.settings.size(_LAYER_MEBIBYTES)
    pull = _Pull(
        title=f"docker pull of {_DOCKER_LAYERS * size // MIB} MiB",
        conditions=f"docker pull of {_layers(_DOCKER_LAYERS, size)}, unpacking (vfs) included, "
        "with TLS everywhere, in memory",
        layers=_DOCKER_LAYERS,
        layer_size=size,
        targets={Kind.STOCK: None, Kind.SERVE: None},
        tls=True,
    )
    return _measure(bench, DOCKER_ROW.name, pull, lambda pushed, stack: _dockerd(bench, stack, pushed))


def _dockerd(bench: Bench, stack: ExitStack, pushed: Pushed) -> _Puller:
    bench.say("starting dockerd")
    dockerd = stack.enter_context(Dockerd(bench.new_directory("docker")))

    def pull(peer: Peer) -> dict[str, float]:
        reference = f"{peer.image(REPOSITORY)}:{TAG}"
        started = time.perf_counter()
        digest = dockerd.pull(reference)
        seconds = time.perf_counter() - started
        dockerd.remove(reference)
        _check({digest}, pushed, peer)
        return {_SECONDS: seconds}

    return pull


def _measure(bench: Bench, row: str, pull: _Pull, client: Callable[[Pushed, ExitStack], _Puller]) -> Outcome:
    """Pull directly and through the peers, in turn."""
    with ExitStack() as stack:
        registry, pushed = registry_with_image(bench, stack, pull.layers, pull.layer_size, tls=pull.tls)
        kinds, scripts = [Kind.DIRECT, *pull.targets], () if pull.tls else (_PLAIN_ONLY,)
        peers = start(bench, stack, kinds, registry.authority, tls=pull.tls, scripts=scripts)
        puller = client(pushed, stack)
        for peer in peers:
            bench.say(f"warming up {peer.name}")
            puller(peer)
        samples = interleaved(peers, bench.settings.long_rounds, puller, bench.say)
        outcome = Outcome(row, pull.conditions, samples=samples, commands=dict(commands(peers)))
    for kind, target in pull.targets.items():
        values = ratios(samples, _SECONDS, kind, Kind.DIRECT)
        outcome.figures.append(Figure(f"{pull.title}: {kind} / direct", "", values, target))
    outcome.figures.append(Figure(f"{pull.title}: direct", "s", samples[Kind.DIRECT][_SECONDS]))
    return outcome


def _layers(number: int, size: int) -> str:
    return f"{number} layers of {size // MIB} MiB that cannot be compressed"


SKOPEO_ROW: Final = Row(
    "pull", "skopeo pulls a 700 MB image: relayed and redirected, beside directly", _PROGRAMS, _skopeo
)
CROWD_ROW: Final = Row("pull-crowd", "50 clients pull a 20 MB image at once, beside directly", _PROGRAMS, _crowd)
DOCKER_ROW: Final = Row(
    "pull-docker",
    "dockerd pulls a 200 MB image, beside directly (root)",
    (*_PROGRAMS, "docker", "dockerd"),
    _docker,
    private_network=True,
)
