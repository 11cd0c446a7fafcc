"""Knows how a file of bytes that cannot be compressed is made."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Final

_CHUNK: Final = 1 << 20


def write_noise(path: Path, size: int) -> str:
    """Write a file of `size` bytes, the same each time; its digest as registries write it."""
    generator = random.Random(size)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for start in range(0, size, _CHUNK):
            data = generator.randbytes(min(_CHUNK, size - start))
            digest.update(data)
            file.write(data)
    return f"sha256:{digest.hexdigest()}"
