"""Knows how a run ends: with what its tests have measured, from whichever process they ran in."""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was measured."""
    # What is recorded when a test ends stands in the report of its end.
    reports = [each for each in terminalreporter.stats.get("", ()) if getattr(each, "when", "") == "teardown"]
    found = [line for report in reports for name, line in report.user_properties if name == "measured"]
    if found:
        terminalreporter.section("measured")
        for line in found:
            terminalreporter.write_line(str(line))
