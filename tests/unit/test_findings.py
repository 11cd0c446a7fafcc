"""Findings: which marker a flow gets for them."""

from __future__ import annotations

import pytest

from oci_ns.findings import Finding, Kind, marker_for


@pytest.mark.parametrize(
    ("kinds", "marker"),
    [
        ([], ""),
        ([Kind.ABORTED], ""),
        ([Kind.FELL_BACK], ":leftwards_arrow_with_hook:"),
        ([Kind.NAMESPACE_UNCONFIRMED, Kind.FELL_BACK], ":leftwards_arrow_with_hook:"),
        ([Kind.FELL_BACK, Kind.WRONG_DIGEST], ":x:"),
        ([Kind.BLOCKED], ":no_entry:"),
        # A proxy refuses what it has no namespace for.
        ([Kind.UNRESOLVED, Kind.REFUSED], ":grey_question:"),
    ],
)
def test_the_marker_is_that_of_what_matters_most(kinds: list[Kind], marker: str) -> None:
    findings = [Finding(kind, "") for kind in kinds]
    assert marker_for(findings) == marker_for(reversed(findings)) == marker
