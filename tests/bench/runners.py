"""Knows how mitmdump and `ns-inject serve` are started for a measurement: alike, and saying nothing."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

from lab.mitmdump import ADDON, Mitmdump
from oci_ns.cli import main

_ENVIRONMENT: Final = {"PYTHONPATH": str(ADDON.parent)}
WORKERS: Final = "--workers"
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

    program: ClassVar[str] = "ns-inject"

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
        beside = Path(sys.executable).parent / self.program
        program = [str(beside)] if beside.exists() else [sys.executable, "-c", _MAIN]
        workers = [WORKERS, str(self._workers)] if self._workers != 1 else []
        return [*program, "serve", *command[command.index("--mode") :], *workers]


def serve_lacks(option: str) -> str:
    """Why there is no `ns-inject serve` with this option, or none at all; empty where there is."""
    serve = main.commands.get("serve")
    if serve is None:
        return "this ns-inject has no command serve"
    known = not option or any(option in parameter.opts for parameter in serve.params)
    return "" if known else f"ns-inject serve has no option {option}"
