"""How ns-inject says that it is there: one path outside the registry's API, which it answers itself.

Whoever sets up a client asks for it, to tell ns-inject from any other proxy, and from the registry itself.
"""

from __future__ import annotations

import json

PATH = "/.well-known/ns-inject"
"""Named as RFC 8615 has it."""
_PROGRAM = "ns-inject"


def answer() -> bytes:
    """The body of the answer, in JSON. It says nothing of what is configured."""
    return json.dumps({"program": _PROGRAM}).encode()


def is_answer(status: int, body: bytes) -> bool:
    """Whether this is ns-inject's answer. Never raises."""
    try:
        return status == 200 and json.loads(body)["program"] == _PROGRAM
    except (ValueError, LookupError, TypeError, RecursionError):
        return False
