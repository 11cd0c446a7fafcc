"""Makes the table of a `RouteTable`'s decisions: asks for the decision about one request of each kind that differs.

Knows where decisions can change: at the names of hosts, namespaces, prefixes and locations that the configuration has.
Between these every request goes the same way, which one of them shows. How one request is read is in `sampling`.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

from oci_ns.decision import ClientNamespace
from oci_ns.hops import Route
from oci_ns.reference import (
    DEFAULT_PORTS,
    DOCKER_HUB,
    DOCKER_HUB_NAMES,
    canonical_registry,
    looks_like_host,
    split_host,
)
from oci_ns.registries_conf import SOURCE_HOST
from oci_ns.routes import RouteTable
from oci_ns.sampling import Key, Sample, Sampler
from oci_ns.swapping import Swap
from oci_ns.tabulation import ANY, ITSELF, Host, Paths, Scopes, Tabulation, Way, Ways
from oci_ns.twins import twin_of, twins_of

K = TypeVar("K")
V = TypeVar("V")
_At = tuple[Ways | None, Ways | None, Ways | None]
"""The ways of a repository itself, of what lies below it, and of its name with a slash; None where there are none."""
EVERYTHING = Key("", "")
_UNLIKELY_HOST = "ns-inject-sample.invalid"
_UNLIKELY_NAMESPACE = "ns-inject-sample.invalid/none"
"""No host, so that not even a catch-all has it."""


def tabulate(table: RouteTable, scheme: str, addressed: str = "") -> Tabulation:
    """The decisions of a table about requests that come by `scheme`, http or https.

    `addressed` is a host that is addressed as well, though nothing may be configured for it: its name in normal form;
    '' for none.
    """
    return _Tabulator(table, scheme, addressed).tabulation()


class _Tabulator:
    def __init__(self, table: RouteTable, scheme: str, addressed: str) -> None:
        self._table = table
        self._scheme = scheme
        self._ask = Sampler(table, scheme)
        self._prefixes: dict[str, set[Key]] = defaultdict(set)
        """What prefixes have behind their host, by that host in normal form or the pattern."""
        self._locations: dict[str, dict[str, set[Key]]] = defaultdict(lambda: defaultdict(set))
        """By the name of each endpoint's host, and of the registries served there: what these locations have behind."""
        routes = list(table.index.routes())
        for route in routes:
            self._note(route)
        self._served_patterns = {
            name: [pattern for pattern in served if _is_pattern(pattern)] for name, served in self._locations.items()
        }
        names = dict.fromkeys((*self._prefixes, *self._locations, *([addressed] if addressed else ())))
        self._known = [name for name in names if _is_exact(name)]
        self._patterns = [name for name in self._prefixes if _is_pattern(name)]
        default = table.policy.default
        self._default = canonical_registry(default) if default else ""
        self._twins = twins_of(routes, names, filter(None, (self._default, addressed)))
        self._reads_namespaces = table.policy.client_namespace is not ClientNamespace.OVERRIDE
        self._others: Scopes | None = None

    def _note(self, route: Route) -> None:
        name = route.prefix.registry
        self._prefixes[name].add(Key(route.prefix.path, route.prefix.reference))
        for hop in route.proxies:
            served, place = self._locations[hop.registry], Key(hop.path, hop.reference)
            served[name].add(place)
            if hop.namespace is not None and hop.namespace != SOURCE_HOST:
                served[canonical_registry(hop.namespace)].add(place)

    def tabulation(self) -> Tabulation:
        hosts = {name: self._pattern_host(name) for name in self._patterns}
        # A twin is made of the first one, which may come behind it.
        firsts = {name: self._host(name) for name in self._known if twin_of(self._twins, name) is None}
        hosts |= {name: firsts.get(name) or self._alike(name, firsts) for name in self._known}
        readers = [name for name, host in hosts.items() if host.reads_paths]
        return Tabulation(self._scheme, hosts, self._paths(readers), self._reads_namespaces)

    def _pattern_host(self, pattern: str) -> Host:
        """All hosts of a pattern: source registries, and no endpoints."""
        name = _host_of(pattern)
        plain = self._scopes(Sample(self._scheme, name, name), {EVERYTHING})
        if not self._reads_namespaces:
            return Host(plain, {}, plain)
        itself = self._scopes(Sample(self._scheme, name, name, name), {EVERYTHING})
        return Host(plain, {ITSELF: itself}, self._other_namespace(name))

    def _alike(self, name: str, firsts: dict[str, Host]) -> Host:
        swap = twin_of(self._twins, name)
        first = firsts.get(swap.text(name)) if swap is not None else None
        return swap.host(first) if swap is not None and first is not None else self._host(name)

    def _host(self, name: str) -> Host:
        is_endpoint = name in self._locations
        plain = self._scopes(Sample(self._scheme, name, ""), self._plain_keys(name))
        reads_paths = is_endpoint and self._table.index.find(name, _UNLIKELY_HOST, "") is None
        patterns = {}
        if reads_paths:
            patterns = {
                pattern: self._by_path(name, pattern) for pattern in self._spoken_at(name) if _is_pattern(pattern)
            }
        if not self._reads_namespaces:
            return Host(plain, {}, plain, reads_paths, patterns)
        by_namespace = self._each(
            self._spoken_at(name), str, [name], lambda spoken: self._by_namespace(name, spoken), Swap.scopes
        )
        return Host(plain, by_namespace, self._other_namespace(name), reads_paths, patterns)

    # -- where the decision can change --------------------------------------------------------------------------------

    def _plain_keys(self, name: str) -> set[Key]:
        keys = {EVERYTHING, *self._prefixes.get(name, ())}
        served = self._locations.get(name)
        if served is None:
            return keys
        for places in served.values():
            keys |= places
        keys |= self._prefixes.get(self._default, set())
        for registry in {*self._spoken_at(name), *_registries_first(keys)}:
            keys.update(self._path_keys(registry))
        return keys

    def _path_keys(self, registry: str) -> Iterator[Key]:
        """The repositories at which what is told by the first component can change, for one registry."""
        if not _is_exact(registry) or not looks_like_host(registry):
            return
        for name in DOCKER_HUB_NAMES if registry == DOCKER_HUB else (registry,):
            yield Key(name, "")
            for behind in self._prefixes.get(registry, ()):
                if behind.scope:
                    yield Key(f"{name}/{behind.scope}", behind.reference)

    def _spoken_at(self, name: str) -> dict[str, None]:
        """The registries that may be served at a host, which a client's `ns` or path can name; patterns, too."""
        served = self._locations.get(name, {})
        spoken = {name: None} | {other: None for other in served if _is_pattern(other) or _is_exact(other)}
        patterns = self._served_patterns.get(name)
        if patterns:
            others = (*self._known, *self._patterns)
            spoken |= {other: None for other in others if any(_matches(pattern, other) for pattern in patterns)}
        return spoken

    # -- what is decided there ----------------------------------------------------------------------------------------

    def _by_namespace(self, name: str, spoken: str) -> Scopes:
        keys = {EVERYTHING, *self._prefixes.get(spoken, ())}
        served = self._locations.get(name, {})
        keys |= served.get(spoken, set())
        for pattern in self._served_patterns.get(name, ()):
            if _matches(pattern, spoken):
                keys |= served[pattern]
        source = _host_of(spoken) if _is_pattern(spoken) else ""
        return self._scopes(Sample(self._scheme, name, source, source or spoken), keys)

    def _other_namespace(self, name: str) -> Scopes:
        """What is decided about an `ns` that nothing knows is the same at every host."""
        if self._others is None:
            self._others = self._scopes(Sample(self._scheme, name, "", _UNLIKELY_NAMESPACE, True), {EVERYTHING})
        return self._others

    def _each(
        self,
        keys: Iterable[K],
        text_of: Callable[[K], str],
        around: Iterable[str],
        tell: Callable[[K], V],
        swapped: Callable[[Swap, V], V],
    ) -> dict[K, V]:
        """What is told of each key, in their order; of twins, what is told of the first one, with names swapped.

        `around` has the other texts that it depends on: where names of these would be swapped, it is asked.
        """
        every = list(keys)
        swaps = [twin_of(self._twins, text_of(key)) for key in every]
        told = {text_of(key): tell(key) for key, swap in zip(every, swaps, strict=True) if swap is None}
        fixed = {id(swap) for swap in swaps if swap is not None and all(swap.text(text) == text for text in around)}
        found = {}
        for key, swap in zip(every, swaps, strict=True):
            text = text_of(key)
            if swap is None:
                found[key] = told[text]
                continue
            first = told.get(swap.text(text)) if id(swap) in fixed else None
            found[key] = swapped(swap, first) if first is not None else tell(key)
        return found

    def _scopes(self, sample: Sample, keys: Iterable[Key]) -> Scopes:
        scopes = Scopes(self._ask.root(sample))
        around = [sample.addressed, sample.namespace]
        told = self._each(sorted(keys), str, around, lambda key: self._at(sample, key), _swapped)
        for key, (exactly, below, nothing_below) in told.items():
            if exactly is not None:
                scopes.exactly[str(key)] = exactly
            if below is not None:
                scopes.below[key.scope] = below
            if nothing_below is not None:
                scopes.exactly[f"{key.scope}/"] = nothing_below
        return scopes

    def _at(self, sample: Sample, key: Key) -> _At:
        # A registry is told by the path only where something is behind it.
        is_registry = "/" not in key.scope and looks_like_host(key.scope)
        return (
            self._ask.exactly(sample, key) if key.scope and ":" not in key.scope else None,
            self._ask.below(sample, key.scope) if not key.reference else None,
            self._ask.nothing_below(sample, key.scope) if is_registry else None,
        )

    def _paths(self, readers: list[str]) -> Paths:
        paths = Paths()
        if not readers:
            return paths
        insecure = self._are_insecure(readers)
        beginnings_at = functools.cache(self._beginnings_at)
        asked_at: dict[Key, str] = {}
        for registry in (*self._patterns, *(self._known if self._patterns else filter(_is_exact, self._prefixes))):
            reader = next((reader for reader in readers if registry not in beginnings_at(reader)), None)
            if reader is None:
                continue
            if _is_pattern(registry):
                paths.patterns[registry] = _anywhere(self._by_path(reader, registry), insecure=insecure)
            else:
                asked_at.update(dict.fromkeys(sorted(self._path_keys(registry)), reader))
        # Where it is asked does not matter.
        told = self._each(asked_at, str, (), lambda key: self._by_first(asked_at[key], key), _swapped)
        for key, (exactly, below, _) in told.items():
            if "/" in key.scope:
                paths.exactly[str(key)] = _anywhere(exactly, insecure=insecure)
            if not key.reference:
                paths.below[key.scope] = _anywhere(below, insecure=insecure)
        return paths

    def _are_insecure(self, readers: list[str]) -> bool:
        index, own_port = self._table.index, DEFAULT_PORTS[self._scheme]
        addresses = (split_host(reader) for reader in readers)
        return all(index.is_insecure(host, port or own_port) for host, port in addresses)

    def _by_first(self, reader: str, key: Key) -> _At:
        sample = Sample(self._scheme, reader, "")
        if not self._ask.is_told_by_path(sample, key):
            return None, None, None
        exactly = self._ask.exactly(sample, key) if "/" in key.scope else None
        return exactly, self._ask.below(sample, key.scope) if not key.reference else None, None

    def _by_path(self, reader: str, pattern: str) -> Ways | None:
        name = _host_of(pattern)
        sample = Sample(self._scheme, reader, name)
        return self._ask.below(sample, name) if self._ask.is_told_by_path(sample, Key(name, "")) else None

    def _beginnings_at(self, reader: str) -> set[str]:
        """The registries that a host's own keys may have as their first component."""
        return {*self._spoken_at(reader), *_registries_first(self._plain_keys(reader))}


