"""How fast it is, and how much memory it takes: `python -m tests.bench` measures it beside its peers.

Start reading at `rows` (what is measured) and `peers` (what it is compared with). No figure here is asserted by a test:
noise is met by ratios of figures that were taken one after the other, and by doing it several times.
"""

import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]

# The laboratory's processes, registries and clients; and the addon of this checkout, installed or not.
sys.path[:0] = [str(_ROOT / "addon"), str(_ROOT / "tests" / "e2e")]
