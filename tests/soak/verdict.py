"""What has to hold at the end of a soak, one check for each; nothing here is a matter of speed."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

from .judgement import explanation
from .ledger import Failure
from .outcome import Outcome
from .reloader import LIGHT_REGISTRY

_TROUBLE: Final = re.compile(r"Traceback \(most recent call last\)|Addon error|has crashed|Task exception was never")
_NOTHING_LEFT: Final = ("under way", "carried", "watched", "pulls open", "visits", "connections")
_BACK_TO_IDLE: Final = ("files", "sockets", "threads", "processes", "temporary")


@dataclass(frozen=True, slots=True)
class Check:
    """Something that has to hold; `detail` says what was seen."""

    what: str
    holds: bool
    detail: str = ""


def explained(outcome: Outcome) -> tuple[Counter[tuple[str, str]], list[Failure]]:
    """How many failures of an actor have which explanation, and the failures that have none."""
    reasons: Counter[tuple[str, str]] = Counter()
    rest = []
    for failure in outcome.ledger.failures:
        reason = explanation(failure, outcome.windows)
        if reason is None:
            rest.append(failure)
        else:
            reasons[failure.actor, reason] += 1
    return reasons, rest


def verdict(outcome: Outcome) -> list[Check]:
    """All checks."""
    ledger = outcome.ledger
    _, rest = explained(outcome)
    idle = [f"{name} did nothing" for name in outcome.actors if name not in ledger.tallies]
    trouble = [line for line in outcome.log.splitlines() if _TROUBLE.search(line)]
    return [
        Check("no content is wrong", not ledger.wrong, "; ".join(ledger.wrong[:5])),
        Check("no failure is unexplained", not rest, f"{len(rest)} of {len(ledger.failures)} failures"),
        Check("every actor acted to the end", not (ledger.broken or idle), "; ".join([*ledger.broken, *idle])),
        Check("ns-inject ran all the time", outcome.survived, outcome.end),
        Check("its log has no traceback", not trouble, "; ".join(trouble[:3])),
        Check("no source registry was touched", not outcome.touched, "; ".join(outcome.touched[:3])),
        _memory(outcome),
        *(_back(outcome, name) for name in _BACK_TO_IDLE),
        Check(
            "its tables are empty",
            not any(outcome.tables.get(name, 0) for name in _NOTHING_LEFT),
            ", ".join(f"{name} {outcome.tables.get(name, 0)}" for name in _NOTHING_LEFT),
        ),
        *_metrics(outcome),
    ]


def _memory(outcome: Outcome) -> Check:
    _, second, _, last = outcome.watch.quarters("mib")
    growth = last / second - 1 if second else 0.0
    detail = f"{growth:+.1%} from the second quarter ({second:.1f} MiB) to the last ({last:.1f} MiB)"
    limit = outcome.settings.growth
    return Check(f"resident memory grows by {limit:.0%} at most", growth <= limit, detail)


def _back(outcome: Outcome, name: str) -> Check:
    before, after = getattr(outcome.idle, name), getattr(outcome.after, name)
    return Check(f"{name}: as many as before", after <= before, f"{before} before, {after} after")


def _metrics(outcome: Outcome) -> list[Check]:
    last, ledger = outcome.scrapes[-1], outcome.ledger
    decisions = "ns_inject_decisions_total"
    counted = last.total(decisions, namespace=LIGHT_REGISTRY)
    # A request that was refused has no namespace, unless that turned out only when its endpoint had left it.
    refused = ledger.total("refused") + sum(ping.refused for ping in outcome.pings)
    sent, maybe = ledger.total("light") + len(outcome.pings), ledger.total("maybe")
    decided, answered = last.total(decisions), last.total("ns_inject_responses_total")
    pulls, pulled = last.total("ns_inject_pulls_total"), ledger.total("pulls")
    complete = last.total("ns_inject_pulls_total", result="complete")
    good, bad = (last.total("ns_inject_reloads_total", result=each) for each in ("ok", "failed"))
    longest = max(each.seconds for each in outcome.scrapes)
    return [
        Check(
            "the metrics answer throughout",
            not outcome.unanswered,
            "; ".join([f"{len(outcome.scrapes)} scrapes, {longest:.2f} s at most", *outcome.unanswered[:3]]),
        ),
        Check(
            "the metrics count what the light clients count",
            sent - refused <= counted <= sent + maybe,
            f"{counted:,} decisions, {sent:,} requests ({refused:,} refused; {maybe:,} more may have arrived)",
        ),
        Check("no request passed as it was", not last.total(decisions, action="pass")),
        Check("every decision has its answer", decided == answered, f"{decided:,} and {answered:,}"),
        Check(
            "the metrics count what was pulled",
            pulls >= pulled,
            f"{pulls:,} pulls, {complete:,} of them complete; {pulled:,} by whole clients",
        ),
        Check("configurations were loaded, and refused", good > 1 and bad > 0, f"{good} and {bad}"),
    ]
