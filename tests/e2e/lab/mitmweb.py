"""Knows how to run a real mitmweb, of the Python that runs the tests, with the addon in it, and where its page is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from .mitmdump import Mitmdump
from .process import free_port, listens

_ANNOUNCED = re.compile(r"Web server listening at (http://\S+)")


class Mitmweb(Mitmdump):
    """A running mitmweb that opens no browser."""

    program: ClassVar[str] = "mitmweb"
    settings: ClassVar[Mapping[str, str]] = {"web_open_browser": "false", "termlog_verbosity": "info"}

    def __init__(self, directory: Path, *, conf: Path, trusted_ca: Path) -> None:
        self._web_port = free_port()
        super().__init__(directory, conf=conf, trusted_ca=trusted_ca, options={"web_port": str(self._web_port)})

    def _is_ready(self) -> bool:
        return super()._is_ready() and listens(self._web_port, "127.0.0.1") and bool(_ANNOUNCED.search(self.log()))

    @property
    def page(self) -> str:
        """The URL of its page, with the token that some versions want, as mitmweb itself announces it."""
        announced = _ANNOUNCED.search(self.log())
        assert announced is not None, self.log()
        return announced[1]
