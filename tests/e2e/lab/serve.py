"""Knows how to run `ns-inject serve`, of the Python that runs the tests, with one worker or several."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from .mitmdump import ADDON, Mitmdump

PROGRAM = [sys.executable, "-c", "from oci_ns.cli.main import main; main()", "serve"]
ENV = {"PYTHONPATH": str(ADDON.parent)}
"""So that it is the checkout that runs, whatever is installed."""

_LISTENS = " listening at "


class Serve(Mitmdump):
    """A running `ns-inject serve`. Ready when all its workers listen in all modes."""

    program: ClassVar[str] = "serve"
    settings: ClassVar[Mapping[str, str]] = {"termlog_verbosity": "info"}

    def __init__(
        self,
        directory: Path,
        *,
        workers: int = 1,
        drain: int = 0,
        conf: Path | None = None,
        modes: Sequence[str] = ("regular",),
        options: Mapping[str, str] | None = None,
        scripts: Sequence[Path] = (),
        trusted_ca: Path | None = None,
        confdir: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """As a Mitmdump's, but for `workers` and `drain`."""
        self.workers = workers
        self._drain = drain
        super().__init__(
            directory,
            conf=conf,
            modes=modes,
            options=options,
            scripts=scripts,
            trusted_ca=trusted_ca,
            confdir=confdir,
            env={**ENV, **(env or {})},
        )

    def _command(
        self,
        conf: Path | None,
        modes: Sequence[str],
        scripts: Sequence[Path],
        trusted_ca: Path | None,
        options: Mapping[str, str],
    ) -> list[str]:
        of_mitmdump = super()._command(conf, modes, scripts, trusted_ca, options)
        given = of_mitmdump[of_mitmdump.index("--mode") :]
        return [*PROGRAM, "--workers", str(self.workers), "--drain", str(self._drain), *given]

    def _is_ready(self) -> bool:
        return self.log().count(_LISTENS) >= self.workers * len(self.ports)

    def processes(self) -> list[int]:
        """The process ids of the workers."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(each) for each in children.split()]
