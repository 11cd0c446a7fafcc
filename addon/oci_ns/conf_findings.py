"""What `ns-inject check` reports: a problem and how much it matters, each kind under a code that stays the same."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from oci_ns.problems import SHADOWED, UNREACHABLE, Problem
from oci_ns.registries_conf import Endpoint, Registry

AMBIGUOUS_LOCATION = "ambiguous-location"
BAD_LOCATION = "bad-location"
ENDPOINT_IS_SOURCE = "endpoint-is-source"
INSECURE_DISPUTED = "insecure-disputed"
NAMESPACE_DIFFERS = "namespace-differs"
NO_EFFECT = "no-effect"
REPLACED = "replaced"
SPELLING = "spelling"

CODES = {
    "similar-key": "a key that is close to a known one, and ignored",
    "misplaced-key": "a key of the other kind of table, and ignored",
    SHADOWED: "an entry or mirror that another one hides",
    UNREACHABLE: "an entry or mirror that nothing can match",
    SPELLING: "a prefix that only image names of the same unusual spelling match",
    NO_EFFECT: "a key that changes nothing here",
    BAD_LOCATION: "a location that is no address",
    NAMESPACE_DIFFERS: "a namespace-proxy that is not its prefix's host",
    ENDPOINT_IS_SOURCE: "an endpoint that is a source registry, too",
    AMBIGUOUS_LOCATION: "a location that stands for several namespaces",
    INSECURE_DISPUTED: "an address that is insecure for some endpoints only",
    REPLACED: "an entry that a later file replaces (a note)",
}
"""The code of every warning and note, and what it means."""


class Severity(enum.Enum):
    """An error keeps the configuration from loading, a warning is for `--strict`, a note is for information."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem and its severity."""

    severity: Severity
    problem: Problem

    def __str__(self) -> str:
        problem = self.problem
        return f"{problem.place}: {self.severity.value}: {problem.text} [{problem.code}]"

    def as_object(self) -> dict[str, Any]:
        """The finding as JSON has it."""
        problem = self.problem
        return {
            "file": str(problem.path),
            "line": problem.line,
            "severity": self.severity.value,
            "code": problem.code,
            "message": problem.message,
            "hint": problem.hint or None,
        }


def about(registry: Registry, code: str, message: str, hint: str = "", endpoint: Endpoint | None = None) -> Problem:
    """A problem with an entry, or with one of its endpoints."""
    origin = registry.origin_of(endpoint) if endpoint is not None else registry.origin
    return Problem(origin.path, origin.line, message, code, hint)
