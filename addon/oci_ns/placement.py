"""Which endpoint a request goes to whose source registry is known, and what it asks for there.

Knows the endpoints of a registry and their order; how the registry is found is in `routes`.
Sources: containers-registries.conf(5); container-libs' `namespace-proxy`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from oci_ns.alternatives import Alternatives
from oci_ns.decision import Action, Decision, Source, Subject
from oci_ns.distribution import Moved, Operation
from oci_ns.hops import Hop, Route, hop_of
from oci_ns.index import Found
from oci_ns.pull_sources import admitted_mirrors
from oci_ns.registries_conf import SOURCE_HOST, Endpoint, Registry
from oci_ns.request import Request
from oci_ns.spec_error import SpecError

# A tuple: to find an enum's member in a set costs several times as much.
_BY_EITHER = (Operation.BLOB, Operation.PING, Operation.CATALOG)
_SOURCES_KNOWN_MAX = 1024


def pull(request: Request, source: Source, found: Found) -> Decision:
    """The first of the registry's endpoints that admits the reference, and the further ones as alternatives."""
    route = found.route
    if route.registry.blocked:
        return blocked(request, source, request.subject(found.source_host, found.named), route)
    places = _places(request, found)
    if not places:
        subject = request.subject(found.source_host, found.named)
        message = f"no location of prefix {route.registry.prefix} can serve {subject}"
        error = SpecError(404, "NAME_UNKNOWN", message, str(route.registry.origin))
        return request.block(source, error, route=route, subject=subject)
    others = Alternatives(lambda place: _at(request, source, found, place), places[1:]) if len(places) > 1 else ()
    return _at(request, source, found, places[0], others, pulled=True)


_Place = Hop | None
"""None is the registry that the client addressed, on its own connection."""


def _places(request: Request, found: Found) -> Sequence[_Place]:
    """Where the registry is served, in order; not where location and repository leave no repository."""
    route = found.route
    places: Sequence[_Place] = _admitted(request, route)
    anywhere = request.has_repository_behind(found.strip)
    if not anywhere:
        places = [place for place in places if place is not None and place.path]
    # Who addressed a registry proxy is sent to the source registry itself only where no proxy serves the pull.
    if places and request.addressed != found.source_host and route.primary_is_source:
        return places
    primary = route.registry.primary
    itself = route.primary_is_source and request.addressed == found.source_host and primary.namespace is None
    if itself and not (primary.plain_http and request.scheme != "http"):
        return (*places, None)
    if not primary.location and request.addressed != found.source_host:
        # No configuration names this host, only the client does, which did not address it: it may be any.
        return places
    hop = route.primary if primary.location else _source_hop(primary, found.source_host)
    return (*places, hop) if hop is not None and (anywhere or hop.path) else places


@functools.lru_cache(maxsize=_SOURCES_KNOWN_MAX)
def _source_hop(primary: Endpoint, source_host: str) -> Hop | None:
    """The source registry itself, as the primary of a wildcard prefix has it."""
    return hop_of(replace(primary, location=source_host), source_host)


def _admitted(request: Request, route: Route) -> tuple[Hop, ...]:
    """The mirrors that serve this pull, in order, and have an address."""
    target = request.target
    if target.operation in _BY_EITHER:
        return route.mirrors
    return route.by_digest if target.is_digested else route.by_tag


def _at(
    request: Request,
    source: Source,
    found: Found,
    place: _Place,
    alternatives: Sequence[Decision] = (),
    *,
    pulled: bool = False,
) -> Decision:
    if place is not None:
        text = place.target(request.target, found.strip, found.source_host)
        return _sent(request, source, found, place, text, alternatives, pulled)
    subject = request.subject(found.source_host, found.named)
    kept = request.keep(source, None, request.text_without_namespace, found.route, subject)
    primary = found.route.registry.primary
    # It is the last place of all, so that there are no alternatives.
    return replace(kept, endpoint=primary, pull=pulled)


def mirrors_for(request: Request, registry: Registry) -> Iterator[Endpoint]:
    """The registry's mirrors that admit this pull, in order."""
    target = request.target
    return admitted_mirrors(registry, digested=target.is_digested, either=target.operation in _BY_EITHER)


def send(request: Request, source: Source, found: Found, hop: Hop) -> Decision | None:
    """Send the request to the endpoint; None where location and repository leave no repository there."""
    text = hop.target(request.target, found.strip, found.source_host)
    return _sent(request, source, found, hop, text) if text else None


def _sent(
    request: Request,
    source: Source,
    found: Found,
    hop: Hop,
    text: str,
    alternatives: Sequence[Decision] = (),
    pulled: bool = False,
) -> Decision:
    """The request as `text` at the endpoint."""
    target, strip, path, source_host = request.target, found.strip, hop.path, found.source_host
    moved = None
    if (strip or path) and target.raw_repository:
        beginning = target.beginning(strip)
        moved = Moved(beginning, path) if beginning != path else None
    scheme, host, port, rerouted = hop.scheme, hop.host, hop.port, hop.registry != request.addressed
    if not rerouted and not (hop.endpoint.plain_http and request.scheme != "http"):
        # The client's own connection to this endpoint: only a declared plain-http changes how it is made.
        scheme, host, port = request.scheme, request.host, request.port
    unchanged = not rerouted and text == request.text and scheme == request.scheme
    return Decision(
        Action.PASS if unchanged else Action.REWRITE,
        source_host if hop.namespace == SOURCE_HOST else hop.namespace,
        source,
        scheme,
        host,
        port,
        text,
        rerouted,
        hop.endpoint,
        found.route.registry,
        None,
        target.operation,
        Subject(source_host, target.scope[found.named :], target.suffix),
        pulled,
        alternatives,
        moved,
    )


def as_pull(request: Request, kept: Decision, endpoint: Endpoint) -> Decision:
    """A request that stays at the endpoint it addressed; a pull is one from there, with no alternatives."""
    return replace(kept, endpoint=endpoint, pull=True) if request.pull else kept


def blocked(request: Request, source: Source, subject: Subject, route: Route | None = None) -> Decision:
    """The refusal of a pull, naming the rule: the prefix of `route`, else the address that stands for the registry."""
    rule = f"prefix {route.registry.prefix}" if route is not None else f"{request.addressed} for {subject.registry}"
    origin = str(route.registry.origin) if route is not None else None
    error = SpecError(403, "DENIED", f"pulling is blocked by registries.conf: {rule}", origin)
    return request.block(source, error, route=route, subject=subject)
