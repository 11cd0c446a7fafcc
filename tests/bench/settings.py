"""Knows how long and how much is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Settings:
    """How much of everything: `scale` is the part of the sizes and numbers that the rows are named for."""

    rounds: int = 5
    """Rounds in which every peer has its turn; rows that take long have `long_rounds`."""
    turns: int = 4
    """Of a second each, that a peer is under load in one round."""
    scale: float = 1.0
    connections: int = 32
    """Keep-alive connections of the load generator, which is one thread."""

    @property
    def long_rounds(self) -> int:
        """Rounds of the rows with whole images."""
        return max(1, (self.rounds * 3 + 4) // 5)

    def size(self, mebibytes: int) -> int:
        """That many MiB, scaled, in bytes; never less than one MiB."""
        return max(MIB, int(mebibytes * MIB * self.scale))

    def number(self, count: int, *, least: int = 1) -> int:
        """That many, scaled."""
        return max(least, round(count * self.scale))


FULL: Final = Settings()
QUICK: Final = Settings(rounds=2, turns=1, scale=0.02)
