"""When a blob is better fetched by the client itself, and from which URL (`ns_blobs = redirect`)."""

from __future__ import annotations

from oci_ns.decision import Action, Decision, Source
from oci_ns.distribution import Operation
from oci_ns.fetch import Fields

_LOGINS = frozenset({b"authorization", b"cookie"})


def redirect_target(sent: Decision, addressed: str, method: str, fields: Fields, *, only_here: bool) -> str | None:
    """The URL to send the client to; None where the blob goes through the addon.

    `addressed` is the URL that the client asked for, `fields` are its header fields. `only_here` says that the endpoint
    is reached with what only the addon has: a login, a client certificate, or other trust than everybody's. A HEAD has
    no bytes to save.
    """
    if sent.operation is not Operation.BLOB or method != "GET" or sent.action is not Action.REWRITE or only_here:
        return None
    if not sent.rerouted and any(name.lower() in _LOGINS for name, _ in fields):
        # A client takes its login along to no other name.
        return None
    if sent.rerouted and sent.endpoint is not None and sent.endpoint.forward_credentials:
        # The client has to see a challenge where it asked, or it has no login for it.
        return None
    if sent.rerouted and sent.source is Source.QUERY:
        # This may be where another redirect led to; from endpoint to endpoint it could go on.
        return None
    target = sent.upstream
    if target is None or target == addressed or "#" in target or not (target.isascii() and target.isprintable()):
        return None
    return target
