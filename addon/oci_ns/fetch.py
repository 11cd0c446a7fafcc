"""One HTTP exchange that the addon makes itself: what is asked, what is answered, and how it can fail.

Only the shapes; who carries them over a network is in `http1_client`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from oci_ns.decision import url_of

Address = tuple[str, int]
"""Host and port to connect to."""
Fields = tuple[tuple[bytes, bytes], ...]
"""HTTP header fields in order, each a name and a value as they stand on the wire."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request. `host` is a DNS name or an IP address (IPv6 without brackets), `target` is path and query.

    `fields` are sent as they are; Host and Content-Length are added where they are missing. `connect_to` is the address
    (host and port) to connect to where it is not that of the URL. `insecure` leaves the certificate unverified.
    """

    method: str
    scheme: str
    host: str
    port: int
    target: str
    fields: Fields = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)
    connect_to: Address | None = None
    insecure: bool = False

    @property
    def url(self) -> str:
        """The whole URL."""
        return url_of(self.scheme, self.host, self.port, self.target)

    @property
    def address(self) -> Address:
        """Host and port to connect to."""
        return self.connect_to or (self.host, self.port)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, its body read to the end and as it came over the wire (its Content-Encoding undone by nobody)."""

    status: int
    reason: str
    fields: Fields = field(repr=False)
    body: bytes = field(repr=False)

    def header(self, name: str) -> str | None:
        """The first field of that name, in any case; None where there is none."""
        return next(iter(self.all_headers(name)), None)

    def all_headers(self, name: str) -> list[str]:
        """Every field of that name, in any case."""
        wanted = name.lower().encode()
        return [value.decode("latin-1") for key, value in self.fields if key.lower() == wanted]


class FetchError(Exception):
    """No answer. Its text says why, in words that may be shown to a client: no secret, one line."""


class UnreachableError(FetchError):
    """No connection, or no TLS on it: nothing was asked."""


class RefusedError(UnreachableError):
    """The machine is there, and nobody listens at the port: to ask costs next to nothing."""


class NoTlsError(UnreachableError):
    """A connection was made (or refused), and whoever is there does not speak TLS."""


class NotTrustedError(UnreachableError):
    """Whoever is there speaks TLS, with a certificate that is not trusted."""


class NoCertificatesError(UnreachableError):
    """TLS was not begun: the certificates that are kept here for it cannot be used. Says nothing of who is there."""


class NotAuthorizedError(FetchError):
    """Nothing was asked: the Authorization it needs cannot be had. Says nothing of whether the endpoint is there."""


class UnsendableError(FetchError):
    """Nothing was asked: the request is no HTTP. Its fault, not the endpoint's, of which this says nothing."""


class Fetch(Protocol):
    """Whoever carries a request to where it says and brings the answer. Redirects are not followed."""

    async def __call__(self, outgoing: Outgoing) -> Answer:
        """Raises FetchError where no complete answer came."""
        ...
