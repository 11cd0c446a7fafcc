"""When a blob is better fetched by the client itself, and from which URL (`ns_blobs = redirect`)."""

from __future__ import annotations

from oci_ns.decision import Action, Decision
from oci_ns.distribution import Operation
from oci_ns.fetch import Fields


def redirect_target(sent: Decision, addressed: str, method: str, fields: Fields) -> str | None:
    """The URL to send the client to; None where the blob goes through the addon.

    `addressed` is the URL that the client asked for, `fields` are its header fields. A HEAD has no bytes to save. A
    client takes no Authorization along to another host, so what needs one is not redirected.
    """
    if sent.operation is not Operation.BLOB or method != "GET" or sent.action is not Action.REWRITE:
        return None
    forwards = sent.rerouted and sent.keeps_credentials
    if any(name.lower() == b"authorization" for name, _ in fields) and (forwards or not sent.rerouted):
        return None
    target = sent.upstream
    return None if target == addressed else target
