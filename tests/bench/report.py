"""Knows how outcomes are shown: a table for people, the same in Markdown, and everything in JSON."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .measures import Figure, Outcome
from .settings import Settings

_COLUMNS: Final = ("what", "median", "spread", "target", "met")
_STYLES: Final = {"yes": "green", "no": "red"}


def print_table(console: Console, outcomes: Sequence[Outcome], versions: Mapping[str, str]) -> None:
    """What was measured, row by row, then how."""
    table = Table(box=None, pad_edge=False)
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name in ("what", "met") else "right", overflow="fold")
    for outcome in outcomes:
        for what, median, spread, target, met in _lines(outcome):
            table.add_row(Text(what), Text(median), Text(spread), Text(target), Text(met, style=_STYLES.get(met, "")))
    console.print(table)
    console.print()
    for name, text in _notes(outcomes, versions):
        console.print(Text.assemble((name, "bold"), f": {text}"), soft_wrap=True)


def markdown(outcomes: Sequence[Outcome], versions: Mapping[str, str]) -> str:
    """The same for a README."""
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|---|--:|--:|--:|---|"]
    lines += ["| " + " | ".join(cells) + " |" for outcome in outcomes for cells in _lines(outcome)]
    notes = [f"- {name}: {text}" for name, text in _notes(outcomes, versions)]
    return "\n".join([*lines, "", *notes])


def as_json(outcomes: Sequence[Outcome], versions: Mapping[str, str], settings: Settings) -> dict[str, Any]:
    """Everything: versions, settings, every sample, the command lines."""
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": dict(versions),
        "settings": dataclasses.asdict(settings),
        "rows": [outcome.json() for outcome in outcomes],
    }


def missed(outcomes: Iterable[Outcome]) -> list[str]:
    """The figures with a target that was missed, or that could not be measured."""
    figures = [figure for outcome in outcomes for figure in outcome.figures if figure.target is not None]
    return [figure.what for figure in figures if not figure.met]


def _lines(outcome: Outcome) -> list[tuple[str, str, str, str, str]]:
    if outcome.failed:
        return [(outcome.row, "failed", "", "", "")]
    return [_cells(figure) for figure in outcome.figures]


def _cells(figure: Figure) -> tuple[str, str, str, str, str]:
    wanted = figure.target
    target = "" if wanted is None else f"{wanted.relation} {wanted.limit:g} {figure.unit}".rstrip()
    if figure.median is None:
        return figure.what, "not available", "", target, ""
    spread = f"{_number(min(figure.values))}..{_number(max(figure.values))}" if len(figure.values) > 1 else ""
    met = {True: "yes", False: "no", None: ""}[figure.met]
    return figure.what, _with_unit(figure.median, figure.unit), spread, target, met


def _notes(outcomes: Sequence[Outcome], versions: Mapping[str, str]) -> list[tuple[str, str]]:
    notes = [(outcome.row, outcome.failed or outcome.conditions) for outcome in outcomes]
    absent = {figure.unavailable for outcome in outcomes for figure in outcome.figures if figure.unavailable}
    notes += [("not available", reason) for reason in sorted(absent)]
    notes.append(("measured with", ", ".join(f"{name} {version}" for name, version in versions.items())))
    return [(name, text) for name, text in notes if text]


def _with_unit(value: float, unit: str) -> str:
    return f"{_number(value)} {unit}".rstrip()


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}".rstrip("0").rstrip(".")
