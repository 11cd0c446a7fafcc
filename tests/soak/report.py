"""Knows how a soak is told: a table of the actors, figures, checks, and each failure that has no explanation."""

from __future__ import annotations

import datetime
import re
from typing import Any, Final

from .ledger import Failure
from .outcome import Outcome
from .ping import quantiles
from .verdict import Check, explained
from .watch import FIELDS

_SHOWN: Final = 20
_AROUND: Final = 2.0
"""In seconds: which lines of the log are around a failure."""
_LINE_TIME: Final = re.compile(r"^\[(\d\d):(\d\d):(\d\d)\.(\d\d\d)\]")
_DAY: Final = 86_400


def markdown(outcome: Outcome, checks: list[Check]) -> str:
    """All of it, for people."""
    told = as_json(outcome, checks)
    lines = ["| actor | operations | MB | left by us | failed, explained | failed, unexplained | wrong |"]
    lines.append("|---|--:|--:|--:|--:|--:|--:|")
    for name, row in told["actors"].items():
        cells = [f"{row['operations']:,}", f"{row['bytes'] / 1e6:,.0f}", f"{row['left']:,}"]
        cells += [f"{sum(row['explained'].values()):,}", f"{row['unexplained']:,}", f"{row['wrong']:,}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", *_figures(told), "", "| check | holds | seen |", "|---|---|---|"]
    lines += [f"| {check.what} | {'yes' if check.holds else 'NO'} | {check.detail} |" for check in checks]
    _, rest = explained(outcome)
    for failure in rest[:_SHOWN]:
        lines += ["", *_told(failure, outcome)]
    if len(rest) > _SHOWN:
        lines += ["", f"and {len(rest) - _SHOWN} more"]
    return "\n".join(lines)


def _figures(told: dict[str, Any]) -> list[str]:
    ping, held = told["ping ms"], told["held"]
    lines = [
        f"- {told['seconds']:.0f} s with {told['runner']}",
        f"- {told['requests']:,} requests answered, {told['requests/s']:.0f} a second",
        f"- {told['bytes'] / 1e9:.2f} GB at the clients",
        f"- ping ten times a second: p50 {ping['p50']:.1f} ms, p99 {ping['p99']:.1f} ms, longest {ping['max']:.0f} ms",
        f"- endpoints down: {told['windows']} times",
    ]
    for name, row in held.items():
        quarters = ", ".join(f"{value:.1f}" if name == "mib" else f"{value:.0f}" for value in row["quarters"])
        what = "resident MiB" if name == "mib" else name
        rest = f"most {row['most']:.0f}; at the end {row['after']:.0f}"
        lines.append(f"- {what}: idle {row['idle']:.0f}; quarters {quarters}; {rest}")
    return lines


def _told(failure: Failure, outcome: Outcome) -> list[str]:
    when = datetime.datetime.fromtimestamp(failure.wall)
    took = failure.end - failure.begin
    lines = [f"UNEXPLAINED {when:%H:%M:%S.%f} {failure.actor}: {failure.what} (after {took:.3f} s)"]
    lines.append(f"    {failure.detail}")
    for window in outcome.windows.all():
        if window.begin <= failure.end + _AROUND and window.felt >= failure.begin - _AROUND:
            begin, end = window.begin - failure.end, window.end - failure.end
            lines.append(f"    {window.endpoint} was down from {begin:+.3f} s to {end:+.3f} s of the failure")
    return [*lines, *(f"    | {line}" for line in _around(failure, outcome.log))]


def _around(failure: Failure, log: str) -> list[str]:
    """The lines of the log from shortly before the request to shortly after its failure."""
    local = datetime.datetime.fromtimestamp(failure.wall)
    end = local.hour * 3600 + local.minute * 60 + local.second + local.microsecond / 1e6
    begin = end - (failure.end - failure.begin)
    found = []
    for line in log.splitlines():
        time = _LINE_TIME.match(line)
        if time is None:
            continue
        hour, minute, second, thousandth = map(int, time.groups())
        at = hour * 3600 + minute * 60 + second + thousandth / 1000
        # Lines have no date.
        if (at - begin + _AROUND) % _DAY <= end - begin + 2 * _AROUND:
            found.append(line)
    return found[:_SHOWN]


def as_json(outcome: Outcome, checks: list[Check]) -> dict[str, Any]:
    """All of it, for programs."""
    reasons, rest = explained(outcome)
    ledger, watch = outcome.ledger, outcome.watch
    actors = {}
    for name, tally in sorted(ledger.tallies.items()):
        actors[name] = {
            "operations": tally.operations,
            "bytes": tally.bytes,
            "left": tally.counted["left"],
            "explained": {reason: count for (actor, reason), count in reasons.items() if actor == name},
            "unexplained": sum(failure.actor == name for failure in rest),
            "wrong": tally.wrong,
            "counted": dict(tally.counted),
        }
    requests = outcome.scrapes[-1].total("ns_inject_responses_total")
    settings = outcome.settings
    return {
        "runner": settings.runner + (f" --workers {settings.workers}" if settings.workers > 1 else ""),
        "seed": settings.seed,
        "seconds": outcome.seconds,
        "requests": requests,
        "requests/s": requests / outcome.seconds,
        "bytes": sum(tally.bytes for tally in ledger.tallies.values()),
        "ping ms": quantiles(outcome.pings),
        "windows": len(outcome.windows.all()),
        "held": {
            name: {
                "idle": getattr(outcome.idle, name),
                "quarters": watch.quarters(name),
                "most": watch.most(name),
                "after": getattr(outcome.after, name),
            }
            for name in FIELDS
        },
        "tables": outcome.tables,
        "actors": actors,
        "checks": [{"what": each.what, "holds": each.holds, "detail": each.detail} for each in checks],
        "failures": [
            {"actor": each.actor, "what": each.what, "begin": each.begin, "end": each.end, "detail": each.detail}
            for each in rest
        ],
        "samples": [[time, *(getattr(held, name) for name in FIELDS)] for time, held in watch.samples],
    }
