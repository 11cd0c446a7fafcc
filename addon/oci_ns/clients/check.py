"""Asks ns-inject what a client asks first, and tells what is wrong: with one connection for each question."""

from __future__ import annotations

import ssl
from collections.abc import Iterable

from oci_ns.clients.ca import trusting_anyone, trusting_only
from oci_ns.clients.probe import Probe, unreachable, wrong_ping, wrong_presence
from oci_ns.fetch import Answer, FetchError, NotTrustedError, Outgoing
from oci_ns.http1_client import HttpClient, Network

_CONNECT_TIMEOUT = 5.0
_RESPONSE_TIMEOUT = 35.0
"""Longer than ns-inject waits for an endpoint by default. Both in seconds."""


async def examine(probes: Iterable[Probe], certificates: str) -> list[str]:
    """What is wrong, one line each. Whom to trust: these CAs (PEM; '' where no TLS is spoken) and nobody else."""
    trusted = trusting_only(certificates) if certificates else ssl.create_default_context()
    found: list[str] = []
    for probe in probes:
        try:
            wrong = wrong_presence(probe, await _ask(probe, probe.presence, trusted))
            wrong = wrong or wrong_ping(probe, await _ask(probe, probe.ping, trusted))
        except FetchError as error:
            unverified = await _is_there(probe) if isinstance(error, NotTrustedError) else None
            wrong = unreachable(probe, error, unverified=unverified)
        if wrong is not None and wrong not in found:
            found.append(wrong)
    return found


async def _ask(probe: Probe, outgoing: Outgoing, context: ssl.SSLContext) -> Answer:
    network = Network(lambda _: context, _CONNECT_TIMEOUT, _RESPONSE_TIMEOUT, probe.via)
    return await HttpClient(lambda: network).fetch(outgoing)


async def _is_there(probe: Probe) -> bool:
    """Whether ns-inject answers, whoever it says it is."""
    try:
        return wrong_presence(probe, await _ask(probe, probe.presence, trusting_anyone())) is None
    except FetchError:
        return False
