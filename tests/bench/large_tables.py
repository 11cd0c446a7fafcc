"""The rows of large tables, which `tables` measures: here is what its figures are called and what they are to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from . import tables
from .bench import Bench, Row
from .measures import Figure, Outcome, Target

_REGISTRIES: Final = 100_000


@dataclass(frozen=True, slots=True)
class _Expected:
    what: str
    unit: str
    target: Target | None = None


_EXPECTED: Final = {
    "load_seconds": _Expected("load", "s", Target("<", 2)),
    "memory_mb": _Expected("memory", "MB", Target("<", 200)),
    "stall_ms": _Expected("longest stall of live requests while they are reloaded", "ms", Target("<=", 50)),
    "hot_ratio": _Expected("one decision / the same with 10 registries", "", Target("<=", 1.2)),
    "decision_ratio": _Expected("the first decision about a registry / one with 10 registries", "", Target("<=", 1.2)),
    "growth_mb": _Expected("memory over that of an empty table", "MB"),
    "reload_seconds": _Expected("a reload", "s"),
    "quiet_ms": _Expected("longest stall while nothing is reloaded", "ms"),
}
"""Keys of what `tables.measure(registries)` answers: a number each, or one for each round."""


def measure(bench: Bench) -> Outcome:
    """Let `tables` measure."""
    registries = bench.settings.number(_REGISTRIES, least=100)
    name = f"{registries:,} registries with mirrors"
    bench.say(f"measuring {name}")
    answer: Mapping[str, Any] = tables.measure(registries)
    values = {key: _numbers(value) for key, value in answer.items()}
    figures = [_figure(name, key, values[key]) for key in _EXPECTED]
    samples = {"tables": {key: list(numbers) for key, numbers in values.items()}}
    return Outcome(ROW.name, str(answer.get("conditions", "")), figures, samples)


def _figure(name: str, key: str, values: Sequence[float]) -> Figure:
    expected = _EXPECTED[key]
    what = f"{name}: {expected.what}"
    return Figure(what, expected.unit, values, expected.target)


def _numbers(value: object) -> list[float]:
    """The numbers that a value consists of; none where it is something else."""
    found = value if isinstance(value, (list, tuple)) else [value]
    numbers = [float(each) for each in found if isinstance(each, (int, float))]
    return numbers if len(numbers) == len(found) else []


ROW: Final = Row(
    "tables",
    "100,000 registries: load, memory, the stall of a reload, one decision",
    ("setpriv",),
    measure,
)
