"""Knows where a mitmdump with the addon spends its time while it is loaded."""

from __future__ import annotations

import pstats
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

from lab.mitmdump import ADDON

from .bench import Bench
from .download import download
from .load import generate
from .noise import write_noise
from .peers import Kind, Peer
from .runners import QuietMitmdump
from .target import registries_conf
from .upstream import Upstream

_BLOB_MEBIBYTES = 1024
_FUNCTIONS = 40


class _ProfiledMitmdump(QuietMitmdump):
    def __init__(self, directory: Path, *, upstream: str) -> None:
        self.profile = directory / "profile"
        conf = directory / "registries.conf"
        conf.write_text(registries_conf(upstream, plain=True))
        super().__init__(directory, modes=[f"reverse:http://{upstream}"], options={}, scripts=(ADDON,), conf=conf)

    def _command(self, *arguments: Any) -> list[str]:
        command = super()._command(*arguments)
        script = Path(__file__).with_name("under_profile.py")
        return [sys.executable, "-P", str(script), str(self.profile), *command[command.index("--mode") :]]


def _small_requests(bench: Bench, peer: Peer) -> None:
    generate(peer, connections=bench.settings.connections, seconds=5 * bench.settings.turns)


def _blob(bench: Bench, peer: Peer) -> None:
    download(peer.asked("lab/big/blobs/sha256:0"), bench.settings.size(_BLOB_MEBIBYTES))


_LOADS = {"small-requests": _small_requests, "blob": _blob}

PROFILED: Sequence[str] = tuple(_LOADS)
"""The rows that can be profiled."""


def profile(bench: Bench, row: str, out: TextIO) -> None:
    """Load it, and print the functions that took the most time of their own. What the profiler takes is in it."""
    blob = bench.new_directory("blob") / "blob"
    write_noise(blob, bench.settings.size(_BLOB_MEBIBYTES) if row == "blob" else 1)
    with ExitStack() as stack:
        upstream = Upstream(bench, blob=blob)
        stack.enter_context(upstream.daemon)
        mitmdump = _ProfiledMitmdump(bench.new_directory("profiled"), upstream=upstream.authority)
        with mitmdump:
            bench.say(f"profiling {row}")
            _LOADS[row](bench, Peer(Kind.STOCK, mitmdump.url, upstream.authority, mitmdump))
        pstats.Stats(str(mitmdump.profile), stream=out).sort_stats("tottime").print_stats(_FUNCTIONS)
