"""Knows where the laboratory is: its fixtures are those of all end-to-end tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
pytest.register_assert_rewrite("lab")

from lab.fixtures import *  # noqa: E402, F403
from lab.measurements import lines  # noqa: E402


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was measured."""
    if lines:
        terminalreporter.section("measured")
        for line in lines:
            terminalreporter.write_line(line)
