"""The requests that are under way: what is known of each, and how it is carried, until its answer is there.

Knows mitmproxy's flows as what the requests are found by.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from mitmproxy import http

from oci_ns.decision import Decision
from oci_ns.exchanges import Origin
from oci_ns.pull_access import PullAccess
from oci_ns.record import Record
from oci_ns.value import value


@value
class Carried:
    """A request that mitmproxy carries: the decision with all its candidates, the one chosen, and the same as sent."""

    decision: Decision
    chosen: Decision
    sent: Decision
    origin: Origin
    access: PullAccess | None = None
    authorization: bytes | None = field(default=None, repr=False)
    """The addon's own, which is in the flow only from its last moment before it leaves until the answer's head."""


@dataclass(slots=True)
class Known:
    """What is known of a request that was decided about. `carried` until the answer is there."""

    record: Record
    carried: Carried | None = None
    has_left: bool = False
    """Whether its head is on its way to the endpoint."""


class UnderWay:
    """The requests by their flows, for as long as these live."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[http.HTTPFlow, Known] = WeakKeyDictionary()

    def begin(self, flow: http.HTTPFlow, record: Record) -> Known:
        """Note a request that was decided about."""
        known = self._known[flow] = Known(record)
        return known

    def get(self, flow: http.HTTPFlow) -> Known | None:
        """What is known of a request; None where it was not decided about."""
        return self._known.get(flow)

    def carried(self, flow: http.HTTPFlow) -> Carried | None:
        """How a request is carried; None where it is not."""
        known = self._known.get(flow)
        return known.carried if known is not None else None

    def taken(self, flow: http.HTTPFlow) -> Carried | None:
        """How a request was carried, which is over now."""
        known = self._known.get(flow)
        if known is None:
            return None
        carried, known.carried = known.carried, None
        return carried

    def all_carried(self) -> Iterator[tuple[http.HTTPFlow, Carried]]:
        """All that are carried now."""
        for flow, known in list(self._known.items()):
            if known.carried is not None:
                yield flow, known.carried
