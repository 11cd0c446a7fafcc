"""What hours do to it, in minutes: `python -m tests.soak` loads one ns-inject with all that clients and servers do.

Start reading at `soak` (what runs beside what) and `verdict` (what has to hold at the end).
"""

import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]

# The laboratory's processes, registries and clients; and the addon of this checkout, installed or not.
sys.path[:0] = [str(_ROOT / "addon"), str(_ROOT / "tests" / "e2e")]
