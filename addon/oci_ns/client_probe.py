"""What a client asks first, and what the answers to it tell about ns-inject. Nothing is sent here.

A registry client begins with `GET /v2/` (distribution-spec, "Determining Support"); 401 asks it for a login.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from oci_ns import presence
from oci_ns.client import Via
from oci_ns.client_address import ProxyAddress
from oci_ns.client_registries import api_host
from oci_ns.client_setup import CONTAINERD, DNS, HTTPS_PROXY, LISTENER, Setup
from oci_ns.distribution import escape_namespace
from oci_ns.fetch import Answer, FetchError, NoTlsError, NotTrustedError, Outgoing, UnreachableError
from oci_ns.reference import DOCKER_HUB, split_host
from oci_ns.registries_conf import ANY_PREFIX
from oci_ns.spec_error import first_error

PROBES_MAX = 10
"""So many registries are asked for."""
_SERVED = (200, 401)


@dataclass(frozen=True, slots=True)
class Probe:
    """A registry's name, where ns-inject is said to be for it, and the ping as the client sends it."""

    registry: str
    address: ProxyAddress
    ping: Outgoing
    via: Via | None = None

    @property
    def presence(self) -> Outgoing:
        """The question whether it is ns-inject that is there."""
        return replace(self.ping, target=presence.PATH)


def probes(setup: Setup, hosts: tuple[str, ...]) -> tuple[Probe, ...]:
    """One for each registry that is sent to ns-inject, or for each place at which that is; none where none has a name."""
    if not hosts and ANY_PREFIX in setup.registries.wildcards:
        hosts = (DOCKER_HUB,)
    if not hosts:
        return ()
    if setup.recipe == HTTPS_PROXY:
        via = Via("http", setup.proxy.host, setup.proxy.port)
        found = [Probe(host, setup.proxy, _https(host), via) for host in hosts]
    elif setup.recipe == DNS:
        there = (setup.proxy.host, setup.proxy.port)
        found = [Probe(host, setup.proxy, replace(_https(host), connect_to=there)) for host in hosts]
    elif setup.recipe == LISTENER or setup.client == CONTAINERD:
        named = setup.client == CONTAINERD
        found = [_at(host, setup.listeners.get(host, setup.proxy), host if named else None) for host in hosts]
    else:
        # Nothing in a ping tells which registry it is for.
        found = [_at(hosts[0], setup.proxy, None)]
    return tuple(found[:PROBES_MAX])


def _https(registry: str) -> Outgoing:
    host, port = split_host(api_host(registry))
    return Outgoing("GET", "https", host, port or 443, "/v2/")


def _at(registry: str, address: ProxyAddress, namespace: str | None) -> Probe:
    query = f"?ns={escape_namespace(namespace)}" if namespace is not None else ""
    return Probe(registry, address, Outgoing("GET", address.scheme, address.host, address.port, f"/v2/{query}"))


def unreachable(probe: Probe, error: FetchError, *, unverified: bool | None) -> str:
    """What is wrong where there was no answer, and what to do.

    `unverified` tells of a second try, which trusted anyone: whether ns-inject answered it; None where there was none.
    """
    reason = str(error).removeprefix(f"the upstream proxy {probe.address.host}:{probe.address.port}: ")
    unknown = f"it does not read the TLS of {probe.registry}: is that in the configuration which ns-inject runs with?"
    if isinstance(error, NotTrustedError):
        if unverified:
            return f"ns-inject at {probe.address.url} presents another CA's certificate: give its own CA with --ca"
        return f"{probe.registry} by {probe.address.url}: {reason}; {unknown}"
    if isinstance(error, NoTlsError):
        return f"{probe.registry} by {probe.address.url}: {reason}; {unknown}"
    if isinstance(error, UnreachableError):
        return f"{probe.address.url}: {reason}: start ns-inject there, or say with --proxy where it is"
    return f"{probe.registry} by {probe.address.url}: {reason}"


def wrong_presence(probe: Probe, answer: Answer) -> str | None:
    """What is wrong with an answer to the question whether ns-inject is there; None where it is."""
    if presence.is_answer(answer.status, answer.body):
        return None
    return f"what answers at {probe.address.url} is not ns-inject: start it there with the addon, or correct --proxy"


def wrong_ping(probe: Probe, answer: Answer) -> str | None:
    """What is wrong with ns-inject's answer to the ping; None where a client can go on."""
    if answer.status in _SERVED:
        return None
    said = first_error(answer.body) or answer.reason
    return f"{probe.registry}: ns-inject answers {answer.status} {said}: see to the registry proxy, and to its log"
