"""Where decisions of a table can change: at the names of hosts, namespaces, prefixes and locations that it has.

Between these every request goes the same way. Knows no decision: what is decided there, `tabulate` asks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from oci_ns.export.sampling import Key
from oci_ns.export.tabulation import ANY, is_pattern
from oci_ns.hops import Route
from oci_ns.reference import DOCKER_HUB, DOCKER_HUB_NAMES, canonical_registry, looks_like_host, split_host
from oci_ns.registries_conf import SOURCE_HOST

EVERYTHING = Key("", "")
"""Below which all repositories lie."""


class Places:
    """The places of a table's routes: by the names of hosts in normal form, and by patterns of them."""

    def __init__(self, routes: Iterable[Route], addressed: str, default: str) -> None:
        """`addressed` is a host that is addressed as well, `default` the namespace of nothing else; '' for none."""
        self._prefixes: dict[str, set[Key]] = defaultdict(set)
        """What prefixes have behind their host, by that host in normal form or the pattern."""
        self._locations: dict[str, dict[str, set[Key]]] = defaultdict(lambda: defaultdict(set))
        """By the name of each endpoint's host, and of the registries served there: what these locations have behind."""
        for route in routes:
            self._note(route)
        self._served_patterns = {
            name: [pattern for pattern in served if is_pattern(pattern)] for name, served in self._locations.items()
        }
        self._default = default
        self.names = dict.fromkeys((*self._prefixes, *self._locations, *([addressed] if addressed else ())))
        """All that requests can address."""
        self.known = [name for name in self.names if is_exact(name)]
        """Those that are no patterns."""
        self.patterns = [name for name in self._prefixes if is_pattern(name)]
        """The patterns of source registries."""
        self.sources = [name for name in self._prefixes if is_exact(name)]
        """The source registries that are no patterns."""

    def _note(self, route: Route) -> None:
        name = route.prefix.registry
        self._prefixes[name].add(Key(route.prefix.path, route.prefix.reference))
        for hop in route.proxies:
            served, place = self._locations[hop.registry], Key(hop.path, hop.reference)
            served[name].add(place)
            if hop.namespace is not None and hop.namespace != SOURCE_HOST:
                served[canonical_registry(hop.namespace)].add(place)

    def is_endpoint(self, name: str) -> bool:
        """Whether a host of that name is one."""
        return name in self._locations

    def plain_keys(self, name: str) -> set[Key]:
        """The repositories at which the decision can change for a host whose requests have no `ns`."""
        keys = {EVERYTHING, *self._prefixes.get(name, ())}
        served = self._locations.get(name)
        if served is None:
            return keys
        for places in served.values():
            keys |= places
        keys |= self._prefixes.get(self._default, set())
        for registry in {*self.spoken_at(name), *_registries_first(keys)}:
            keys.update(self.path_keys(registry))
        return keys

    def path_keys(self, registry: str) -> Iterator[Key]:
        """The repositories at which what is told by the first component can change, for one registry."""
        if not is_exact(registry) or not looks_like_host(registry):
            return
        for name in DOCKER_HUB_NAMES if registry == DOCKER_HUB else (registry,):
            yield Key(name, "")
            for behind in self._prefixes.get(registry, ()):
                if behind.scope:
                    yield Key(f"{name}/{behind.scope}", behind.reference)

    def spoken_at(self, name: str) -> dict[str, None]:
        """The registries that may be served at a host, which a client's `ns` or path can name; patterns, too."""
        served = self._locations.get(name, {})
        spoken = {name: None} | {other: None for other in served if is_pattern(other) or is_exact(other)}
        patterns = self._served_patterns.get(name)
        if patterns:
            others = (*self.known, *self.patterns)
            spoken |= {other: None for other in others if any(_matches(pattern, other) for pattern in patterns)}
        return spoken

    def spoken_keys(self, name: str, spoken: str) -> set[Key]:
        """The repositories at which it can change for a host whose requests name the registry `spoken` by `ns`."""
        keys = {EVERYTHING, *self._prefixes.get(spoken, ())}
        served = self._locations.get(name, {})
        keys |= served.get(spoken, set())
        for pattern in self._served_patterns.get(name, ()):
            if _matches(pattern, spoken):
                keys |= served[pattern]
        return keys

    def beginnings_at(self, name: str) -> set[str]:
        """The registries that a host's own repositories may have as their first component."""
        return {*self.spoken_at(name), *_registries_first(self.plain_keys(name))}


def _registries_first(keys: Iterable[Key]) -> Iterator[str]:
    """The registries that repositories may name by their first component."""
    firsts = {key.scope.partition("/")[0] for key in keys}
    return (canonical_registry(first) for first in firsts if looks_like_host(first))


def is_exact(name: str) -> bool:
    """Whether it is the name of a host."""
    return not name.startswith("*")


def can_be_addressed(name: str) -> bool:
    """Whether it is the name of a host: a prefix may be anything, which then only an `ns` or a path can name."""
    try:
        split_host(name)
    except ValueError:
        return False
    return True


def _matches(pattern: str, name: str) -> bool:
    return pattern == ANY or (name.endswith(pattern[1:]) and name != pattern)
