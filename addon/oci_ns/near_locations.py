"""Which endpoints came close to a request that addresses one, and whose they are.

For people only: it looks at every endpoint, which no decision does. Where a request lies is in `locations`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from oci_ns.hops import Hop
from oci_ns.index import RouteIndex
from oci_ns.locations import Location
from oci_ns.near_misses import SHOWN_MAX, Candidate, Wanted, near_misses, without_port
from oci_ns.registries_conf import Endpoint, Registry
from oci_ns.trace_steps import Near, NearMiss


def owner_of(index: RouteIndex, endpoint: Endpoint) -> Registry | None:
    """The entry that an endpoint is written in."""
    return next((r for r in index.registries if any(own is endpoint for own in r.endpoints)), None)


def near_locations(index: RouteIndex, addressed: str, name: str) -> Near:
    """The locations at the addressed host that `name` (host, repository, reference) does not lie under."""
    found = [Candidate(_as_entry(r, hop), hop.location) for r, hop in _hops(index) if hop.registry == addressed]
    return near_misses(found, Wanted(name, addressed))


def other_ports(index: RouteIndex, addressed: str) -> Near:
    """The endpoints that differ from the addressed host in nothing but the port."""
    bare = without_port(addressed)
    found = [
        Candidate(_as_entry(registry, hop), hop.registry)
        for registry, hop in _hops(index)
        if without_port(hop.registry) == bare
    ]
    return near_misses(found, Wanted(addressed, addressed))


def ambiguous(index: RouteIndex, place: Location) -> Near:
    """The endpoints that make a location stand for several namespaces."""
    misses: list[NearMiss] = []
    for namespace, endpoint in place.namespaces.items():
        owner = owner_of(index, endpoint) if len(misses) < SHOWN_MAX else None
        if owner is not None:
            misses.append(NearMiss(endpoint.location, owner.origin_of(endpoint), f"stands for {namespace}"))
    return Near(tuple(misses), len(place.namespaces) - len(misses))


def _hops(index: RouteIndex) -> Iterator[tuple[Registry, Hop]]:
    return ((route.registry, hop) for route in index.routes.values() for hop in route.proxies)


def _as_entry(registry: Registry, hop: Hop) -> Registry:
    """The endpoint in an entry's place: called by its location, written where its own table is."""
    return replace(registry, prefix=hop.endpoint.location, origin=registry.origin_of(hop.endpoint))
