"""The table of all registries, and the decision: from one request to where it goes and with which `ns`.

Knows how a request's source registry is found; which of its endpoints then serves it is in `placement`. Pure: no
mitmproxy, no I/O. A decision costs a few look-ups per path component, whatever the size of the table.
Sources: OCI distribution-spec, "Registry Proxying"; containers-registries.conf(5); container-libs' `namespace-proxy`.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from urllib.parse import quote

from oci_ns.decision import Action, ClientNamespace, Decision, Policy, Source, Subject, Unresolved
from oci_ns.distribution import (
    Operation,
    join,
    parse,
    with_namespace,
)
from oci_ns.hops import Hop
from oci_ns.index import Found, RouteIndex
from oci_ns.locations import Location
from oci_ns.mount import with_mount_renamed
from oci_ns.placement import as_pull, blocked, pull, send
from oci_ns.reference import DEFAULT_PORTS, canonical_registry, looks_like_host, registry_name, split_host
from oci_ns.request import Request
from oci_ns.spec_error import SpecError

_PULL_METHODS = frozenset({"GET", "HEAD"})
# A tuple: to find an enum's member in a set costs several times as much.
_NOT_PULLED = (Operation.UPLOAD, Operation.OTHER)


class RouteTable:
    """The registries of a configuration and the policy they are applied with. Immutable once built."""

    def __init__(self, index: RouteIndex | None = None, policy: Policy | None = None) -> None:
        self.index = index or RouteIndex()
        self.policy = policy or Policy()
        self._overrides = self.policy.client_namespace is ClientNamespace.OVERRIDE

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
        there = parse(decision.target) if decision.moved is not None else None
        return there.scope if there is not None and there.operation is Operation.MANIFEST else repository

    def decide(self, method: str, scheme: str, host: str, port: int, target: str) -> Decision:
        """Decide about a request for `target` (path and query as sent) to the addressed host.

        `host` is a DNS name or an IP address, IPv6 with or without brackets. Never raises.
        """
        request = self.request(method, scheme, host, port, target)
        if request is None:
            return Decision(Action.PASS, None, None, scheme, host, port, target, operation=None)
        client_namespace = request.client_namespace
        if client_namespace:
            return self._by_query(request, client_namespace)
        return (
            self._by_host(request)
            or self._by_location_or_path(request)
            or self._by_default(request)
            or self._unresolved(request)
        )

    def request(self, method: str, scheme: str, host: str, port: int, target: str) -> Request | None:
        """The request as the rules see it; None where it is not below `/v2`."""
        parsed = parse(target)
        if parsed is None:
            return None
        pulled = method in _PULL_METHODS and parsed.operation not in _NOT_PULLED
        return Request(scheme, host, port, target, parsed, registry_name(scheme, host, port), pulled, self._overrides)

    def _by_query(self, request: Request, namespace: str) -> Decision:
        """The client says which registry it means: obeyed at that registry and at its endpoints."""
        source_host = canonical_registry(namespace)
        target = request.target
        here = self._location_of(request, source_host)
        if here is not None and here[0].path:
            return self._in_place(request, Source.QUERY, *here, source_host)
        found = self.index.find(source_host, target.scope, target.suffix)
        if found is not None:
            if request.addressed == source_host:
                if not request.pull:
                    subject = request.subject(source_host)
                    return request.keep(Source.QUERY, namespace, request.own_target, found.route, subject)
                return pull(request, Source.QUERY, found)
            if found.route.is_served_at(request.addressed):
                return self._at_endpoint(request, Source.QUERY, found)
        if here is not None:
            return self._in_place(request, Source.QUERY, *here, source_host)
        if self.policy.client_namespace is ClientNamespace.REJECT:
            message = f"ns={namespace} is not configured for {request.addressed} (ns_client_namespace=reject)"
            error = SpecError(403, "DENIED", message)
            return request.block(Source.QUERY, error, namespace, subject=request.subject(source_host))
        return request.keep(Source.QUERY, namespace, request.own_target, subject=request.subject(source_host))

    def _location_of(self, request: Request, source_host: str) -> tuple[Location, Hop] | None:
        """The longest location around the repository where the source registry is served, and its endpoint there."""
        target = request.target
        return self.index.served_under(source_host, request.addressed, target.scope, target.suffix)

    def _in_place(self, request: Request, source: Source, place: Location, hop: Hop, source_host: str) -> Decision:
        """The repository already lies under the location of the source registry's endpoint: the path stays."""
        subject = _subject_under(request, place, hop.namespace, source_host)
        if request.pull and hop.namespace not in place.open_namespaces:
            return blocked(request, source, subject)
        namespace, _ = hop.namespace_for(source_host)
        target = hop.with_namespace(request.target.path, request.target.query, source_host)
        return as_pull(request, request.keep(source, namespace, target, subject=subject), hop.endpoint)

    def _by_host(self, request: Request) -> Decision | None:
        """The addressed host is a source registry: pulls go to its endpoints, the rest stays with it."""
        found = self.index.find(request.addressed, request.target.scope, request.target.suffix)
        if found is None:
            return None
        if not request.pull:
            subject = request.subject(found.source_host)
            return request.keep(Source.HOST, None, request.own_target, found.route, subject)
        return pull(request, Source.HOST, found)

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
        subject = _subject_under(request, place, namespace, canonical_registry(namespace))
        if request.pull and namespace not in place.open_namespaces:
            return blocked(request, Source.LOCATION, subject)
        there = join(target.path, with_namespace(target.query, namespace))
        kept = request.keep(Source.LOCATION, namespace, there, subject=subject)
        return as_pull(request, kept, place.namespaces[namespace])

    def _by_path(self, request: Request) -> Decision | None:
        first, _, rest = request.target.scope.partition("/")
        if not rest or not looks_like_host(first):
            return None
        source_host = canonical_registry(first)
        found = self.index.find(source_host, rest, request.target.suffix)
        if found is None or request.target.operation in (Operation.PING, Operation.CATALOG):
            return None
        strip = len(first) + (found.strip + 1 if found.strip else 0)
        return self._at_endpoint(request, Source.PATH, Found(found.route, source_host, strip, len(first) + 1))

    def _by_default(self, request: Request) -> Decision | None:
        """`ns_default` speaks for every endpoint, by the endpoint's own form where it serves that registry."""
        default = self.policy.default
        if not default or not self.index.is_endpoint(request.addressed):
            return None
        target, source_host = request.target, canonical_registry(default)
        here = self._location_of(request, source_host)
        if here is not None and here[0].path:
            return self._in_place(request, Source.DEFAULT, *here, source_host)
        found = self.index.find(source_host, target.scope, target.suffix)
        if found is not None and found.route.is_served_at(request.addressed):
            return self._at_endpoint(request, Source.DEFAULT, found)
        there = join(target.path, with_namespace(target.query, default))
        subject = request.subject(source_host)
        return request.keep(Source.DEFAULT, default, there, subject=subject)

    def _unresolved(self, request: Request) -> Decision:
        if self.policy.unresolved is Unresolved.REJECT:
            message = f"no rule tells which registry {request.addressed}{request.target.path} belongs to"
            detail = "ns_unresolved=reject; ns-inject explain shows how a request is decided"
            error = SpecError(404, "NAME_UNKNOWN", message, detail)
            return request.block(None, error)
        if self.index.knows(request.addressed):
            return request.keep(None, None, request.own_target)
        return request.keep(None, None)

    # -- which endpoint ------------------------------------------------------------------------------------------

    def _at_endpoint(self, request: Request, source: Source, found: Found) -> Decision:
        """A request that addresses an endpoint: pulls go through the registry's endpoints, the rest stays there."""
        if request.pull:
            return pull(request, source, found)
        for hop in found.route.proxies:
            if hop.registry == request.addressed:
                decision = send(request, source, found, hop)
                if decision is not None:
                    return self._with_mount(request, decision)
        subject = request.subject(found.source_host, found.named)
        return request.keep(source, request.client_namespace or None, request.own_target, found.route, subject)

    def _with_mount(self, request: Request, decision: Decision) -> Decision:
        """An upload with the repository to mount from as the endpoint calls it."""
        if decision.moved is None or decision.operation is not Operation.UPLOAD:
            return decision
        path, question, query = decision.target.partition("?")
        renamed = functools.partial(self._mounted, request, decision.namespace)
        return replace(decision, target=join(path, with_mount_renamed(query if question else None, renamed)))

    def _mounted(self, request: Request, namespace: str | None, repository: str) -> str | None:
        """What the endpoint that an upload goes to calls another repository of the client's; None where it lacks it."""
        target = f"/v2/{quote(repository, errors='surrogateescape')}/blobs/uploads/"
        decision = self.decide("POST", request.scheme, request.host, request.port, target)
        if decision.error is not None or decision.namespace != namespace:
            return None
        there = parse(decision.target)
        return there.scope if there is not None and there.operation is Operation.UPLOAD else None


def _subject_under(request: Request, place: Location, namespace: str | None, source_host: str) -> Subject:
    """What a request under an endpoint's location is about."""
    target = request.target
    return Subject(source_host, place.repository(target.scope, namespace), target.suffix)
