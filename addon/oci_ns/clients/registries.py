"""The registries of a configuration as a client has to know them: whole hosts, since ns-inject tells the rest apart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from oci_ns.hops import Route
from oci_ns.reference import DOCKER_HUB, DOCKER_HUB_API, is_host


@dataclass(frozen=True, slots=True)
class ClientRegistries:
    """Hosts in normal form (`docker.io`, `host:port`), wildcards as they are written (`*`, `*.example.com`).

    `blocked` are prefixes that may not be pulled from: those that a client may know for itself.
    """

    hosts: tuple[str, ...] = ()
    wildcards: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()

    @property
    def names(self) -> str:
        """All of them, for a sentence: the first few by name."""
        every = (*self.hosts, *self.wildcards)
        more = f" and {len(every) - 5} more" if len(every) > 6 else ""
        return ", ".join(every[:5] if more else every) + more


def registries_of(routes: Iterable[Route]) -> ClientRegistries:
    """Those that are not merely said to be themselves, sorted."""
    hosts: set[str] = set()
    wildcards: set[str] = set()
    blocked: set[str] = set()
    for route in routes:
        name = route.prefix.registry
        if not route.claims:
            continue
        if name.startswith("*"):
            wildcards.add(name)
        elif is_host(name):
            hosts.add(name)
        if route.registry.blocked and name != "*":
            blocked.add(route.registry.prefix)
    return ClientRegistries(tuple(sorted(hosts)), tuple(sorted(wildcards)), tuple(sorted(blocked)))


def api_host(registry: str) -> str:
    """The host[:port] at which clients ask for a registry's images."""
    return DOCKER_HUB_API if registry == DOCKER_HUB else registry
