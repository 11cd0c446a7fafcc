"""What is odd about the endpoints of a configuration: their namespaces, their addresses, and what they share."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterator

from oci_ns.conf_findings import (
    AMBIGUOUS_LOCATION,
    BAD_LOCATION,
    ENDPOINT_IS_SOURCE,
    INSECURE_DISPUTED,
    NAMESPACE_DIFFERS,
    about,
)
from oci_ns.hops import Hop, Route
from oci_ns.index import RouteIndex
from oci_ns.index_tables import address_key
from oci_ns.problems import Problem
from oci_ns.reference import canonical_registry
from oci_ns.registries_conf import SOURCE_HOST, Registry

_LISTED_MAX = 5


def problems_of_endpoints(index: RouteIndex) -> Iterator[Problem]:
    """Each endpoint that may not do what was meant."""
    hosts = index.endpoints_at_sources()
    sources: dict[str, Route] = {}
    for route in index.routes() if hosts else ():
        if route.prefix.registry in hosts and route.claims:
            sources.setdefault(route.prefix.registry, route)
    for route in index.routes():
        yield from _no_address(route)
        for hop in _hops(route):
            yield from _namespace(route, hop)
        for hop in route.proxies:
            yield from _is_source(index, sources, route, hop)
    yield from _disputed(index)
    yield from _ambiguous(index)


def _hops(route: Route) -> Iterator[Hop]:
    yield from route.mirrors
    if route.primary is not None:
        yield route.primary


def _no_address(route: Route) -> Iterator[Problem]:
    registry = route.registry
    for endpoint in registry.endpoints if route.broken else ():
        if endpoint.location in route.broken:
            message = f'location "{endpoint.location}" is not a host[:port][/path]; nothing is sent there'
            yield about(registry, BAD_LOCATION, message, endpoint=endpoint)


def _namespace(route: Route, hop: Hop) -> Iterator[Problem]:
    """A namespace that is not what the prefix says; meant so where a proxy calls a registry by another name."""
    registry, namespace = route.registry, hop.endpoint.namespace
    if namespace is None or namespace == SOURCE_HOST:
        return
    if registry.prefix.startswith("*"):
        message = f"every host that prefix {registry.prefix} matches is asked for with ns={namespace}"
        hint = f'"{SOURCE_HOST}" sends the host itself; leave it where the proxy has one name for all of them'
        yield about(registry, NAMESPACE_DIFFERS, message, hint, hop.endpoint)
        return
    source = route.prefix.registry
    if namespace == source or canonical_registry(namespace) == source:
        return
    message = f"namespace-proxy {namespace} is not {source}, the host of prefix {registry.prefix}"
    hint = f"leave it where the proxy at {hop.endpoint.location} calls {source} so"
    if difflib.SequenceMatcher(None, namespace, source).ratio() >= 0.7:
        hint = f"did you mean {source}? Otherwise {hint}"
    yield about(registry, NAMESPACE_DIFFERS, message, hint, hop.endpoint)


def _is_source(index: RouteIndex, sources: dict[str, Route], route: Route, hop: Hop) -> Iterator[Problem]:
    """An endpoint whose host has an entry of its own that claims it, so that `host` answers before `location`."""
    other = sources.get(hop.registry)
    if other is None:
        found = index.find(hop.registry, hop.path, hop.reference)
        other = found.route if found is not None else None
    itself = other is not None and other.registry.primary.number == route.registry.primary.number
    if other is None or (itself and not route.registry.prefix.startswith("*")):
        return
    entry = other.registry
    message = (
        f"the endpoint {hop.endpoint.location} is at a source registry, too: prefix {entry.prefix}, at {entry.origin}. "
        f"What clients send to {hop.registry} is taken for that entry, never for prefix {route.registry.prefix}"
    )
    hint = f"what is sent there for prefix {route.registry.prefix} goes past that entry's mirrors"
    yield about(route.registry, ENDPOINT_IS_SOURCE, message, hint, hop.endpoint)


def _disputed(index: RouteIndex) -> Iterator[Problem]:
    """Endpoints at one address share connections, so that one that is verified verifies for all."""
    disputed = set(index.disputed_addresses())
    if not disputed:
        return
    insecure: dict[str, tuple[Registry, Hop]] = {}
    verified: dict[str, tuple[Registry, Hop]] = {}
    for route in index.routes():
        for hop in _hops(route):
            address = address_key(hop.host, hop.port)
            if address in disputed and hop.scheme == "https":
                (insecure if hop.endpoint.insecure else verified).setdefault(address, (route.registry, hop))
    for address, (registry, hop) in insecure.items():
        theirs, their_hop = verified[address]
        place = theirs.origin_of(their_hop.endpoint)
        message = (
            f"{hop.host.lower()}:{hop.port} is insecure here and not at {place}: its certificate is verified for all"
        )
        yield about(registry, INSECURE_DISPUTED, message, "make it the same for all of them", hop.endpoint)


def _ambiguous(index: RouteIndex) -> Iterator[Problem]:
    ambiguous = index.ambiguous_locations()
    if not ambiguous:
        return
    for location, namespaces in ambiguous:
        names = ["any registry" if name == SOURCE_HOST else name for name in namespaces]
        more = f" and {len(names) - _LISTED_MAX} more" if len(names) > _LISTED_MAX else ""
        first, second = itertools.islice(namespaces.values(), 2)
        owner, other = index.owner_of(first), index.owner_of(second)
        message = (
            f"location {location} is ambiguous: it stands for {', '.join(names[:_LISTED_MAX])}{more} "
            f"(the second at {other.origin_of(second)})"
        )
        hint = (
            "a request that addresses it is told apart only by its ns, by a path that begins with the registry, or by "
            "ns_default"
        )
        yield about(owner, AMBIGUOUS_LOCATION, message, hint, first)
