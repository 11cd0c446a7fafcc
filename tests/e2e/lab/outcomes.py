"""Knows what comes of a request: where it arrives and how, in turn, or with which error it is answered.

Of a decision and of what servers and clients really saw, in the same words, so that one can be held against the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from oci_ns.decision import Decision, Source
from oci_ns.distribution import Operation
from oci_ns.header_fields import HeaderFields
from oci_ns.reference import DEFAULT_PORTS, split_host
from oci_ns.routes import RouteTable
from oci_ns.unfit import refusal

from .conversation import Answer
from .everywhere import Arrival

CREDENTIALS = {"Authorization": "Basic dTpw", "Cookie": "a=b", "Proxy-Authorization": "Basic eDp5"}
"""What a client sends with every request here."""
KEPT = frozenset({"Authorization", "Cookie"})
ANY_CODE = "*"
"""The code of an error that only has to have one."""


@dataclass(frozen=True)
class Asked:
    """A request as a client sends it to a listener, which stands for the destination; '' for none.

    `scheme` is the one that the table is for. `named` is its Host, `target` is bytes as text.
    """

    method: str
    scheme: str
    named: str
    target: str
    destination: str = ""

    @property
    def body(self) -> bytes:
        """What is sent with it."""
        return b"what is sent" if self.method in ("PUT", "POST", "PATCH") else b""

    @property
    def raw(self) -> bytes:
        """Its every byte."""
        lines = [f"Host: {self.named}", *(f"{name}: {value}" for name, value in CREDENTIALS.items())]
        lines += [f"Content-Length: {len(self.body)}"] if self.body else []
        head = "\r\n".join([f"{self.method} {self.target} HTTP/1.1", *lines, "", ""])
        return head.encode("utf-8", "surrogateescape") + self.body


@dataclass(frozen=True)
class Sent:
    """One request at one server: how, where and what. `authority` is its Host, the port always said."""

    scheme: str
    host: str
    port: int
    method: str
    target: str
    authority: str
    credentials: frozenset[str]
    body: bytes


@dataclass(frozen=True)
class Outcome:
    """Where a request arrives in turn, each place being asked where those before it failed; or the error."""

    sent: tuple[Sent, ...] = ()
    error: tuple[int, str] | None = None

    @property
    def first(self) -> Outcome:
        """The same where nothing fails."""
        return replace(self, sent=self.sent[:1])

    def is_like(self, other: Outcome) -> bool:
        """Whether both are the same; of some errors it does not matter which code they have."""
        if self.error is not None and other.error is not None and self.error[1] == ANY_CODE:
            return self.error[0] == other.error[0] and other.error[1] != "" and self.sent == other.sent
        return self == other


# -- what is decided -------------------------------------------------------------------------------------------------


def told(table: RouteTable, asked: Asked, *, is_read: bool = True) -> tuple[Outcome, Decision | None]:
    """What the table says of a request, and its decision; None where the request is refused before one is made.

    `is_read` is whether it is looked at at all.
    """
    host, port = _split(asked.destination, asked.scheme) if asked.destination else ("", 0)
    host, port = table.addressed_host(asked.scheme, asked.named, host, port)
    if not host:
        return Outcome(error=_error(421, ANY_CODE, asked.method)), None
    decision = table.decide(asked.method, asked.scheme, host, port, asked.target)
    fields = ((b"Host", asked.named.encode()),)
    unfit = refusal(asked.method, asked.target, fields, HeaderFields(fields), None)
    if unfit is not None and is_read:
        return Outcome(error=_error(unfit.status, unfit.code, asked.method)), None
    if decision.error is not None:
        greeted = decision.operation is Operation.PING and decision.source is Source.HOST
        status = 200 if greeted else decision.error.status
        return Outcome(error=_error(status, decision.error.code, asked.method)), decision
    every = (decision, *decision.alternatives)
    return Outcome(_without_repetition(_decided(each, asked) for each in every)), decision


def _decided(decision: Decision, asked: Asked) -> Sent:
    host, target = _plain(decision.host), _as_bytes(decision.target)
    credentials = KEPT if decision.keeps_credentials else frozenset()
    authority = f"{host}:{decision.port}"
    return Sent(decision.scheme, host, decision.port, asked.method, target, authority, credentials, asked.body)


# -- what was seen ---------------------------------------------------------------------------------------------------


def seen(arrivals: Iterable[Arrival], answer: Answer, method: str, *, below: bool) -> Outcome:
    """What servers and the client saw. `below` is whether the request was below /v2.

    For what is not, it is nobody's business who logs in at the proxy.
    """
    sent = _without_repetition(_arrived(each, below=below) for each in arrivals)
    return Outcome(sent) if sent else Outcome(error=_error(answer.status, answer.code, method))


def _arrived(arrival: Arrival, *, below: bool) -> Sent:
    credentials = frozenset(name for name in CREDENTIALS if arrival.all(name))
    hosts = arrival.all("host")
    host, port = _split(hosts[0], arrival.scheme) if len(hosts) == 1 else (repr(hosts), 0)
    return Sent(
        arrival.scheme,
        arrival.host,
        arrival.port,
        arrival.method,
        arrival.target,
        f"{host}:{port}",
        credentials if below else credentials & KEPT,
        arrival.body,
    )


# -- in the same words -----------------------------------------------------------------------------------------------


def _error(status: int, code: str, method: str) -> tuple[int, str]:
    # An answer to HEAD has no body to read the code in.
    return status, "" if method == "HEAD" else code


def _split(authority: str, scheme: str) -> tuple[str, int]:
    try:
        host, port = split_host(authority)
    except ValueError:
        return repr(authority), 0
    return _plain(host), port or DEFAULT_PORTS[scheme]


def _plain(host: str) -> str:
    return host.lower().removesuffix(".").strip("[]")


def _as_bytes(target: str) -> str:
    """Text with one character for each byte."""
    return target.encode("utf-8", "surrogateescape").decode("latin-1")


def _without_repetition(every: Iterable[Sent]) -> tuple[Sent, ...]:
    """A place that is asked twice in a row is one place."""
    found: list[Sent] = []
    for each in every:
        if not found or found[-1] != each:
            found.append(each)
    return tuple(found)
