"""Knows how a run begins and ends: how examples are generated, and what was measured, in whichever process."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import settings

# A failure is printed as what repeats it. No deadline: how long an example takes says how busy the machine is.
settings.register_profile("here", deadline=None, print_blob=True)
settings.register_profile("ci", parent=settings.get_profile("here"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")

# As where a terminal starts them: nohup has programs ignore it, and so the programs that they start.
signal.signal(signal.SIGHUP, signal.SIG_DFL)


_LONGEST_FIRST = (
    "test_export_large",
    "test_equivalence",
    "test_twins",
    "test_security_reach",
    "test_export_nginx",
    "test_deploy_container",
    "test_security_secrets",
    "test_tabulate",
    "test_fuzz",
    "test_soak",
    "test_decision_properties",
)
"""The files that take minutes. One process has a whole file: what is begun last, the others would have to wait for."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest; all else stays in its order."""
    places = {name: place for place, name in enumerate(_LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was measured."""
    # What is recorded when a test ends stands in the report of its end.
    reports = [each for each in terminalreporter.stats.get("", ()) if getattr(each, "when", "") == "teardown"]
    found = [line for report in reports for name, line in report.user_properties if name == "measured"]
    if found:
        terminalreporter.section("measured")
        for line in found:
            terminalreporter.write_line(str(line))
