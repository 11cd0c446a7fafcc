"""Knows how mitmdump and `ns-inject serve` are started for a measurement: alike, and saying nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from lab.mitmdump import Mitmdump
from lab.serve import ENV, Serve


class QuietMitmdump(Mitmdump):
    """A mitmdump with `-q`: no line for a flow, no log below errors, with and without the addon."""

    settings: ClassVar[Mapping[str, str]] = {}
    flags: ClassVar[Sequence[str]] = ("-q",)

    def __init__(
        self,
        directory: Path,
        *,
        modes: Sequence[str],
        options: Mapping[str, str],
        scripts: Sequence[Path],
        conf: Path | None = None,
        trusted_ca: Path | None = None,
    ) -> None:
        super().__init__(
            directory,
            conf=conf,
            modes=modes,
            options=options,
            scripts=scripts,
            trusted_ca=trusted_ca,
            env=ENV,
        )


class QuietServe(Serve):
    """An `ns-inject serve` with `-q`."""

    settings: ClassVar[Mapping[str, str]] = {}
    flags: ClassVar[Sequence[str]] = ("-q",)

    def _is_ready(self) -> bool:
        # It does not tell that it listens, nor how many of its workers do.
        return Mitmdump._is_ready(self) and len(self.processes()) >= (self.workers if self.workers > 1 else 0)
