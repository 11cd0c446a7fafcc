"""A file that is written at once and whole: whoever reads it finds what was there before, or all that is new."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

_MODE = 0o644


def replace_file(place: Path, content: bytes, like: os.stat_result | None = None) -> None:
    """Write the file, owned and readable as `like`, or by whom runs this and for everybody. Raises OSError."""
    descriptor, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            if like is not None:
                os.fchown(file.fileno(), like.st_uid, like.st_gid)
            os.fchmod(file.fileno(), like.st_mode & 0o7777 if like is not None else _MODE)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, place)
    except BaseException:
        os.unlink(name)
        raise
