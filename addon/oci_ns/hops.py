"""A registry's endpoints as addresses a request can be sent to, and the path its repositories have there.

Turns `location` strings (host[:port][/path][:tag]) into scheme, host, port and path, once, when a table is built.
"""

from __future__ import annotations

from dataclasses import dataclass

from oci_ns.distribution import Operation, Target, escape_namespace, join, with_namespace, without_namespace
from oci_ns.pull_sources import admitted_mirrors
from oci_ns.reference import DOCKER_HUB, DOCKER_HUB_API, canonical_registry, split_host
from oci_ns.registries_conf import SOURCE_HOST, Endpoint, Registry


@dataclass(frozen=True, slots=True)
class Prefix:
    """A prefix or location taken apart: its registry's name in normal form, path, and reference ('' where none)."""

    registry: str
    path: str
    reference: str

    @property
    def name(self) -> str:
        """The whole in normal form, as an image name begins."""
        path = f"/{self.path}" if self.path else ""
        return f"{self.registry}{path}{self.reference}"


def take_apart(text: str) -> Prefix:
    """Split `host[:port][/path][:tag|@digest]`; what is behind the host keeps its spelling."""
    host, slash, rest = text.partition("/")
    if not slash:
        return Prefix(canonical_registry(host), "", "")
    end = min((at for at in (rest.find(":"), rest.find("@")) if at != -1), default=len(rest))
    return Prefix(canonical_registry(host), rest[:end], rest[end:])


@dataclass(frozen=True, slots=True)
class Hop:
    """An endpoint with its address. `registry` is its name in normal form; `namespace` may still be `*`."""

    endpoint: Endpoint
    scheme: str
    host: str
    port: int
    registry: str
    path: str
    reference: str
    namespace: str | None
    escaped_namespace: str | None

    @property
    def location(self) -> str:
        """The endpoint's location in normal form."""
        return Prefix(self.registry, self.path, self.reference).name

    def namespace_for(self, source_host: str) -> tuple[str | None, str | None]:
        """The `ns` to send for an image of `source_host`, and the same escaped; None for none."""
        if self.namespace == SOURCE_HOST:
            return source_host, escape_namespace(source_host)
        return self.namespace, self.escaped_namespace

    def target(self, target: Target, strip: int, source_host: str) -> str:
        """The request target at this endpoint; `strip` characters of the repository are the prefix's, not the rest.

        '' where location and repository leave no repository. A location's path has no place in a ping or catalog.
        """
        unmoved = not (strip or self.path or self.reference) and target.scope
        if unmoved or target.operation is Operation.PING or target.operation is Operation.CATALOG:
            path = target.path
        else:
            path = target.moved(strip, self.path, self.reference[1:])
        return self.with_namespace(path, target.query, source_host) if path else ""

    def with_namespace(self, path: str, query: str | None, source_host: str) -> str:
        """`path` and `query` with this endpoint's `ns`, or with none if it has none."""
        namespace, escaped = self.namespace_for(source_host)
        if namespace is None:
            return join(path, without_namespace(query))
        return join(path, with_namespace(query, namespace, escaped))


def hop_of(endpoint: Endpoint, source_host: str) -> Hop | None:
    """The endpoint's address; None where its location is not one. `source_host` stands for `*` where it is known."""
    scheme = "http" if endpoint.plain_http else "https"
    host_text, _, _ = endpoint.location.partition("/")
    try:
        host, port = split_host(host_text)
    except ValueError:
        return None
    place = take_apart(endpoint.location)
    namespace = endpoint.namespace
    if namespace == SOURCE_HOST and source_host:
        namespace = source_host
    if place.registry == DOCKER_HUB:
        host = DOCKER_HUB_API
    return Hop(
        endpoint=endpoint,
        scheme=scheme,
        host=host,
        port=port or (80 if endpoint.plain_http else 443),
        registry=place.registry,
        path=place.path,
        reference=place.reference,
        namespace=namespace,
        escaped_namespace=None if namespace is None else escape_namespace(namespace),
    )


@dataclass(frozen=True, slots=True)
class Route:
    """A `[[registry]]` ready for requests: its prefix taken apart and the addresses of its endpoints.

    `primary` is None where the registry has no location (wildcards: the source registry itself, whichever it is).
    `primary_is_source` tells that the primary is the source registry as the client knows it, not another place.
    `broken` holds the locations that are no addresses. Of the mirrors, `by_tag` and `by_digest` serve such pulls, and
    `by_either` those that any of them serve. `claims` is whether the entry says anything but that a host is itself.
    """

    registry: Registry
    prefix: Prefix
    mirrors: tuple[Hop, ...]
    primary: Hop | None
    primary_is_source: bool
    broken: tuple[str, ...]
    by_tag: tuple[Hop, ...]
    by_digest: tuple[Hop, ...]
    by_either: tuple[Hop, ...]
    claims: bool

    @property
    def proxies(self) -> tuple[Hop, ...]:
        """The endpoints that are places of their own: mirrors in order, then a primary that is not the source."""
        primary = self.primary
        if primary is None or self.primary_is_source:
            return self.mirrors
        if primary.registry == self.prefix.registry and primary.namespace is None:
            return self.mirrors
        return (*self.mirrors, primary)

    def is_served_at(self, registry: str) -> bool:
        """Whether one of the proxies is at `registry`, a name in normal form."""
        for hop in self.proxies:  # noqa: SIM110
            # A generator costs more than all that it would look at.
            if hop.registry == registry:
                return True
        return False


def route_of(registry: Registry) -> Route:
    """Prepare a registry for requests. Never raises."""
    wildcard = registry.prefix.startswith("*")
    prefix = Prefix(registry.prefix.lower(), "", "") if wildcard else take_apart(registry.prefix)
    source_host = "" if wildcard else prefix.registry
    location = registry.primary.location
    mirrors = [hop_of(mirror, source_host) for mirror in registry.mirrors]
    primary = hop_of(registry.primary, source_host) if location else None
    broken = [mirror.location for mirror, hop in zip(registry.mirrors, mirrors, strict=True) if hop is None]
    if location and primary is None:
        broken.append(location)
    reachable = tuple(hop for hop in mirrors if hop is not None)
    primary_is_source = not location or take_apart(location) == prefix
    is_itself = primary_is_source and registry.primary.namespace is None
    return Route(
        registry=registry,
        prefix=prefix,
        mirrors=reachable,
        primary=primary,
        primary_is_source=primary_is_source,
        broken=tuple(broken),
        by_tag=_admitted(registry, reachable, digested=False),
        by_digest=_admitted(registry, reachable, digested=True),
        by_either=_admitted(registry, reachable, digested=False, either=True),
        claims=bool(reachable or broken or registry.blocked or not is_itself),
    )


def _admitted(registry: Registry, hops: tuple[Hop, ...], *, digested: bool, either: bool = False) -> tuple[Hop, ...]:
    admitted = {id(mirror) for mirror in admitted_mirrors(registry, digested=digested, either=either)}
    found = tuple(hop for hop in hops if id(hop.endpoint) in admitted)
    # One tuple for all that are the same: tables can be large.
    return hops if len(found) == len(hops) else found
