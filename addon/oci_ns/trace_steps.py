"""What a decision trace is made of: one step for each rule, how it turned out, and what came close.

Knows the values and their JSON form; how a request's steps come about is in `trace_rules` and `trace_endpoints`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from oci_ns.decision import Decision
from oci_ns.registries_conf import Endpoint, Origin, Registry


class Outcome(enum.Enum):
    """How a rule turned out.

    Of an endpoint: it is where the request goes, it is left out, or it is tried where those before it fail.
    """

    ANSWERED = "answered"
    DID_NOT_ANSWER = "did-not-answer"
    NOT_REACHED = "not-reached"
    NOT_ASKED = "not-asked"


@dataclass(frozen=True, slots=True)
class NearMiss:
    """An entry that came close: what it is called (its prefix or location), where it is, why it did not match."""

    name: str
    origin: Origin
    why: str


@dataclass(frozen=True, slots=True)
class Near:
    """The entries that came closest, closest first, and how many more there are."""

    shown: tuple[NearMiss, ...] = ()
    more: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One rule: its name in the design, how it turned out, why, and the entry and endpoint it came from."""

    rule: str
    outcome: Outcome
    why: str = ""
    registry: Registry | None = None
    endpoint: Endpoint | None = None
    near: Near = Near()

    @property
    def origin(self) -> Origin | None:
        """Where the endpoint's table, else the entry's, was written."""
        if self.registry is None:
            return None
        return self.registry.origin_of(self.endpoint) if self.endpoint is not None else self.registry.origin

    def as_object(self) -> dict[str, Any]:
        """The step as JSON has it."""
        origin = self.origin
        prefix = self.registry.prefix if self.registry is not None else None
        return {
            "rule": self.rule,
            "outcome": self.outcome.value,
            "why": self.why,
            "entry": {"prefix": prefix, **_place(origin)} if origin is not None else None,
            "near": [{"name": miss.name, **_place(miss.origin), "why": miss.why} for miss in self.near.shown],
            "more": self.near.more,
        }


def _place(origin: Origin) -> dict[str, Any]:
    return {"file": str(origin.path), "line": origin.line}


@dataclass(frozen=True, slots=True)
class Trace:
    """The rules in the order they are asked, then the registry's endpoints in the order they are tried.

    `decision` is what they led to; None for an image, which is no request.
    """

    rules: tuple[Step, ...]
    endpoints: tuple[Step, ...]
    decision: Decision | None = None

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps in order."""
        return (*self.rules, *self.endpoints)
