"""What is asked as a client would ask it, and what the answers tell about ns-inject. Nothing is sent here.

A registry client begins with `GET /v2/` (distribution-spec, "Determining Support"); 401 asks it for a login. Where no
endpoint answers, ns-inject says yes to that all the same, with the error in the body.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from oci_ns import presence
from oci_ns.clients.address import ProxyAddress
from oci_ns.clients.recipes import CONTAINERD, DNS, HTTPS_PROXY, LISTENER, Setup
from oci_ns.clients.registries import api_host
from oci_ns.distribution import escape_namespace
from oci_ns.fetch import Answer, FetchError, NoTlsError, NotTrustedError, Outgoing, UnreachableError
from oci_ns.http1_client import Via
from oci_ns.reference import DOCKER_HUB, split_host
from oci_ns.registries_conf import ANY_PREFIX
from oci_ns.spec_error import first_error

PROBES_MAX = 10
"""So many registries are asked for."""
_SERVED = (200, 401)
_NO_WAY = 502


@dataclass(frozen=True, slots=True)
class Probe:
    """A registry's name, where ns-inject is said to be for it, and the ping as the client sends it."""

    registry: str
    address: ProxyAddress
    ping: Outgoing
    via: Via | None = None

    @property
    def at_listener(self) -> bool:
        """Whether ns-inject is asked as the registry itself would be, by its own address."""
        return self.via is None and self.ping.connect_to is None

    @property
    def presence(self) -> Outgoing:
        """The question whether it is ns-inject that is there."""
        return replace(self.ping, target=presence.PATH)


def probes(setup: Setup, hosts: tuple[str, ...]) -> tuple[Probe, ...]:
    """One for each registry that is sent to ns-inject, or for each place where that is; none where none has a name."""
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
        found = [_at(setup, host) for host in hosts]
    else:
        # Nothing in a ping tells which registry it is for.
        found = [_at(setup, hosts[0])]
    return tuple(found[:PROBES_MAX])


def _https(registry: str) -> Outgoing:
    host, port = split_host(api_host(registry))
    return Outgoing("GET", "https", host, port or 443, "/v2/")


def _at(setup: Setup, registry: str) -> Probe:
    address = setup.listeners.get(registry, setup.proxy)
    # containerd tells every mirror.
    query = f"?ns={escape_namespace(registry)}" if setup.client == CONTAINERD else ""
    return Probe(registry, address, Outgoing("GET", address.scheme, address.host, address.port, f"/v2/{query}"))


def unreachable(probe: Probe, error: FetchError, *, unverified: bool | None) -> str:
    """What is wrong where there was no answer, and what to do.

    `unverified` tells of a second try, which trusted anyone: whether ns-inject answered it; None where there was none.
    """
    proxy = f"the upstream proxy {probe.address.host}:{probe.address.port}"
    if str(error).startswith(f"{proxy} answers "):
        told = str(error).removeprefix(f"{proxy} ")
        return f"{probe.address.url} {told}, asked to let through: ns-inject has to run there with --mode regular"
    reason = str(error).removeprefix(f"{proxy}: ")
    unknown = f"it does not read the TLS of {probe.registry}: is that in the configuration which ns-inject runs with?"
    if isinstance(error, NotTrustedError):
        if unverified:
            return f"ns-inject at {probe.address.url} presents another CA's certificate: give its own CA with --ca"
        return f"{probe.registry} by {probe.address.url}: {reason}; {unknown}"
    if isinstance(error, NoTlsError) and probe.at_listener:
        return f"{probe.address.url}: {reason}: is it http://{probe.address.authority}?"
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
    said = first_error(answer.body)
    if answer.status in _SERVED and not (answer.status == 200 and said):
        return None
    status = "" if answer.status == 200 else f"{answer.status} "
    told = f"{status}{said or answer.reason}"
    # Where endpoints fail, it says 200 to a ping.
    mode = "; a listener has --mode reverse:URL, not regular" if probe.at_listener and answer.status == _NO_WAY else ""
    return f"{probe.registry}: ns-inject answers {told}: see to the registry proxy, and to the log of ns-inject{mode}"
