"""Registries that are configured alike, but for their names: what is decided about one holds for all, by their names.

A large table has thousands of them. Two names are alike where swapping them changes nothing in the configuration, so
each is only in its own entry, and is to the patterns what the other is. Knows no engine, and decides nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from oci_ns.hops import Route, is_plain
from oci_ns.reference import canonical_registry, looks_like_host
from oci_ns.registries_conf import Endpoint
from oci_ns.tabulation import Address, Host, Refusal, Scopes, Step, Way, Ways

_LENGTH_MAX = 200
"""Longer names are looked at in other ways."""


@dataclass(frozen=True, slots=True)
class Twin:
    """The registry `name`, which is configured as `first` is. `entries` are this one's, by the first one's."""

    first: str
    name: str
    entries: dict[str, str]
    _made: dict[int, tuple[Way, Way]] = field(default_factory=dict, compare=False, repr=False)
    """What was made of a way, by its identity; with it, so that nothing else gets the same."""

    def host(self, host: Host) -> Host:
        """What the first one's host is, for this one, which is no endpoint."""
        by_namespace = {
            self.name if spoken == self.first else spoken: self.scopes(scopes)
            for spoken, scopes in host.by_namespace.items()
        }
        plain = self.scopes(host.plain)
        other = host.other_namespace if host.other_namespace is not host.plain else plain
        return Host(plain, by_namespace, other, host.reads_paths, host.patterns)

    def scopes(self, scopes: Scopes) -> Scopes:
        """What is decided for the first one, for this one."""
        exactly = {key: self.ways(ways) for key, ways in scopes.exactly.items()}
        below = {key: self.ways(ways) for key, ways in scopes.below.items()}
        return Scopes(self.ways(scopes.root), exactly, below)

    def ways(self, ways: Ways) -> Ways:
        """The same for each kind of request."""
        return {kind: self._way(way) for kind, way in ways.items()}

    def _way(self, way: Way) -> Way:
        known = self._made.get(id(way))
        if known is not None:
            return known[1]
        steps = tuple([self._step(step) for step in way.steps])
        refusal = self._refusal(way.refusal) if way.refusal is not None else None
        made = Way(steps, refusal, self.entries.get(way.entry, way.entry))
        self._made[id(way)] = way, made
        return made

    def _step(self, step: Step) -> Step:
        to, namespace = step.to, self.name if step.namespace == self.first else step.namespace
        entry = self.entries.get(step.entry, step.entry)
        if to is not None and to.host == self.first:
            to = Address(to.scheme, self.name, to.port)
        elif namespace == step.namespace and entry == step.entry:
            return step
        return Step(
            to,
            step.strip,
            step.put,
            step.reference,
            step.edit,
            namespace,
            step.keeps_credentials,
            step.insecure,
            entry,
        )

    def _refusal(self, refusal: Refusal) -> Refusal:
        whole = rf"(?<![\w.-]){re.escape(self.first)}(?![\w.-])"
        message = tuple(re.sub(whole, self.name, part) if isinstance(part, str) else part for part in refusal.message)
        return Refusal(refusal.status, refusal.code, message, self.entries.get(refusal.detail, refusal.detail))


def twins_of(routes: Sequence[Route], patterns: Iterable[str], apart: Iterable[str]) -> dict[str, Twin]:
    """The registries that are alike another one, by name. Those of `apart` are not: they are mentioned elsewhere."""
    mentioned = Counter(name for route in routes for name in _mentions(route))
    mentioned.update(apart)
    wildcards = [pattern for pattern in patterns if pattern.startswith("*.")]
    firsts: dict[tuple[object, ...], Route] = {}
    found = {}
    # In the order of their names, in which they are told, so that the first one is told first.
    for route in sorted(routes, key=lambda route: route.prefix.registry):
        name = route.prefix.registry
        # Its own entry is one mention.
        if mentioned[name] != 1 or not _is_simple(route):
            continue
        shape = _shape(route, wildcards)
        first = firsts.setdefault(shape, route)
        if first is not route:
            entries = dict(zip(_entries(first), _entries(route), strict=True))
            found[name] = Twin(first.prefix.registry, name, entries)
    return found


def _mentions(route: Route) -> Iterator[str]:
    """Every name that an entry has, but for those that say no more than that it is itself."""
    own = route.prefix.registry
    yield own
    yield from route.prefix.path.split("/")
    for hop in route.proxies:
        yield hop.registry
        if hop.host != hop.registry:
            # Another registry at another port, but the same host.
            yield hop.host
        yield from hop.path.split("/")
        if hop.namespace is not None and hop.namespace != own:
            yield canonical_registry(hop.namespace)
    primary = route.registry.primary
    if primary.namespace is not None and primary.namespace != own:
        yield canonical_registry(primary.namespace)


def _is_simple(route: Route) -> bool:
    """Whether the entry is for a whole registry, and can be read without knowing its name."""
    name, registry = route.prefix.registry, route.registry
    return (
        registry.prefix == name
        and len(name) <= _LENGTH_MAX
        and is_plain(name)
        and looks_like_host(name)
        and not route.broken
        and route.primary_is_source
    )


def _shape(route: Route, wildcards: Sequence[str]) -> tuple[object, ...]:
    """All of an entry but its own name and lines."""
    name, registry = route.prefix.registry, route.registry
    # A wildcard covers by its first occurrence, and the longer of it and the name counts (`PrefixIndex`).
    covering = tuple(
        (wildcard, name.index(wildcard[1:]), len(wildcard) - len(name))
        if name.count(wildcard[1:]) > 1 or len(wildcard) >= len(name)
        else wildcard
        for wildcard in wildcards
        if name.endswith(wildcard[1:])
    )
    entries = _entries(route)
    return (
        registry.blocked,
        registry.mirror_by_digest_only,
        tuple(_shape_of(endpoint, name) for endpoint in registry.endpoints),
        covering,
        tuple(map(entries.index, entries)),
    )


def _shape_of(endpoint: Endpoint, name: str) -> tuple[object, ...]:
    return (
        None if endpoint.location == name else endpoint.location,
        endpoint.insecure,
        endpoint.pull_from_mirror,
        True if endpoint.namespace == name else endpoint.namespace,
        endpoint.plain_http,
        endpoint.forward_credentials,
    )


def _entries(route: Route) -> list[str]:
    """Where the entry and each of its endpoints is written."""
    registry = route.registry
    return [str(registry.origin), *(str(registry.origin_of(endpoint)) for endpoint in registry.endpoints)]
