"""Makes the table of a `RouteTable`'s decisions: asks for the decision about one request of each kind that differs.

Where decisions can change, `places` knows; between these every request goes the same way, which one of them shows. How
one request is read is in `sampling`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from oci_ns.decision import ClientNamespace
from oci_ns.export.places import EVERYTHING, Places, can_be_addressed
from oci_ns.export.sampling import Key, Sample, Sampler
from oci_ns.export.swapping import Swap
from oci_ns.export.tabulation import ANY, ITSELF, Host, Paths, Scopes, Tabulation, Way, Ways, is_pattern
from oci_ns.export.twins import twin_of, twins_of
from oci_ns.reference import DEFAULT_PORTS, canonical_registry, looks_like_host, split_host
from oci_ns.routes import RouteTable

K = TypeVar("K")
V = TypeVar("V")
_At = tuple[Ways | None, Ways | None, Ways | None]
"""The ways of a repository itself, of what lies below it, and of its name with a slash; None where there are none."""
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
        default = table.policy.default
        default = canonical_registry(default) if default else ""
        routes = list(table.index.routes())
        self._places = Places(routes, addressed, default)
        self._twins = twins_of(routes, self._places.names, filter(None, (default, addressed)))
        self._reads_namespaces = table.policy.client_namespace is not ClientNamespace.OVERRIDE
        self._others: Scopes | None = None

    def tabulation(self) -> Tabulation:
        hosts = {name: self._pattern_host(name) for name in self._places.patterns if can_be_addressed(_host_of(name))}
        known = list(filter(can_be_addressed, self._places.known))
        # A twin is made of the first one, which may come behind it.
        firsts = {name: self._host(name) for name in known if twin_of(self._twins, name) is None}
        hosts |= {name: firsts.get(name) or self._alike(name, firsts) for name in known}
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
        is_endpoint = self._places.is_endpoint(name)
        plain = self._scopes(Sample(self._scheme, name, ""), self._places.plain_keys(name))
        reads_paths = is_endpoint and self._table.index.find(name, _UNLIKELY_HOST, "") is None
        patterns = {}
        if reads_paths:
            patterns = {
                pattern: self._by_path(name, pattern) for pattern in self._places.spoken_at(name) if is_pattern(pattern)
            }
        if not self._reads_namespaces:
            return Host(plain, {}, plain, reads_paths, patterns)
        by_namespace = self._each(
            self._places.spoken_at(name), str, [name], lambda spoken: self._by_namespace(name, spoken), Swap.scopes
        )
        return Host(plain, by_namespace, self._other_namespace(name), reads_paths, patterns)

    # -- what is decided there ----------------------------------------------------------------------------------------

    def _by_namespace(self, name: str, spoken: str) -> Scopes:
        source = _host_of(spoken) if is_pattern(spoken) else ""
        return self._scopes(
            Sample(self._scheme, name, source, source or spoken), self._places.spoken_keys(name, spoken)
        )

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
        places, insecure = self._places, self._are_insecure(readers)
        beginnings_at = functools.cache(places.beginnings_at)
        asked_at: dict[Key, str] = {}
        for registry in (*places.patterns, *(places.known if places.patterns else places.sources)):
            reader = next((reader for reader in readers if registry not in beginnings_at(reader)), None)
            if reader is None:
                continue
            if is_pattern(registry):
                paths.patterns[registry] = _anywhere(self._by_path(reader, registry), insecure=insecure)
            else:
                asked_at.update(dict.fromkeys(sorted(places.path_keys(registry)), reader))
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


def _host_of(pattern: str) -> str:
    """A host that a pattern matches and that no configuration has."""
    return _UNLIKELY_HOST if pattern == ANY else f"ns-inject-sample{pattern[1:]}"
