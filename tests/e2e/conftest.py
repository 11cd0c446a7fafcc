"""Knows where the laboratory is: its fixtures are those of all end-to-end tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
pytest.register_assert_rewrite("lab")

from lab.fixtures import *  # noqa: E402, F403
