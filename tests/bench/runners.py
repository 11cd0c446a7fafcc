"""Knows how mitmdump and `ns-inject serve` are started for a measurement: alike, and saying nothing."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

from lab.mitmdump import ADDON, Mitmdump

_ENVIRONMENT: Final = {"PYTHONPATH": str(ADDON.parent)}
_MAIN: Final = "from oci_ns.cli import main; main()"


class QuietMitmdump(Mitmdump):
    """A mitmdump with `-q`: no line for a flow, no log below errors, with and without the addon."""

    settings: ClassVar[Mapping[str, str]] = {}

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
            env=_ENVIRONMENT,
        )

    def _command(
        self,
        conf: Path | None,
        modes: Sequence[str],
        scripts: Sequence[Path],
        trusted_ca: Path | None,
        options: Mapping[str, str],
    ) -> list[str]:
        return [*super()._command(conf, modes, scripts, trusted_ca, options), "-q"]


class Serve(QuietMitmdump):
    """An `ns-inject serve` with as many workers."""

    def __init__(
        self,
        directory: Path,
        workers: int,
        *,
        modes: Sequence[str],
        options: Mapping[str, str],
        conf: Path,
        trusted_ca: Path | None = None,
    ) -> None:
        self._workers = workers
        super().__init__(directory, conf=conf, modes=modes, options=options, scripts=(), trusted_ca=trusted_ca)

    def _command(
        self,
        conf: Path | None,
        modes: Sequence[str],
        scripts: Sequence[Path],
        trusted_ca: Path | None,
        options: Mapping[str, str],
    ) -> list[str]:
        command = super()._command(conf, modes, scripts, trusted_ca, options)
        beside = Path(sys.executable).parent / "ns-inject"
        program = [str(beside)] if beside.exists() else [sys.executable, "-c", _MAIN]
        workers = ["--workers", str(self._workers)] if self._workers != 1 else []
        return [*program, "serve", *command[command.index("--mode") :], *workers]


def serve_unavailable() -> str:
    """Why there is no `ns-inject serve`; empty where there is."""
    # In this process it is only looked for.
    from oci_ns.cli import main  # noqa: PLC0415

    return "" if "serve" in main.commands else "this ns-inject has no command serve"
