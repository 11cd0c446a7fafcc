"""Knows how long the soak is, how much runs at once, and how big everything is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Settings:
    """Times are in seconds, sizes in bytes."""

    seconds: float = 1800.0
    seed: int = 1
    runner: str = "mitmdump"
    """`mitmdump` or `serve`."""
    workers: int = 1
    readers: int = 4
    idle: int = 24
    big: tuple[int, ...] = (20 * MIB, 50 * MIB)
    """The layers of the image whose blobs are long."""
    layers: int = 6
    layer: int = 2 * MIB
    """The layers of the images that whole clients pull: so many, of this size."""
    rest: float = 9.0
    """Between two restarts of an endpoint."""
    reload_every: float = 3.0
    growth: float = 0.05
    """By which part the resident memory of the last quarter may exceed that of the second."""


SHORT: Final = Settings(
    seconds=75.0, readers=2, idle=8, big=(8 * MIB, 16 * MIB), layers=3, layer=MIB // 2, rest=5.0, growth=0.15
)
"""What a test has time for."""
