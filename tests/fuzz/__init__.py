"""Coverage-guided fuzzing: arbitrary bytes against what must hold of targets, queries, names and configurations.

Start reading at `catalogue`; `python -m tests.fuzz` runs it. The functions that are fuzzed are tests of their own, too:
`tests/unit/test_fuzz_targets.py` runs them over all seeds without a fuzzer.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""

# The addon of this checkout, installed or not.
sys.path.insert(0, str(ROOT / "addon"))
