"""Inputs that showed a fault once, each under what it showed. They are seeds, and rows of the tests."""

from __future__ import annotations

FINDINGS: dict[str, dict[str, bytes]] = {
    "request-target": {},
    "namespace-editor": {},
    "reference-grammar": {},
    "configuration": {},
}
"""By target."""
