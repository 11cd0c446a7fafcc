"""Knows what a measured figure is: one value per round, their median and spread, and the target it has, if any."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure is to be."""

    relation: Literal[">=", "<=", "<"]
    limit: float

    def met_by(self, value: float) -> bool:
        """Whether a value is that."""
        if self.relation == ">=":
            return value >= self.limit
        return value <= self.limit if self.relation == "<=" else value < self.limit


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    what: str
    unit: str = ""
    """Of the values; empty for a ratio."""
    values: Sequence[float] = ()
    """One for each round."""
    target: Target | None = None
    unavailable: str = ""
    """Why there are no values."""

    @property
    def median(self) -> float | None:
        """The median of the rounds."""
        return statistics.median(self.values) if self.values else None

    @property
    def met(self) -> bool | None:
        """Whether the median meets the target; None without a target or a value."""
        if self.target is None or self.median is None:
            return None
        return self.target.met_by(self.median)


Samples = dict[str, dict[str, list[float]]]
"""By peer, by quantity (`requests/s`, `seconds`, ...): one value for each round."""


@dataclass(slots=True)
class Outcome:
    """What came of a row."""

    row: str
    conditions: str = ""
    """What was measured how, in one or two sentences."""
    figures: list[Figure] = field(default_factory=list)
    samples: Samples = field(default_factory=dict)
    commands: dict[str, str] = field(default_factory=dict)
    """By peer: the command lines used."""
    failed: str = ""
    """What broke, where something did."""

    def json(self) -> dict[str, Any]:
        """As it stands in the JSON file."""
        return {
            "row": self.row,
            "conditions": self.conditions,
            "failed": self.failed or None,
            "figures": [_figure_json(each) for each in self.figures],
            "samples": self.samples,
            "commands": self.commands,
        }


def _figure_json(figure: Figure) -> dict[str, Any]:
    target = figure.target
    return {
        "what": figure.what,
        "unit": figure.unit,
        "values": list(figure.values),
        "median": figure.median,
        "min": min(figure.values, default=None),
        "max": max(figure.values, default=None),
        "target": None if target is None else {"relation": target.relation, "limit": target.limit},
        "met": figure.met,
        "unavailable": figure.unavailable or None,
    }


class BenchError(Exception):
    """Something does not work that must, so that there is nothing to compare."""


def ratios(samples: Mapping[str, Mapping[str, Sequence[float]]], quantity: str, of: str, to: str) -> list[float]:
    """One peer's values divided by another's, each within its round."""
    pairs = zip(samples[of][quantity], samples[to][quantity], strict=True)
    return [mine / theirs for mine, theirs in pairs]


def differences(samples: Mapping[str, Mapping[str, Sequence[float]]], quantity: str, of: str, to: str) -> list[float]:
    """One peer's values less another's, each within its round."""
    pairs = zip(samples[of][quantity], samples[to][quantity], strict=True)
    return [mine - theirs for mine, theirs in pairs]
