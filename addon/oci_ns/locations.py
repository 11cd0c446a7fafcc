"""What stands at each endpoint's location: the reverse of the table, from an address and path to the namespaces there.

Answers two questions about a request that addresses an endpoint: which namespace does its location stand for, and is
it already in the form that the endpoint of a given source registry wants.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from oci_ns.hops import Hop, Route
from oci_ns.reference import canonical_registry
from oci_ns.registries_conf import ANY_PREFIX, SOURCE_HOST, Endpoint


@dataclass(slots=True)
class Location:
    """All endpoints with the very same location.

    `path` is the location without its host. `namespaces` maps each namespace sent there (`*`: any source's own) to the
    endpoint that says so first; `sources` maps the host of each prefix, and each namespace, to the hop that serves it.
    `open_namespaces` are those of at least one registry that is not blocked. `prefixes` maps each namespace to what the
    prefix says behind the host, '' where several say different things.
    """

    path: str
    namespaces: dict[str, Endpoint] = field(default_factory=dict)
    sources: dict[str, Hop] = field(default_factory=dict)
    open_namespaces: set[str | None] = field(default_factory=set)
    prefixes: dict[str | None, str] = field(default_factory=dict)

    @property
    def depth(self) -> int:
        """How many components the path has."""
        return self.path.count("/") + 1 if self.path else 0

    def repository(self, scope: str, namespace: str | None) -> str:
        """What a repository under this location is called at its source registry, where that is told by `namespace`."""
        rest = scope[len(self.path) + 1 :] if self.path else scope
        prefix = self.prefixes.get(namespace, "")
        return f"{prefix}/{rest}" if prefix and rest else prefix or rest

    @property
    def namespace(self) -> str | None:
        """The one namespace that this location stands for; None where there is none, several, or any."""
        if len(self.namespaces) != 1:
            return None
        only = next(iter(self.namespaces))
        return None if only == SOURCE_HOST else only

    def hop_for(self, source: str) -> Hop | None:
        """The endpoint here that serves images of the source registry (its name in normal form)."""
        hop = self.sources.get(source)
        if hop is not None:
            return hop
        at = source.find(".")
        while at != -1:
            hop = self.sources.get(f"*{source[at:]}")
            if hop is not None:
                return hop
            at = source.find(".", at + 1)
        return self.sources.get(ANY_PREFIX)


class LocationIndex:
    """Every endpoint's location; the longest one that a request lies under, in a look-up per path component."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._locations: dict[str, Location] = {}
        self.registries: set[str] = set()
        """The names, in normal form, of every host[:port] that is an endpoint."""
        self._divided: set[str] = set()
        """Those of them that are more than one location."""
        for route in routes:
            for hop in route.proxies:
                self._add(route, hop)

    def _add(self, route: Route, hop: Hop) -> None:
        self.registries.add(hop.registry)
        if hop.path or hop.reference:
            self._divided.add(hop.registry)
        path = f"/{hop.path}" if hop.path else ""
        place = self._locations.setdefault(f"{hop.registry}{path}{hop.reference}", Location(hop.path))
        if place.prefixes.setdefault(hop.namespace, route.prefix.path) != route.prefix.path:
            place.prefixes[hop.namespace] = ""
        place.sources.setdefault(route.prefix.registry, hop)
        if hop.namespace is not None:
            place.namespaces.setdefault(hop.namespace, hop.endpoint)
            if hop.namespace != SOURCE_HOST:
                place.sources.setdefault(canonical_registry(hop.namespace), hop)
        if not route.registry.blocked:
            place.open_namespaces.add(hop.namespace)

    def covering(self, registry: str, scope: str, suffix: str) -> Iterable[Location]:
        """The locations at `registry` (a name in normal form) that `scope` lies under, longest first."""
        place = self._locations.get(registry)
        if registry not in self._divided:
            return () if place is None else (place,)
        return self._longest_first(registry, scope, suffix)

    def _longest_first(self, registry: str, scope: str, suffix: str) -> Iterator[Location]:
        first = len(registry)
        name = f"{registry}/{scope}{suffix}" if scope else registry
        length = len(name)
        while length > 0:
            place = self._locations.get(name[:length])
            if place is not None:
                yield place
            length = max(name.rfind("/", first, length), name.rfind(":", first, length), name.rfind("@", first, length))

    def places(self) -> Iterable[Location]:
        """Every location."""
        return self._locations.values()

    def ambiguous(self) -> list[tuple[str, dict[str, Endpoint]]]:
        """Each location that stands for several namespaces, and the endpoint that says each first."""
        return [(name, place.namespaces) for name, place in self._locations.items() if len(place.namespaces) > 1]
