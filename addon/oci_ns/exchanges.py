"""mitmproxy's requests and responses as the addon's own exchanges have them (`fetch`), and back.

Knows which header fields travel; nothing of what is decided.
"""

from __future__ import annotations

import time

from mitmproxy import http

from oci_ns.decided import Asked
from oci_ns.decision import Decision
from oci_ns.fetch import Address, Answer, Fields, Outgoing
from oci_ns.header_fields import HeaderFields
from oci_ns.spec_error import SpecError
from oci_ns.value import value

CREDENTIALS = frozenset({b"authorization", b"cookie"})
"""In lower case."""

# They are between two neighbours (RFC 9110, section 7.6.1), or about a body that is not sent.
_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
    }
    | {b"transfer-encoding", b"upgrade", b"expect"}
)
# What the addon asks for has no body, whatever the client's request has.
_NOT_OF_A_PULL = _HOP_BY_HOP | {b"content-length"}


@value
class Origin:
    """A client's request as it came: what it addressed, and the address it is connected to itself."""

    method: str
    target: str
    fields: Fields
    addressed: tuple[str, str, int]
    """Scheme, host and port."""
    destination: Address
    has_body: bool
    """Whether the request, of which only the head is there, has a body."""

    def stays(self, decision: Decision) -> bool:
        """Whether the request goes to the host it addressed: then it is connected to where the client is."""
        return not decision.rerouted

    def address(self, decision: Decision) -> Address:
        """Host and port that the request is connected to.

        What a client calls the host that it is connected to does not lead anywhere else.
        """
        if not self.stays(decision):
            return (decision.host, decision.port)
        # A declared plain-http has another port, and is at the same host.
        own = decision.port == self.addressed[2]
        return self.destination if own else (self.destination[0], decision.port)

    def outgoing(self, decision: Decision) -> Outgoing:
        """The same request as it goes to where the decision says."""
        dropped = _NOT_OF_A_PULL if decision.keeps_credentials else _NOT_OF_A_PULL | CREDENTIALS
        if (decision.scheme, decision.host, decision.port) != self.addressed:
            dropped |= {b"host"}
        return Outgoing(
            method=self.method,
            scheme=decision.scheme,
            host=decision.host,
            port=decision.port,
            target=decision.target,
            fields=tuple(field for field in self.fields if field[0].lower() not in dropped),
            connect_to=self.address(decision) if self.stays(decision) else None,
            insecure=decision.endpoint is not None and decision.endpoint.insecure,
        )


def origin_of(asked: Asked, addressed: tuple[str, str, int], fields: Fields, by_name: HeaderFields) -> Origin:
    """The request for `asked` with these header fields, `by_name` being the same, before anything is changed in it."""
    has_body = by_name.has(b"transfer-encoding") or (by_name.get("content-length") or "0") != "0"
    return Origin(asked.method, asked.target, fields, addressed, (asked.host, asked.port), has_body)


def response_of(answer: Answer, method: str) -> http.Response:
    """The answer as mitmproxy passes it on."""
    fields = [(name, value) for name, value in answer.fields if name.lower() not in _HOP_BY_HOP]
    if method != "HEAD":
        fields = [(name, value) for name, value in fields if name.lower() != b"content-length"]
        fields.append((b"Content-Length", str(len(answer.body)).encode()))
    now = time.time()
    return http.Response(
        http_version=b"HTTP/1.1",
        status_code=answer.status,
        reason=answer.reason.encode("latin-1", "replace"),
        headers=http.Headers(fields),
        content=answer.body,
        trailers=None,
        timestamp_start=now,
        timestamp_end=now,
    )


def redirect(target: str) -> http.Response:
    """The client shall ask there, with method and header fields as they are (RFC 9110, section 15.4.8)."""
    return http.Response.make(307, b"", {"Location": target})


def answer_of(response: http.Response) -> Answer:
    """A response that was read to its end, as an answer."""
    return Answer(response.status_code, response.reason, response.headers.fields, response.raw_content or b"")


_API = {"Content-Type": "application/json", "Docker-Distribution-Api-Version": "registry/2.0"}


def greeting(error: SpecError, method: str) -> http.Response:
    """What a registry answers to a ping (distribution-spec, "Determining Support"), and to who reads it, the error."""
    return http.Response.make(200, b"" if method == "HEAD" else error.body(), _API)


def error_response(error: SpecError, method: str) -> http.Response:
    """The error as the distribution-spec wants it; a HEAD gets the head alone.

    Clients built on distribution's own library (Docker, Podman, skopeo) show no body of a 5xx, but the status line: the
    message stands there, too.
    """
    response = http.Response.make(error.status, b"" if method == "HEAD" else error.body(), _API)
    if error.status >= 500:
        response.reason = _reason_phrase(error.message)
    return response


_REASON_MAX = 500


def _reason_phrase(text: str) -> str:
    """The text as it may stand in a status line (RFC 9112, section 4: visible characters and spaces)."""
    shown = "".join(character if " " <= character <= "~" else "?" for character in text)
    return shown if len(shown) <= _REASON_MAX else f"{shown[:_REASON_MAX]}..."
