"""One request of a client and what came of it, as it went over the wire.

Only the shape: who makes it from a flow is in `observed`, who groups them is in `pulls`.
"""

from __future__ import annotations

from dataclasses import field

from oci_ns.findings import Finding
from oci_ns.record import Record
from oci_ns.value import value


@value
class Transfer:
    """A request, and its answer where it has one.

    `client` is the client's IP address, `agent` its User-Agent. `status` is None without an answer, and `error` then
    says why. `begun`, `headed` (the answer's head) and `ended` are in seconds since the epoch, None for what did not
    happen. `received` is how many bytes of the body came. `body` is kept for manifests and short documents. `digest` is
    the answer's Docker-Content-Digest, '' for none. `challenged` says that it is a 401 to a request without a login.
    """

    client: str
    agent: str
    method: str
    record: Record
    begun: float
    status: int | None = None
    headed: float | None = None
    ended: float | None = None
    received: int = 0
    body: bytes | None = field(default=None, repr=False)
    digest: str = ""
    error: str = ""
    challenged: bool = False
    findings: tuple[Finding, ...] = ()

    def without_body(self) -> Transfer:
        """The same, to be kept for long."""
        # `dataclasses.replace` takes eight times as long.
        return Transfer(
            self.client,
            self.agent,
            self.method,
            self.record,
            self.begun,
            self.status,
            self.headed,
            self.ended,
            self.received,
            None,
            self.digest,
            self.error,
            self.challenged,
            self.findings,
        )

    @property
    def seconds(self) -> float:
        """From the request to the end of the answer."""
        return max((self.ended or self.begun) - self.begun, 0.0)
