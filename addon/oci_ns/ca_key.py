"""Whether the key of mitmproxy's certificate authority is its owner's alone: whoever has it can be any registry.

mitmproxy creates the files readable by their owner alone, in a directory that the umask decides about, and takes
those that are there as they are.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

_KEYS = ("mitmproxy-ca.pem", "mitmproxy-ca.p12")
_OTHERS_READ = stat.S_IRGRP | stat.S_IROTH
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def exposures(confdir: Path) -> Iterator[str]:
    """What others can do with mitmproxy's `confdir`, and how to forbid it: a sentence for each file or directory."""
    mode = _mode(confdir)
    if mode & _OTHERS_WRITE and not mode & stat.S_ISVTX:
        yield f"{confdir}: other users of this machine can replace the CA that clients trust; chmod 700 closes it"
    for path in (confdir / name for name in _KEYS):
        mode = _mode(path)
        if mode & (_OTHERS_READ | _OTHERS_WRITE):
            done = "read" if mode & _OTHERS_READ else "change"
            yield f"{path}: other users of this machine can {done} the key of the CA; chmod 600 closes it"


def _mode(path: Path) -> int:
    try:
        return os.stat(path).st_mode
    except OSError:
        return 0
