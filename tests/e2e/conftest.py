"""Knows where the laboratory is: its fixtures are those of all end-to-end tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
pytest.register_assert_rewrite("lab")

from lab.fixtures import *  # noqa: E402, F403
from lab.measurements import lines  # noqa: E402

MEASURED = "measured"


@pytest.fixture(autouse=True)
def _measurements(record_property: Callable[[str, object], None]) -> Iterator[None]:
    """Let what a test measures go with its report, from whichever process it ran in."""
    lines.clear()
    yield
    for line in lines:
        record_property(MEASURED, line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was measured."""
    # What is recorded when a test ends stands in the report of its end.
    reports = [each for each in terminalreporter.stats.get("", ()) if getattr(each, "when", "") == "teardown"]
    found = [line for report in reports for name, line in report.user_properties if name == MEASURED]
    if found:
        terminalreporter.section("measured")
        for line in found:
            terminalreporter.write_line(str(line))