def _anywhere(ways: Ways | None, *, insecure: bool) -> Ways | None:
    """The ways at any host where paths are read: each is verified unless all are `insecure`, as it may be any."""
    if insecure or ways is None or not any(map(_is_insecure_itself, ways.values())):
        return ways
    return {kind: _verified(way) for kind, way in ways.items()}


def _is_insecure_itself(way: Way) -> bool:
    return any(step.to is None and step.insecure for step in way.steps)


def _verified(way: Way) -> Way:
    """The way with the certificate of the addressed host itself verified."""
    steps = tuple([replace(step, insecure=False) if step.to is None else step for step in way.steps])
    return replace(way, steps=steps)


def _swapped(swap: Swap, at: _At) -> _At:
    exactly, below, nothing_below = map(swap.ways_or_none, at)
    return exactly, below, nothing_below


def _registries_first(keys: Iterable[Key]) -> Iterator[str]:
    """The registries that repositories may name by their first component."""
    firsts = {key.scope.partition("/")[0] for key in keys}
    return (canonical_registry(first) for first in firsts if looks_like_host(first))


def _is_exact(name: str) -> bool:
    return not name.startswith("*")


def _is_pattern(name: str) -> bool:
    return name == ANY or name.startswith("*.")


def _host_of(pattern: str) -> str:
    """A host that a pattern matches and that no configuration has."""
    return _UNLIKELY_HOST if pattern == ANY else f"ns-inject-sample{pattern[1:]}"


def _matches(pattern: str, name: str) -> bool:
    return pattern == ANY or (name.endswith(pattern[1:]) and name != pattern)
