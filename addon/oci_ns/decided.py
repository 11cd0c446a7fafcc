"""What was decided lately and noted about it, so that a request that comes again costs a look-up.

Fleets ask for the same things again and again. Knows no mitmproxy.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from oci_ns.decision import Decision, url_of
from oci_ns.log_line import decision_line
from oci_ns.record import Record, metadata_of, record_of
from oci_ns.reference import registry_name
from oci_ns.routes import RouteTable
from oci_ns.value import value

_KNOWN_MAX = 2048
_LENGTH_MAX = 1024
"""In characters: a longer target or name is decided each time, so that nobody fills the memory with them."""


@value
class Asked:
    """What a request asks for, and what its connection leads to.

    `named` is its Host or :authority as sent, None where it has none; `host` and `port` are where it is connected to.
    """

    method: str
    scheme: str
    named: str | None
    host: str
    port: int
    target: str


@dataclass(slots=True)
class Noted:
    """What is noted of a request sent as `sent`: the record, what a flow keeps of that, and the line in the log."""

    sent: Decision
    record: Record
    metadata: dict[str, str | int | list[str]]
    line: str


@dataclass(slots=True)
class Decided:
    """The decision about a request to the addressed host: scheme, host and port. `url` is what it asked for."""

    asked: Asked
    addressed: tuple[str, str, int]
    decision: Decision
    _noted: Noted | None = None

    @property
    def url(self) -> str:
        """The URL that was asked for."""
        return url_of(*self.addressed, self.asked.target)

    def noted(self, sent: Decision, upstream: Callable[[], str]) -> Noted:
        """What is noted where it is sent as `sent`: the decision, or what became of it. `upstream` gives the URL."""
        noted = self._noted
        if noted is None or noted.sent is not sent:
            scheme, host, port = self.addressed
            record = record_of(sent, self.url, upstream(), self.asked.target, registry_name(scheme, host, port))
            line = decision_line(self.asked.method, self.url, sent)
            noted = self._noted = Noted(sent, record, metadata_of(record), line)
        return noted


class Decisions:
    """Decides by a table, and remembers what it decided by that."""

    def __init__(self, table: RouteTable) -> None:
        self.table = table
        self._look_up = functools.lru_cache(_KNOWN_MAX)(self._decide)

    def decide(self, method: str, scheme: str, named: str | None, host: str, port: int, target: str) -> Decided:
        """Decide about a request; what it asks for as in Asked."""
        short = len(target) <= _LENGTH_MAX and len(named or "") <= _LENGTH_MAX
        return (self._look_up if short else self._decide)(method, scheme, named, host, port, target)

    def _decide(self, method: str, scheme: str, named: str | None, host: str, port: int, target: str) -> Decided:
        asked = Asked(method, scheme, named, host, port, target)
        host, port = self.table.addressed_host(scheme, named, host, port)
        return Decided(asked, (scheme, host, port), self.table.decide(method, scheme, host, port, target))
