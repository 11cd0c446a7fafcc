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


@pytest.fixture(autouse=True)
def _measurements(record_property: Callable[[str, object], None]) -> Iterator[None]:
    """Let what a test measures go with its report, from whichever process it ran in."""
    lines.clear()
    yield
    for line in lines:
        record_property("measured", line)
