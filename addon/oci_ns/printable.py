"""Text that others wrote, fit for one line of a log or a terminal."""

from __future__ import annotations

from oci_ns.discreet import without_logins

LENGTH_MAX = 1000
"""In characters: a client cannot fill a disk with one long line."""


def printable(text: str) -> str:
    """The text on one line, without terminal control sequences and logins, shortened to LENGTH_MAX."""
    # Before it is cut: half a login is none that would be found.
    text = without_logins(text)
    cut = text if len(text) <= LENGTH_MAX else f"{text[:LENGTH_MAX]}…"
    if cut.isprintable():
        return cut
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in cut
    )
