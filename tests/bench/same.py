"""Knows whether the peers do the same: only then is there something to compare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .measures import BenchError
from .peers import Peer
from .upstream import Upstream


def arrived_alike(peers: Sequence[Peer], upstream: Upstream, rest: str) -> list[dict[str, Any]]:
    """Ask each peer for `rest`; what arrived upstream, peer by peer.

    Raises BenchError where it is not what has to arrive, or a client is answered something else than by the others.
    """
    seen = []
    expected: bytes | None = None
    for peer in peers:
        request, body = upstream.seen_from(peer.name, peer.asked(rest))
        seen.append(request)
        wanted = ("GET", peer.arriving(rest), upstream.authority)
        found = (request["method"], request["target"], request["host"])
        if found != wanted:
            raise BenchError(f"{peer.name} cannot be compared: it sent {found}, and was to send {wanted}")
        expected = body if expected is None else expected
        if body != expected:
            raise BenchError(f"{peer.name} cannot be compared: its answer is not that of {peers[0].name}")
    return seen
