"""What a body came with: its Content-Type, the request it belongs to, and when it was sent.

Knows which media types leave open what is in a body, so that the path or the body itself has to tell.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from oci_ns.distribution import Operation, parse
from oci_ns.manifests import essence

DOCUMENT_MAX = 8 * 2**20
"""In bytes: nothing larger is read to find out what it is. Registries take manifests of up to 4 MiB."""

_OPAQUE = frozenset({"application/octet-stream", "binary/octet-stream"})
_VAGUE = _OPAQUE | {"", "application/json", "text/plain"}


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a body came with; what is not known is left empty.

    `target` is the request's path and query, also for a response; `form` the request's form where it has posted one.
    `bearer` is the token of the request's Authorization, for a request only. `time` is when the message began, in
    seconds since 1970.
    """

    content_type: str = ""
    target: str = ""
    is_response: bool = False
    form: bytes = field(default=b"", repr=False)
    bearer: str = field(default="", repr=False)
    time: float | None = None

    @property
    def media_type(self) -> str:
        """The Content-Type without parameters."""
        return essence(self.content_type)

    @property
    def is_vague(self) -> bool:
        """Whether the media type leaves open what JSON it is."""
        return self.media_type in _VAGUE

    @property
    def is_opaque(self) -> bool:
        """Whether the media type says no more than that there are bytes, as it does for blobs."""
        return self.media_type in _OPAQUE

    @property
    def operation(self) -> Operation | None:
        """What the request asks of a registry; None where it is not known to ask one."""
        target = parse(self.target)
        return target.operation if target is not None else None

    @property
    def reference(self) -> str:
        """The tag or digest that is asked for; '' for none."""
        target = parse(self.target)
        return target.suffix[1:] if target is not None else ""


def may_be_object(body: bytes) -> bool:
    """Whether it is worth the time to read a body as a JSON object."""
    return len(body) <= DOCUMENT_MAX and body[:64].lstrip().startswith(b"{")
