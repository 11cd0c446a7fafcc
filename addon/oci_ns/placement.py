"""Which endpoint a request goes to whose source registry is known, and what it asks for there.

Knows the endpoints of a registry and their order; how the registry is found is in `routes`.
Sources: containers-registries.conf(5); container-libs' `namespace-proxy`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from oci_ns.decision import Action, Decision, Source, Subject
from oci_ns.distribution import Moved, Operation
from oci_ns.hops import Hop, Route, hop_of
from oci_ns.index import Found
from oci_ns.pull_sources import admitted_mirrors
from oci_ns.registries_conf import Endpoint, Registry
from oci_ns.request import Request
from oci_ns.spec_error import SpecError


def pull(request: Request, source: Source, found: Found) -> Decision:
    """The first of the registry's endpoints that admits the reference, and the further ones as alternatives."""
    registry = found.route.registry
    if registry.blocked:
        return blocked(request, source, request.subject(found.source_host, found.named), found.route)
    decisions = [
        decision
        for hop in _admitted(request, found.route)
        if (decision := send(request, source, found, hop)) is not None
    ]
    # Who addressed a registry proxy is sent to the source registry itself only where no proxy serves the pull.
    if not decisions or request.addressed == found.source_host or not found.route.primary_is_source:
        primary = _to_primary(request, source, found)
        if primary is not None:
            decisions.append(primary)
    if not decisions:
        message = f"no location of prefix {registry.prefix} can serve {found.source_host}/{request.target.scope}"
        error = SpecError(404, "NAME_UNKNOWN", message, str(registry.origin))
        subject = request.subject(found.source_host, found.named)
        return request.block(source, error, route=found.route, subject=subject)
    first, *others = decisions
    return replace(first, pull=True, alternatives=tuple(others))


def _admitted(request: Request, route: Route) -> Iterator[Hop]:
    """The mirrors that serve this pull, in order, and have an address."""
    hops = {id(hop.endpoint): hop for hop in route.mirrors}
    for endpoint in mirrors_for(request, route.registry):
        hop = hops.get(id(endpoint))
        if hop is not None:
            yield hop


def mirrors_for(request: Request, registry: Registry) -> Iterator[Endpoint]:
    """The registry's mirrors that admit this pull, in order."""
    target = request.target
    either = target.operation in (Operation.BLOB, Operation.PING, Operation.CATALOG)
    return admitted_mirrors(registry, digested=target.is_digested, either=either)


def _to_primary(request: Request, source: Source, found: Found) -> Decision | None:
    """The request at the registry's own location; None where location and repository leave no repository there."""
    route = found.route
    primary = route.registry.primary
    itself = route.primary_is_source and request.addressed == found.source_host and primary.namespace is None
    if itself and not (primary.plain_http and request.scheme != "http"):
        subject = request.subject(found.source_host, found.named)
        return replace(request.keep(source, None, request.own_target, route, subject), endpoint=primary)
    hop = route.primary
    if not primary.location:
        hop = hop_of(replace(primary, location=found.source_host), found.source_host)
    return send(request, source, found, hop) if hop is not None else None


def send(request: Request, source: Source, found: Found, hop: Hop) -> Decision | None:
    """Send the request to the endpoint; None where location and repository leave no repository there."""
    target = request.target
    text = hop.target(target, found.strip, found.source_host)
    if not text:
        return None
    moved = Moved(target.beginning(found.strip), hop.path) if target.raw_repository else None
    if moved is not None and moved.client == moved.endpoint:
        moved = None
    namespace, _ = hop.namespace_for(found.source_host)
    if hop.registry == request.addressed:
        # The client's own connection to this endpoint: only a declared plain-http changes how it is made.
        scheme, host, port = request.scheme, request.host, request.port
        if hop.endpoint.plain_http and scheme != "http":
            scheme, host, port = hop.scheme, hop.host, hop.port
        rerouted = False
    else:
        scheme, host, port, rerouted = hop.scheme, hop.host, hop.port, True
    unchanged = text == request.text and not rerouted and scheme == request.scheme
    return Decision(
        action=Action.PASS if unchanged else Action.REWRITE,
        namespace=namespace,
        source=source,
        scheme=scheme,
        host=host,
        port=port,
        target=text,
        rerouted=rerouted,
        endpoint=hop.endpoint,
        registry=found.route.registry,
        operation=target.operation,
        moved=moved,
        subject=request.subject(found.source_host, found.named),
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
