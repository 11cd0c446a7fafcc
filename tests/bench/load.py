"""Knows the load generator: wrk, one thread and keep-alive connections, which asks for the manifests of many images."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from lab.process import clean_env, require, run

from .measures import BenchError
from .upstream import MANIFEST_TYPE

IMAGES: Final = 50
"""How many images are asked for in turn."""

_PATIENCE: Final = 31
"""How many times the time asked for passes until a peer is given up that answers nothing: 1 + 2 + 4 + 8 + 16."""

_SCRIPT: Final = Path(__file__).with_name("wrk.lua")
_MARK: Final = "@"
_REQUESTS: Final = re.compile(r"(\d+) requests in ")
_RATE: Final = re.compile(r"Requests/sec:\s*([\d.]+)")
_LATENCY: Final = re.compile(r"^\s*(50|99)%\s+([\d.]+)(us|ms|s|m) ?$", re.MULTILINE)
_TROUBLE: Final = re.compile(r"^.*(?:Socket errors|Non-2xx).*$", re.MULTILINE)
_MILLISECONDS: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}

# What a client of this kind sends.
_HEADERS: Final = {"User-Agent": "containers/5.23.1 (github.com/containers/image)", "Accept": MANIFEST_TYPE}


def sample_path(image: str) -> str:
    """The part of a request target that names an image's manifest, as the load generator asks for it."""
    return f"{image}/manifests/v1"


@dataclass(frozen=True, slots=True)
class Load:
    """What a peer did under load."""

    requests: int
    per_second: float
    half_within_ms: float
    nearly_all_within_ms: float
    """99 of 100."""

    def quantities(self) -> dict[str, float]:
        """As samples."""
        return {
            "requests/s": self.per_second,
            "requests": self.requests,
            "p50 ms": self.half_within_ms,
            "p99 ms": self.nearly_all_within_ms,
        }


class Asked(Protocol):
    """What is loaded."""

    @property
    def name(self) -> str:
        """Its name in tables."""

    @property
    def url(self) -> str:
        """Scheme, host and port."""

    def asked(self, rest: str) -> str:
        """The URL of a repository and what is below it."""


def command(peer: Asked, *, connections: int, seconds: int, images: int = IMAGES, host: str = "") -> list[str]:
    """The wrk that loads a peer. `host` is the host that it addresses, where that is not the peer's."""
    before, _, after = peer.asked(_MARK + sample_path("")).removeprefix(peer.url).partition(_MARK)
    said = _HEADERS | ({"Host": host} if host else {})
    headers = [argument for name, value in said.items() for argument in ("-H", f"{name}: {value}")]
    return [
        *(require("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "--latency"),
        *("-s", str(_SCRIPT), *headers, peer.url, "--", before, after, str(images)),
    ]


def generate(peer: Asked, *, connections: int, seconds: int, images: int = IMAGES, host: str = "") -> Load:
    """Load a peer. Raises BenchError where an answer failed: a peer that fails fast is not fast.

    On a busy machine all the time can pass before the first answer. The peer is then loaded again, for longer, and the
    time without an answer counts. Raises BenchError where there is none in `_PATIENCE` times the time, either.
    """
    idle, asked_for = 0, seconds
    while True:
        argv = command(peer, connections=connections, seconds=asked_for, images=images, host=host)
        load = _read(peer.name, run(argv, env=clean_env(Path("/nonexistent")), timeout=asked_for + 60).stdout)
        if load.requests:
            return replace(load, per_second=load.requests / (idle + load.requests / load.per_second))
        idle += asked_for
        asked_for *= 2
        if idle + asked_for > _PATIENCE * seconds:
            raise BenchError(f"{peer.name} under load: no answer within {idle} s")


def _read(name: str, printed: str) -> Load:
    """What wrk says."""
    trouble = _TROUBLE.search(printed)
    if trouble is not None:
        raise BenchError(f"{name} under load: {trouble[0].strip()}")
    count, rate = _REQUESTS.search(printed), _RATE.search(printed)
    latency = {part: float(value) * _MILLISECONDS[unit] for part, value, unit in _LATENCY.findall(printed)}
    if count is None or rate is None or not {"50", "99"} <= set(latency):
        raise BenchError(f"wrk said nothing useful about {name}: {printed}")
    return Load(int(count[1]), float(rate[1]), latency["50"], latency["99"])
