"""Knows the order in which peers are measured, so that what else the machine does meets all of them alike."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from .measures import Samples


class Named(Protocol):
    """What has a turn in each round."""

    @property
    def name(self) -> str:
        """Its name in the samples."""


_N = TypeVar("_N", bound=Named)


def interleaved(
    peers: Sequence[_N], rounds: int, measure: Callable[[_N], Mapping[str, float]], say: Callable[[str], None]
) -> Samples:
    """Measure each peer once in each round, in an order that moves on by one from round to round.

    `measure` answers a value for each quantity; a quantity has the same name in all rounds.
    """
    samples: Samples = {peer.name: {} for peer in peers}
    for number in range(rounds):
        first = number % len(peers)
        for peer in [*peers[first:], *peers[:first]]:
            say(f"round {number + 1} of {rounds}: {peer.name}")
            for quantity, value in measure(peer).items():
                samples[peer.name].setdefault(quantity, []).append(value)
    return samples


def averaged(samples: Samples, turns: int) -> Samples:
    """The same with so many turns in a row made one value, their mean: what is short is better measured often."""
    return {
        peer: {
            quantity: [statistics.fmean(values[at : at + turns]) for at in range(0, len(values), turns)]
            for quantity, values in quantities.items()
        }
        for peer, quantities in samples.items()
    }
