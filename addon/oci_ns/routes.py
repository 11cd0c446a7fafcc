"""The table of all registries, and the decision: from one request to where it goes and with which `ns`.

Pure: no mitmproxy, no I/O. A decision costs a few look-ups per path component, whatever the size of the table.
Sources: OCI distribution-spec, "Registry Proxying"; containers-registries.conf(5); container-libs' `namespace-proxy`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote

from oci_ns.decision import Action, ClientNamespace, Decision, Policy, Source, Subject, Unresolved
from oci_ns.distribution import (
    Moved,
    Operation,
    join,
    namespaces_in,
    parse,
    with_first_namespace_only,
    with_namespace,
    without_namespace,
)
from oci_ns.hops import Hop, Route, hop_of
from oci_ns.index import Found, RouteIndex
from oci_ns.locations import Location
from oci_ns.mount import with_mount_renamed
from oci_ns.pull_sources import admitted_mirrors
from oci_ns.reference import DEFAULT_PORTS, canonical_registry, looks_like_host, registry_name, split_host
from oci_ns.registries_conf import Endpoint
from oci_ns.request import Request
from oci_ns.spec_error import SpecError

_PULL_METHODS = frozenset({"GET", "HEAD"})
_NOT_PULLED = frozenset({Operation.UPLOAD, Operation.OTHER})


class RouteTable:
    """The registries of a configuration and the policy they are applied with. Immutable once built."""

    def __init__(self, index: RouteIndex | None = None, policy: Policy | None = None) -> None:
        self.index = index or RouteIndex()
        self.policy = policy or Policy()

    def addressed_host(self, scheme: str, named: str | None, host: str, port: int) -> tuple[str, int]:
        """Which host a request addresses: the one it names, if the table knows that, else where it is connected to.

        `named` is the Host header or :authority as sent, None where there is none; `host` and `port` are the
        connection's own destination.
        """
        if named:
            try:
                name, named_port = split_host(named)
            except ValueError:
                return host, port
            if self.index.knows(registry_name(scheme, name, named_port)):
                return name, named_port or DEFAULT_PORTS[scheme]
        return host, port

    def moved_repository(self, scheme: str, host: str, port: int, repository: str) -> str:
        """What the addressed host calls a repository that a client calls `repository`, where it keeps its requests."""
        decision = self.decide("PUT", scheme, host, port, f"/v2/{repository}/manifests/latest")
        if decision.moved is None or decision.rerouted:
            return repository
        target = parse(decision.target)
        return target.scope if target is not None else repository

    def decide(self, method: str, scheme: str, host: str, port: int, target: str) -> Decision:
        """Decide about a request for `target` (path and query as sent) to the addressed host.

        `host` is a DNS name or an IP address, IPv6 with or without brackets. Never raises.
        """
        parsed = parse(target)
        if parsed is None:
            return Decision(Action.PASS, None, None, scheme, host, port, target, operation=None)
        request = Request(
            scheme=scheme,
            host=host,
            port=port,
            text=target,
            target=parsed,
            addressed=registry_name(scheme, host, port),
            pull=method in _PULL_METHODS and parsed.operation not in _NOT_PULLED,
        )
        client_namespace = ""
        if self.policy.client_namespace is not ClientNamespace.OVERRIDE:
            client_namespace = next(filter(None, namespaces_in(parsed.query)), "")
        if client_namespace:
            return self._by_query(request, client_namespace)
        return (
            self._by_host(request)
            or self._by_location_or_path(request)
            or self._by_default(request)
            or self._unresolved(request)
        )

    def _by_query(self, request: Request, namespace: str) -> Decision:
        """The client says which registry it means: obeyed at that registry and at its endpoints."""
        source_host = canonical_registry(namespace)
        target = request.target
        in_place = None
        for place in self.index.covering(request.addressed, target.scope, target.suffix):
            hop = place.hop_for(source_host)
            if hop is not None:
                in_place = self._in_place(request, place, hop, source_host)
                if place.depth > 0:
                    return in_place
                break
        found = self.index.find(source_host, target.scope, target.suffix)
        if found is not None:
            if request.addressed == source_host:
                if not request.pull:
                    return request.keep(Source.QUERY, namespace, self._one_namespace(request), found.route)
                return self._pull(request, Source.QUERY, found)
            if any(hop.registry == request.addressed for hop in found.route.proxies):
                return self._at_endpoint(request, Source.QUERY, found)
        if in_place is not None:
            return in_place
        if self.policy.client_namespace is ClientNamespace.REJECT:
            message = f"ns={namespace} is not configured for {request.addressed} (ns_client_namespace=reject)"
            return request.block(Source.QUERY, SpecError(403, "DENIED", message), namespace)
        return request.keep(Source.QUERY, namespace, self._one_namespace(request))

    @staticmethod
    def _one_namespace(request: Request) -> str:
        return join(request.target.path, with_first_namespace_only(request.target.query))

    def _in_place(self, request: Request, place: Location, hop: Hop, source_host: str) -> Decision:
        """The repository already lies under the location of the source registry's endpoint: the path stays."""
        if request.pull and hop.namespace not in place.open_namespaces:
            return self._blocked(request, Source.QUERY, source_host)
        namespace, _ = hop.namespace_for(source_host)
        target = hop.with_namespace(request.target.path, request.target.query, source_host)
        return self._as_pull(request, request.keep(Source.QUERY, namespace, target), hop.endpoint, source_host)

    @staticmethod
    def _as_pull(request: Request, kept: Decision, endpoint: Endpoint, source_host: str) -> Decision:
        """A request that stays at the endpoint it addressed; a pull is one from there, with no alternatives."""
        if not request.pull:
            return kept
        subject = Subject(canonical_registry(source_host), request.target.scope, request.target.suffix)
        return replace(kept, endpoint=endpoint, subject=subject)

    def _by_host(self, request: Request) -> Decision | None:
        """The addressed host is a source registry: pulls go to its endpoints, the rest stays with it."""
        found = self.index.find(request.addressed, request.target.scope, request.target.suffix)
        if found is None:
            return None
        if not request.pull:
            return request.keep(Source.HOST, None, self._own_query(request), found.route)
        return self._pull(request, Source.HOST, found)

    def _own_query(self, request: Request) -> str:
        """The target as it goes where no `ns` is due: without the client's where the table overrides it."""
        if self.policy.client_namespace is not ClientNamespace.OVERRIDE:
            return request.text
        return join(request.target.path, without_namespace(request.target.query))

    def _by_location_or_path(self, request: Request) -> Decision | None:
        """The addressed host is an endpoint: its location tells, or the registry that the repository begins with."""
        target = request.target
        if not self.index.is_endpoint(request.addressed):
            return None
        place = next(iter(self.index.covering(request.addressed, target.scope, target.suffix)), None)
        if place is None or place.depth == 0:
            by_path = self._by_path(request)
            if by_path is not None:
                return by_path
        # A longer location without a namespace, or with several, is no reason to believe a shorter one.
        namespace = place.namespace if place is not None else None
        if place is None or namespace is None:
            return None
        if request.pull and namespace not in place.open_namespaces:
            return self._blocked(request, Source.LOCATION, namespace)
        kept = request.keep(Source.LOCATION, namespace, join(target.path, with_namespace(target.query, namespace)))
        return self._as_pull(request, kept, place.namespaces[namespace], namespace)

    def _by_path(self, request: Request) -> Decision | None:
        first, slash, rest = request.target.scope.partition("/")
        if not slash or not rest or not looks_like_host(first):
            return None
        source_host = canonical_registry(first)
        found = self.index.find(source_host, rest, request.target.suffix)
        if found is None or request.target.operation in (Operation.PING, Operation.CATALOG):
            return None
        strip = len(first) + (found.strip + 1 if found.strip else 0)
        return self._at_endpoint(request, Source.PATH, Found(found.route, source_host, strip))

    def _by_default(self, request: Request) -> Decision | None:
        """`ns_default` speaks for every endpoint, by the endpoint's own form where it serves that registry."""
        default = self.policy.default
        if not default or not self.index.is_endpoint(request.addressed):
            return None
        target = request.target
        found = self.index.find(canonical_registry(default), target.scope, target.suffix)
        if found is not None and any(hop.registry == request.addressed for hop in found.route.proxies):
            return self._at_endpoint(request, Source.DEFAULT, found)
        return request.keep(Source.DEFAULT, default, join(target.path, with_namespace(target.query, default)))

    def _unresolved(self, request: Request) -> Decision:
        if self.policy.unresolved is Unresolved.REJECT:
            message = f"no rule tells which registry {request.addressed}{request.target.path} belongs to"
            detail = "ns_unresolved=reject; ns-inject explain shows how a request is decided"
            error = SpecError(404, "NAME_UNKNOWN", message, detail)
            return request.block(None, error)
        if self.index.knows(request.addressed):
            return request.keep(None, None, self._own_query(request))
        return request.keep(None, None)

    # -- which endpoint ------------------------------------------------------------------------------------------

    def _at_endpoint(self, request: Request, source: Source, found: Found) -> Decision:
        """A request that addresses an endpoint: pulls go through the registry's endpoints, the rest stays there."""
        if request.pull:
            return self._pull(request, source, found)
        for hop in found.route.proxies:
            if hop.registry == request.addressed:
                decision = self._send(request, source, found, hop)
                if decision is not None:
                    return decision
        return request.keep(source, None, self._own_query(request), found.route)

    def _pull(self, request: Request, source: Source, found: Found) -> Decision:
        """The first of the registry's endpoints that admits the reference, and the further ones as alternatives."""
        registry = found.route.registry
        if registry.blocked:
            return self._blocked(request, source, found.source_host, found.route)
        decisions = [
            decision
            for hop in self._admitted(request, found.route)
            if (decision := self._send(request, source, found, hop)) is not None
        ]
        # Who addressed a registry proxy is sent to the source registry itself only where no proxy serves the pull.
        if not decisions or request.addressed == found.source_host or not found.route.primary_is_source:
            primary = self._to_primary(request, source, found)
            if primary is not None:
                decisions.append(primary)
        if not decisions:
            message = f"no location of prefix {registry.prefix} can serve {found.source_host}/{request.target.scope}"
            return request.block(
                source, SpecError(404, "NAME_UNKNOWN", message, str(registry.origin)), route=found.route
            )
        subject = Subject(found.source_host, request.target.scope, request.target.suffix)
        first, *others = decisions
        return replace(first, subject=subject, alternatives=tuple(others))

    @staticmethod
    def _admitted(request: Request, route: Route) -> Iterator[Hop]:
        """The mirrors that serve this pull, in order."""
        target = request.target
        hops = {id(hop.endpoint): hop for hop in route.mirrors}
        for endpoint in admitted_mirrors(
            route.registry,
            digested=target.is_digested,
            either=target.operation in (Operation.BLOB, Operation.PING, Operation.CATALOG),
        ):
            hop = hops.get(id(endpoint))
            if hop is not None:
                yield hop

    def _to_primary(self, request: Request, source: Source, found: Found) -> Decision | None:
        """The request at the registry's own location; None where location and repository leave no repository there."""
        route = found.route
        primary = route.registry.primary
        itself = route.primary_is_source and request.addressed == found.source_host and primary.namespace is None
        if itself and not (primary.plain_http and request.scheme != "http"):
            return replace(request.keep(source, None, self._own_query(request), route), endpoint=primary)
        hop = route.primary
        if not primary.location:
            hop = hop_of(replace(primary, location=found.source_host), found.source_host)
        return self._send(request, source, found, hop) if hop is not None else None

    def _send(self, request: Request, source: Source, found: Found, hop: Hop) -> Decision | None:
        """Send the request to the endpoint; None where location and repository leave no repository there."""
        target, moved = request.target, None
        if target.raw_repository:
            moved = Moved(target.beginning(found.strip), hop.path)
            if moved.client == moved.endpoint:
                moved = None
            elif target.operation is Operation.UPLOAD:
                namespace, _ = hop.namespace_for(found.source_host)
                renamed = functools.partial(self._mounted, request, namespace)
                target = replace(target, query=with_mount_renamed(target.query, renamed))
        text = hop.target(target, found.strip, found.source_host)
        if not text:
            return None
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
        )

    def _mounted(self, request: Request, namespace: str | None, repository: str) -> str | None:
        """What the endpoint that an upload goes to calls another repository of the client's; None where it lacks it."""
        target = f"/v2/{quote(repository, safe='/', errors='surrogateescape')}/blobs/uploads/"
        decision = self.decide("POST", request.scheme, request.host, request.port, target)
        if decision.error is not None or decision.rerouted or decision.namespace != namespace:
            return None
        there = parse(decision.target)
        return there.scope if there is not None and there.operation is Operation.UPLOAD else None

    @staticmethod
    def _blocked(request: Request, source: Source, source_host: str, route: Route | None = None) -> Decision:
        rule = f"prefix {route.registry.prefix}" if route is not None else f"{request.addressed} for {source_host}"
        origin = str(route.registry.origin) if route is not None else None
        error = SpecError(403, "DENIED", f"pulling is blocked by registries.conf: {rule}", origin)
        return request.block(source, error, route=route)
