"""What stands at each endpoint's location: the reverse of the table, from an address and path to the namespaces there.

Answers two questions about a request that addresses an endpoint: which namespace does its location stand for, and is
it already in the form that the endpoint of a given source registry wants.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from oci_ns.hops import Hop, Prefix
from oci_ns.reference import HOST_LENGTH_MAX, NAME_LENGTH_MAX, canonical_registry, is_host
from oci_ns.registries_conf import ANY_PREFIX, SOURCE_HOST, Endpoint
from oci_ns.route_rows import KEPT_MAX, RouteRows

V = TypeVar("V")


class Numbered(Mapping[str, V]):
    """A mapping to what is made of a number when it is asked for."""

    def __init__(self, make: Callable[[int], V]) -> None:
        self.numbers: dict[str, int] = {}
        self._make = make

    def __getitem__(self, key: str) -> V:
        return self._make(self.numbers[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)


class Location:
    """All endpoints with the very same location.

    `path` is the location without its host. `namespaces` maps each namespace sent there (`*`: any source's own) to the
    endpoint that says so first; `sources` maps the host of each prefix, and each namespace, to the hop that serves it.
    `open_namespaces` are those of at least one registry that is not blocked. `prefixes` maps each namespace to what the
    prefix says behind the host, unless that is nothing, or several say different things.
    """

    __slots__ = ("namespaces", "open_namespaces", "path", "prefixes", "sources")

    def __init__(self, routes: RouteRows, path: str) -> None:
        self.path = path
        self.namespaces: Numbered[Endpoint] = Numbered(routes.rows.endpoint)
        self.sources: Numbered[Hop] = Numbered(functools.partial(_hop, routes))
        self.open_namespaces: set[str | None] = set()
        self.prefixes: dict[str | None, str] = {}

    def add(self, number: int, namespace: str | None, prefix: Prefix, *, blocked: bool) -> None:
        """Add the endpoint of that number, of a registry with that prefix."""
        namespaces, sources = self.namespaces.numbers, self.sources.numbers
        is_new = namespace not in (self.prefixes if namespace is None else namespaces)
        if namespace is None or (is_new and prefix.path):
            self.prefixes.setdefault(namespace, prefix.path)
        if not is_new and self.prefixes.get(namespace, "") != prefix.path:
            self.prefixes[namespace] = ""
        sources.setdefault(prefix.registry, number)
        if namespace is not None:
            namespaces.setdefault(namespace, number)
            if namespace not in (SOURCE_HOST, prefix.registry):
                sources.setdefault(canonical_registry(namespace), number)
        if not blocked:
            self.open_namespaces.add(namespace)

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

    def hop_for(self, source: str, *, caught: bool) -> Hop | None:
        """The endpoint here that serves images of the source registry (its name in normal form).

        `caught` is whether a catch-all prefix stands for it.
        """
        sources = self.sources
        if source in sources.numbers and not source.startswith(ANY_PREFIX):
            return sources[source]
        at = source.find(".") if len(source) <= HOST_LENGTH_MAX and is_host(source) else -1
        while at != -1:
            wildcard = f"*{source[at:]}"
            if wildcard in sources.numbers:
                return sources[wildcard]
            at = source.find(".", at + 1)
        return sources.get(ANY_PREFIX) if caught else None


def _hop(routes: RouteRows, endpoint: int) -> Hop:
    return routes.hop(endpoint)[1]


def _alone(routes: RouteRows, endpoint: int) -> Location:
    """The location of an endpoint, where no other is."""
    route, hop = routes.hop(endpoint)
    place = Location(routes, hop.path)
    place.add(endpoint, hop.namespace, route.prefix, blocked=route.registry.blocked)
    return place


class LocationIndex:
    """Every endpoint's location; the longest one that a request lies under, in a look-up per path component."""

    def __init__(self, routes: RouteRows) -> None:
        self._locations: dict[str, int | Location] = {}
        """The number of the endpoint that is alone at its location, else what is there."""
        self.registries: dict[str, None] = {}
        """The names, in normal form, of every host[:port] that is an endpoint."""
        self._divided: dict[str, None] = {}
        """Those of them that are more than one location."""
        self._longest = 0
        """Of the locations, in characters."""
        self._routes = routes
        self._alone = functools.lru_cache(KEPT_MAX)(functools.partial(_alone, routes))

    def add(
        self, number: int, registry: str, location: str, namespace: str | None, prefix: Prefix, *, blocked: bool
    ) -> None:
        """Add the endpoint of that number at a location in normal form, whose host is called `registry`.

        `namespace` and `prefix` are as in `Location.add`.
        """
        self.registries[registry] = None
        if location != registry:
            self._divided[registry] = None
        self._longest = max(self._longest, len(location))
        place = self._locations.setdefault(location, number)
        if place == number:
            return
        if not isinstance(place, Location):
            place = self._locations[location] = self._alone(place)
        place.add(number, namespace, prefix, blocked=blocked)

    def parts(self) -> list[object]:
        """All that takes long to free: what is held first, then what holds it."""
        shared = [place for place in self._locations.values() if isinstance(place, Location)]
        return [*shared, self._locations, self.registries, self._divided, self._alone]

    def covering(self, registry: str, scope: str, suffix: str) -> Iterable[Location]:
        """The locations at `registry` (a name in normal form) that `scope` lies under, longest first."""
        if registry not in self._divided:
            place = self._locations.get(registry)
            return () if place is None else (self._made(place),)
        return self._longest_first(registry, scope, suffix)

    def _made(self, place: int | Location) -> Location:
        return place if isinstance(place, Location) else self._alone(place)

    def _longest_first(self, registry: str, scope: str, suffix: str) -> Iterator[Location]:
        name = f"{registry}/{scope}{suffix}" if scope else registry
        length = len(name)
        if length > NAME_LENGTH_MAX:
            # No component that is no part of a location is looked up, however many there are: that would take long.
            length = min(length, self._longest)
            while length < len(name) and name[length] not in "/:@":
                length -= 1
        # A colon within the scope belongs to a component: only behind it is there a tag or digest.
        last = len(name) - len(suffix)
        while length > 0:
            place = self._locations.get(name[:length])
            if place is not None:
                yield self._made(place)
            length = max(name.rfind("/", 0, length), name.rfind(":", last, length), name.rfind("@", last, length))

    def ambiguous(self) -> list[tuple[str, Mapping[str, Endpoint]]]:
        """Each location that stands for several namespaces, and the endpoint that says each first."""
        return [
            (name, place.namespaces)
            for name, place in self._locations.items()
            if isinstance(place, Location) and len(place.namespaces) > 1
        ]
