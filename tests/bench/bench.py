"""Knows where a row is measured: its settings, a directory, an authority for TLS, and whom to tell what goes on."""

from __future__ import annotations

import functools
import itertools
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lab.certificates import CertificateAuthority

from .measures import Outcome
from .settings import Settings

_TMPFS: Final = Path("/dev/shm")
_numbers = itertools.count(1)


@dataclass
class Bench:
    """What a row gets."""

    settings: Settings
    directory: Path
    say: Callable[[str], None] = field(default=lambda _: None)

    @functools.cached_property
    def authority(self) -> CertificateAuthority:
        """Who issues the servers' certificates."""
        return CertificateAuthority(self.directory / "ca")

    def new_directory(self, name: str) -> Path:
        """An empty directory."""
        path = self.directory / f"{name}-{next(_numbers)}"
        path.mkdir(parents=True)
        return path


@dataclass(frozen=True, slots=True)
class Row:
    """Something that is measured by itself."""

    name: str
    summary: str
    programs: tuple[str, ...]
    """Without which it cannot be measured."""
    measure: Callable[[Bench], Outcome]
    private_network: bool = False
    """Whether it needs root, for a network of its own."""


def roomy_directory(needed: int) -> Path | None:
    """Where files of `needed` bytes in all stay in memory; None (the temporary directory) where there is no room."""
    try:
        return _TMPFS if shutil.disk_usage(_TMPFS).free >= needed else None
    except OSError:
        return None
