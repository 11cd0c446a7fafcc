"""What mitmproxy logs of connections has no control characters: it may quote what a client has sent.

Libraries differ in how they quote; a terminal that shows the log shall not be told anything by a client.
"""

from __future__ import annotations

import logging

_LOGGER = "mitmproxy.proxy.server"
_OWN_TRACEBACK = "Traceback (most recent call last)"


class Unspoken(logging.Filter):
    """Writes control characters as escapes. The lines of a traceback stay lines."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record where it needs that; it is logged in any case."""
        text = record.getMessage()
        if not text.isprintable():
            kept = "\n" if _OWN_TRACEBACK in text else ""
            record.msg, record.args = "".join(_shown(character, kept) for character in text), ()
        return True


def _shown(character: str, kept: str) -> str:
    if character.isprintable() or character in kept:
        return character
    return character.encode("unicode_escape").decode()


def install() -> None:
    """Have all that is logged of connections from now on written so."""
    logger = logging.getLogger(_LOGGER)
    if not any(isinstance(each, Unspoken) for each in logger.filters):
        logger.addFilter(Unspoken())
