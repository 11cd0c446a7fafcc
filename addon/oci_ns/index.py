"""Everything a table of registries knows, indexed: by the image's name, by the source registry, by the endpoint.

Answers look-ups; the rules that ask them are in `routes`. Immutable once built. What stands in a registry's table is
taken apart when it is asked for, so that a large table is loaded quickly and takes little memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from oci_ns.hops import Hop, Route, address_of
from oci_ns.index_tables import IndexTables, address_key
from oci_ns.locations import Location
from oci_ns.pull_sources import PrefixIndex, PullSource, pull_sources
from oci_ns.reference import Image, canonical_registry, is_host, registry_name
from oci_ns.registries_conf import Endpoint, Registry
from oci_ns.registry_rows import Registries
from oci_ns.value import value


@value
class Found:
    """A route that a source registry and repository lead to. `strip`: how much of the repository its prefix covers.

    `named`: how much of it, slash included, only names the source registry (`quay.io/` before the repository proper).
    """

    route: Route
    source_host: str
    strip: int
    named: int = 0


class RouteIndex:
    """The registries of a configuration, each host[:port] under its name in normal form."""

    def __init__(self, registries: Iterable[Registry] = ()) -> None:
        self.registries = Registries.of(registries)
        self._rows = self.registries.rows
        tables = IndexTables(self._rows, self.registries.numbers)
        self._routes = tables.routes
        self._locations = tables.locations
        self._addresses = tables.addresses
        self._sources = tables.sources
        self._claimed = tables.claimed
        self._images = PrefixIndex(tables.as_written)
        self._prefixes = PrefixIndex(tables.names)

    def parts(self) -> list[object]:
        """All that the index is made of and that takes long to free: what is held first, then what holds it."""
        return [
            *self._routes.parts(),
            *self._locations.parts(),
            *self._images.parts(),
            *self._prefixes.parts(),
            *(self._sources, self._claimed, self._addresses.insecure, self._addresses.verified),
        ]

    def routes(self, is_wanted: Callable[[str], bool] = lambda _: True) -> Iterator[Route]:
        """The routes of the registries whose prefix, as it is written, is wanted; in their order, made anew."""
        prefixes = self._rows.prefixes
        return (self._routes.anew(number) for number in self.registries.numbers if is_wanted(prefixes[number]))

    def routes_to(self, is_wanted: Callable[[str], bool]) -> Iterator[Route]:
        """The routes of the registries with an endpoint whose host[:port] in normal form is wanted; made anew."""
        hosts = self._rows.endpoint_hosts
        return (
            self._routes.anew(number)
            for number in self.registries.numbers
            if any(is_wanted(address_of(host).registry) for host in hosts(number))
        )

    def route_of(self, registry: Registry) -> Route:
        """The route of a registry of this index."""
        return self._routes.route(self._number(registry))

    def used_instead(self, route: Route) -> Registry | None:
        """The registry that is used for requests where a route's prefix is, in normal form, another one's, too."""
        number = self._prefixes.number(route.prefix.name)
        return None if number in (None, self._number(route.registry)) else self._rows.registry(number)

    def owner_of(self, endpoint: Endpoint) -> Registry:
        """The registry of this index that an endpoint of this index is written in."""
        return self._routes.route(self._rows.owner(endpoint.row)).registry

    def _number(self, registry: Registry) -> int:
        return self._rows.owner(registry.primary.row)

    def endpoints_at_sources(self) -> frozenset[str]:
        """The names, in normal form, of each host[:port] that is an endpoint and the host of a prefix."""
        return frozenset(self._sources.keys() & self._locations.registries.keys())

    def knows(self, name: str) -> bool:
        """Whether `name` is a source registry or an endpoint (a catch-all knows every host)."""
        return (
            name in self._locations.registries
            or name in self._sources
            or self._prefixes.has_wildcard_for(name)
            or self._prefixes.catch_all is not None
        )

    def may_rewrite(self, scheme: str, host: str, port: int | None) -> bool:
        """Whether requests to the host may be rewritten: an endpoint, or an entry says more than that it is itself."""
        name = registry_name(scheme, host, port)
        return name in self._locations.registries or name in self._claimed or self.find(name) is not None

    def is_insecure(self, host: str, port: int, *, otherwise: bool = False) -> bool:
        """Whether the certificate at this address need not be verified; `otherwise` where no endpoint is there.

        Connections are shared by what goes to one address: where one endpoint there is not insecure, none is.
        """
        address = address_key(host, port)
        if address in self._addresses.verified or address in self._addresses.insecure:
            return address not in self._addresses.verified
        found = self.find(registry_name("https", host, port))
        primary = found.route.registry.primary if found is not None else None
        if primary is None or primary.location:
            return otherwise
        return primary.insecure

    def disputed_addresses(self) -> list[str]:
        """Each address (`address_key`) where some endpoints are insecure and others are not."""
        return sorted(self._addresses.insecure.keys() & self._addresses.verified.keys())

    def is_source(self, name: str) -> bool:
        """Whether `name` is the host[:port] of a prefix (of a wildcard: `*.example.com`)."""
        return name in self._sources

    def is_endpoint(self, name: str) -> bool:
        """Whether `name` is the host[:port] of an endpoint that is a place of its own, not a source registry."""
        return name in self._locations.registries

    def covering(self, name: str, scope: str, suffix: str) -> Iterable[Location]:
        """The locations at `name` that the repository (or other path) `scope` lies under, longest first."""
        return self._locations.covering(name, scope, suffix)

    def served_under(self, source_host: str, name: str, scope: str, suffix: str) -> tuple[Location, Hop] | None:
        """The longest of the locations `covering` has where the source registry is served, and its endpoint there."""
        places = self.covering(name, scope, suffix)
        caught = bool(places) and self._is_caught(source_host)
        for place in places:
            hop = place.hop_for(source_host, caught=caught)
            if hop is not None:
                return place, hop
        return None

    def _is_caught(self, source_host: str) -> bool:
        """Whether a catch-all prefix stands for what no other prefix matches of this source registry."""
        return source_host not in self._locations.registries and is_host(source_host)

    def ambiguous_locations(self) -> list[tuple[str, Mapping[str, Endpoint]]]:
        """Each location that stands for several namespaces, so that none is told from it, and whose these are."""
        return self._locations.ambiguous()

    def find(self, source_host: str, scope: str = "", suffix: str = "") -> Found | None:
        """The route of a repository (or other path) of a source registry, if there is one that claims anything."""
        strip = 0
        if self._prefixes.is_whole(source_host):
            number = self._prefixes.get(source_host)
        else:
            name = f"{source_host}/{scope}{suffix}" if scope else source_host
            length = len(source_host)
            # A colon within the scope belongs to a component: only behind it is there a tag or digest.
            match = self._prefixes.longest(name, length, length, len(name) - len(suffix) if scope else 0)
            # Another port is another host: `*.example.com` says nothing of a.example.com:5000.
            if match is not None and match.length < length:
                match = None
            number = match.registry if match is not None else None
            if match is not None and scope:
                strip = max(min(match.length - length - 1, len(scope)), 0)
        if number is None:
            number = self._prefixes.catch_all
            if number is None or not self._is_caught(source_host):
                return None
        route = self._routes.route(number)
        return Found(route, source_host, strip) if route.claims else None

    def find_image(self, image: Image) -> tuple[Registry, list[PullSource]] | None:
        """The registry of an image and where it is pulled from, in order, as Podman does; None where it has no entry.

        Raises ValueError where a location and the image's name do not make the name of an image.
        """
        match = self._images.longest(str(image), len(image.host))
        if match is not None:
            registry = self._routes.route(match.registry).registry
            return registry, pull_sources(registry, match.length, image)
        catch_all = self._images.catch_all
        if catch_all is None or self.is_endpoint(canonical_registry(image.host)):
            return None
        registry = self._routes.route(catch_all).registry
        return registry, pull_sources(registry, len(image.host), image)
