"""Which endpoints came close to a request that addresses one, and whose they are.

For people only: it looks at every endpoint, which no decision does. Where a request lies is in `locations`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

from oci_ns.hops import Hop
from oci_ns.index import RouteIndex
from oci_ns.locations import Location
from oci_ns.near_misses import SHOWN_MAX, Candidate, Wanted, near_misses, without_port
from oci_ns.registries_conf import Registry
from oci_ns.trace_steps import Near, NearMiss


def near_locations(index: RouteIndex, addressed: str, name: str) -> Near:
    """The locations at the addressed host that `name` (host, repository, reference) does not lie under."""
    hops = _hops(index, lambda registry: registry == addressed)
    return near_misses((Candidate(_as_entry(r, hop), hop.location) for r, hop in hops), Wanted(name, addressed))


def other_ports(index: RouteIndex, addressed: str) -> Near:
    """The endpoints that differ from the addressed host in nothing but the port."""
    bare = without_port(addressed)
    hops = _hops(index, lambda registry: without_port(registry) == bare)
    return near_misses((Candidate(_as_entry(r, hop), hop.registry) for r, hop in hops), Wanted(addressed, addressed))


def ambiguous(index: RouteIndex, place: Location) -> Near:
    """The endpoints that make a location stand for several namespaces."""
    shown = itertools.islice(place.namespaces.items(), SHOWN_MAX)
    misses = [
        NearMiss(endpoint.location, index.owner_of(endpoint).origin_of(endpoint), f"stands for {namespace}")
        for namespace, endpoint in shown
    ]
    return Near(tuple(misses), len(place.namespaces) - len(misses))


def _hops(index: RouteIndex, is_wanted: Callable[[str], bool]) -> Iterator[tuple[Registry, Hop]]:
    """Each endpoint whose host[:port] in normal form is wanted."""
    routes = index.routes_to(is_wanted)
    return ((route.registry, hop) for route in routes for hop in route.proxies if is_wanted(hop.registry))


def _as_entry(registry: Registry, hop: Hop) -> Registry:
    """The endpoint in an entry's place: called by its location, written where its own table is."""
    return replace(registry, prefix=hop.endpoint.location, primary=hop.endpoint)
