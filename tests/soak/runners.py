"""Knows how mitmdump and `ns-inject serve` run for a soak: with warnings in the log and no line for a flow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

from lab.mitmdump import ADDON, Mitmdump
from lab.serve import ENV, Serve

from .reloader import LIGHT_REGISTRY
from .settings import Settings

INSIDE: Final = Path(__file__).with_name("inside.py")
_SETTINGS: Final = {"termlog_verbosity": "warn"}


class _Mitmdump(Mitmdump):
    settings: ClassVar[Mapping[str, str]] = {**_SETTINGS, "flow_detail": "0"}


class _Serve(Serve):
    settings: ClassVar[Mapping[str, str]] = _SETTINGS

    def _is_ready(self) -> bool:
        # It does not tell that it listens, nor how many of its workers do.
        return Mitmdump._is_ready(self) and len(self.processes()) >= (self.workers if self.workers > 1 else 0)


def runner(settings: Settings, directory: Path, conf: Path, push: str, metrics: int, inside: Path) -> Mitmdump:
    """The ns-inject of the soak, not started yet. It serves its metrics at the port `metrics`.

    Its ports are for whole clients, for light ones, and for those that push to the registry `push`.
    """
    modes = ("regular", f"reverse:https://{LIGHT_REGISTRY}", f"reverse:http://{push}")
    options = {"ns_metrics": f"127.0.0.1:{metrics}"}
    env = {**ENV, "SOAK_INSIDE": str(inside)}
    if settings.runner == "serve":
        return _Serve(
            directory, workers=settings.workers, conf=conf, modes=modes, options=options, scripts=[INSIDE], env=env
        )
    return _Mitmdump(directory, conf=conf, modes=modes, options=options, scripts=[ADDON, INSIDE], env=env)
