"""The log as mitmdump writes it, one whole line at a time, so that several processes can write to one file or pipe."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable

from mitmproxy import ctx, log
from mitmproxy.addonmanager import Loader
from mitmproxy.addons.termlog import TermLogHandler


class _Handler(TermLogHandler):
    """mitmproxy's own writes the end of a line by itself, and keeps what goes to a file until there is much of it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line. Ends the process where that cannot be done, as mitmdump does."""
        try:
            self.file.write(f"{self.format(record)}\n")
            self.file.flush()
        except OSError:
            sys.exit(1)


class TermLog:
    """A mitmproxy addon in place of the one of this name. What nobody reads is not made: the level is the root's."""

    def __init__(self) -> None:
        self._handler = _Handler()
        self._handler.install()

    def load(self, loader: Loader) -> None:
        """Declare mitmproxy's option."""
        loader.add_option("termlog_verbosity", str, "info", "Log verbosity.", choices=log.LogLevels)
        self._use("info")

    def configure(self, updated: set[str]) -> None:
        """Use the level the option names."""
        if "termlog_verbosity" in updated:
            self._use(ctx.options.termlog_verbosity)

    def uninstall(self) -> None:
        """Write no more. Comes after all addons are done, which may log until then."""
        self._handler.uninstall()

    def _use(self, verbosity: str) -> None:
        _use(self._handler, verbosity)


def log_as_mitmdump() -> Callable[[str], None]:
    """Log in this way from now on, without mitmproxy. Returns what sets the level (`info` until then)."""
    handler = _Handler()
    handler.install()
    _use(handler, "info")
    return functools.partial(_use, handler)


def _use(handler: logging.Handler, verbosity: str) -> None:
    level = verbosity.upper()
    handler.setLevel(level)
    logging.getLogger().setLevel(level)
