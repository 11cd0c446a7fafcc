"""The row of decisions: how long the table takes for one request, without any proxy around it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from oci_ns.conf_files import parse_text
from oci_ns.index import RouteIndex
from oci_ns.routes import RouteTable

from .bench import Bench, Row
from .measures import BenchError, Figure, Outcome, Samples, Target
from .target import NAMESPACE, REGISTRIES, registries_conf

_MICROSECONDS: Final = 1e6
_VARIANTS: Final = 300
_REPETITIONS: Final = 7
_ENDPOINT: Final = "proxy.example.com"
_TARGET: Final = Target("<=", 5)

Asked = tuple[str, str, str, int, str]
"""The arguments of `RouteTable.decide`."""


def _manifest(source: str, repository: str, tag: str, _: str) -> Asked:
    return "GET", "https", source, 443, f"/v2/{repository}/manifests/{tag}"


def _head(source: str, repository: str, tag: str, _: str) -> Asked:
    return "HEAD", "https", source, 443, f"/v2/{repository}/manifests/{tag}"


def _blob(source: str, repository: str, _: str, digest: str) -> Asked:
    return "GET", "https", source, 443, f"/v2/{repository}/blobs/{digest}"


def _by_path(source: str, repository: str, _: str, digest: str) -> Asked:
    return "GET", "http", _ENDPOINT, 80, f"/v2/{source}/{repository}/blobs/{digest}"


def _by_query(source: str, repository: str, _: str, digest: str) -> Asked:
    return "GET", "http", _ENDPOINT, 80, f"/v2/{repository}/manifests/{digest}?ns={source}"


# A pull asks for a manifest by HEAD and GET, and for several blobs.
_MIX: Final[Sequence[Callable[[str, str, str, str], Asked]]] = (
    *(_head, _manifest, _blob, _blob, _blob, _blob),
    *(_by_path, _by_path, _by_query),
)


def measure(bench: Bench) -> Outcome:
    """Time the decisions about a mix of requests."""
    document = parse_text(Path("registries.conf"), registries_conf(_ENDPOINT, plain=True).encode())
    table = RouteTable(RouteIndex(document.registries.values()))
    mixed = requests()
    for each in mixed:
        decision = table.decide(*each)
        if decision.namespace not in REGISTRIES:
            raise BenchError(f"{each} is decided as {decision}")
    rounds = []
    for number in range(bench.settings.rounds):
        bench.say(f"round {number + 1} of {bench.settings.rounds}")
        rounds.append(min(_microseconds(table, mixed) for _ in range(_REPETITIONS)))
    samples: Samples = {"decide": {"microseconds": rounds}}
    what = f"one decision, {len(REGISTRIES)} registries"
    conditions = (
        f"RouteTable.decide in this process, {len(mixed)} different requests: per pull a HEAD and a GET of a manifest "
        "and 4 blobs at the source registry, 2 blobs by path and a manifest by ns at the endpoint; the fastest of "
        f"{_REPETITIONS} passes in each round"
    )
    return Outcome(ROW.name, conditions, [Figure(what, "µs", rounds, _TARGET)], samples)


def requests() -> list[Asked]:
    """A realistic mix of requests, in an order of chance that is always the same."""
    chance = random.Random(1)
    mixed = []
    for number in range(_VARIANTS):
        source = chance.choice([each for each in REGISTRIES if each != "docker.io"] + ["registry-1.docker.io"])
        repository = f"team-{number % 40}/project/image-{number}"
        digest = f"sha256:{chance.getrandbits(256):064x}"
        named = NAMESPACE if source == "registry-1.docker.io" else source
        mixed += [
            make(named if make in (_by_path, _by_query) else source, repository, f"v1.{number}", digest)
            for make in _MIX
        ]
    chance.shuffle(mixed)
    return mixed


def _microseconds(table: RouteTable, mixed: Sequence[Asked]) -> float:
    decide = table.decide
    started = time.perf_counter()
    for method, scheme, host, port, target in mixed:
        decide(method, scheme, host, port, target)
    return (time.perf_counter() - started) / len(mixed) * _MICROSECONDS


ROW: Final = Row("decision", "one decision with 10 registries", (), measure)
