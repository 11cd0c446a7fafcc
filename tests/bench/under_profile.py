"""Runs mitmdump under cProfile: `under_profile.py FILE [mitmdump arguments]` writes the profile to FILE at the end."""

from __future__ import annotations

import cProfile
import sys
from pathlib import Path

from mitmproxy.tools.main import mitmdump

if __name__ == "__main__":
    _profile = cProfile.Profile()
    try:
        _profile.runcall(mitmdump, sys.argv[2:])
    finally:
        _profile.dump_stats(Path(sys.argv[1]))
