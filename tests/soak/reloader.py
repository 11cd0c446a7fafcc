"""Knows the configuration, and the actor that keeps rewriting it: in another order, with one more, broken, and back."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final

from .actor import Actor
from .ledger import Ledger
from .whole_clients import REGISTRY

LIGHT_REGISTRY: Final = "registry.example.com"
"""The registry of the light clients, whose requests are counted."""
PUSH_REGISTRY: Final = "ghcr.io"
NAMESPACES: Final = (LIGHT_REGISTRY, REGISTRY)

_BROKEN: Final = (
    "[[registry]\nprefix = ",
    '[[registry]]\nprefix = "quay.io"\nlocation = 7\n',
    '[[registry]]\nprefix = "quay.io"\n[[registry]]\nprefix = "quay.io"\nblocked = "maybe"\n',
)


def configuration(mirrors: tuple[str, str], push: str, *, more: int = 0) -> str:
    """A registries.conf: the mirrors in this order for what is pulled, `push` for what is pushed, and `more` others."""
    first, second = mirrors
    lines = []
    for namespace in NAMESPACES:
        lines += ["[[registry]]", f'prefix = "{namespace}"', *_endpoint(second, namespace)]
        lines += ["[[registry.mirror]]", *_endpoint(first, namespace)]
    lines += ["[[registry]]", f'prefix = "{PUSH_REGISTRY}"', *_endpoint(push, PUSH_REGISTRY)]
    for number in range(more):
        name = f"more-{number}.example.com"
        lines += ["[[registry]]", f'prefix = "{name}"', *_endpoint(first, name)]
    return "\n".join([*lines, ""])


def _endpoint(authority: str, namespace: str) -> list[str]:
    return [f'location = "{authority}"', "plain-http = true", f'namespace-proxy = "{namespace}"']


class Reloader(Actor):
    """Rewrites the file, as editors do and as they should not, and sends SIGHUP now and then."""

    def __init__(
        self,
        name: str,
        ledger: Ledger,
        seed: int,
        file: Path,
        mirrors: tuple[str, str],
        push: str,
        pid: Callable[[], int],
        pause: float,
    ) -> None:
        super().__init__(name, ledger, seed)
        self._file = file
        self._push = push
        self._pid = pid
        self._orders = (mirrors, (mirrors[1], mirrors[0]))
        self._was_broken = False
        self.pause = pause

    def once(self) -> None:
        """One new configuration."""
        is_broken = not self._was_broken and self.chance.random() < 0.3
        if is_broken:
            text = self.chance.choice(_BROKEN)
        else:
            text = configuration(self.chance.choice(self._orders), self._push, more=self.chance.choice((0, 0, 1, 200)))
        if self.chance.random() < 0.5:
            beside = self._file.with_suffix(".new")
            beside.write_text(text)
            beside.replace(self._file)
        else:
            # Never empty on the way, which would be a configuration, too.
            with self._file.open("r+") as file:
                file.write(text)
                file.truncate()
        if self.chance.random() < 0.3:
            os.kill(self._pid(), signal.SIGHUP)
            self.ledger.counted(self.name, hangups=1)
        self._was_broken = is_broken
        self.ledger.did(self.name, broken=int(is_broken), good=int(not is_broken))

    def close(self) -> None:
        """Leave a configuration that works."""
        self._file.write_text(configuration(self._orders[0], self._push))
