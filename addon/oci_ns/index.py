"""Everything a table of registries knows, indexed: by the image's name, by the source registry, by the endpoint.

Answers look-ups; the rules that ask them are in `routes`. Immutable once built.
"""

from __future__ import annotations

from collections.abc import Iterable

from oci_ns.hops import Route, route_of
from oci_ns.locations import Location, LocationIndex
from oci_ns.pull_sources import PrefixIndex, PullSource, pull_sources
from oci_ns.reference import Image, canonical_registry, is_host, registry_name
from oci_ns.registries_conf import Endpoint, Registry
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


_Addresses = set[tuple[str, int]]


def _addresses(routes: Iterable[Route]) -> tuple[_Addresses, _Addresses]:
    """Where endpoints are insecure, and where they are not."""
    insecure: _Addresses = set()
    verified: _Addresses = set()
    for route in routes:
        for hop in (*route.mirrors, *((route.primary,) if route.primary is not None else ())):
            if hop.scheme == "https":
                (insecure if hop.endpoint.insecure else verified).add((hop.host.lower(), hop.port))
    return insecure, verified


class RouteIndex:
    """The registries of a configuration, each host[:port] under its name in normal form."""

    def __init__(self, registries: Iterable[Registry] = ()) -> None:
        self.registries = tuple(registries)
        self.routes = {id(registry): route_of(registry) for registry in self.registries}
        self._images = PrefixIndex(self.registries)
        self._prefixes = PrefixIndex({self.routes[id(r)].prefix.name: r for r in self.registries})
        self._locations = LocationIndex(self.routes.values())
        self._sources = {route.prefix.registry for route in self.routes.values()}
        self._insecure, self._verified = _addresses(self.routes.values())
        self._claimed = {route.prefix.registry for route in self.routes.values() if route.claims}

    def parts(self) -> list[object]:
        """All that the index is made of and that takes long to free: what is held first, then what holds it."""
        held: list[object] = [*self.registries, *self.routes.values(), *self._locations.places()]
        holding = (
            self.registries,
            self.routes,
            self._sources,
            self._claimed,
            self._insecure,
            self._verified,
            self._locations,
            self._images,
            self._prefixes,
        )
        return [*held, *holding]

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
        return name in self._locations.registries or name in self._claimed or self.find(name, "", "") is not None

    def is_insecure(self, host: str, port: int, *, otherwise: bool = False) -> bool:
        """Whether the certificate at this address need not be verified; `otherwise` where no endpoint is there.

        Connections are shared by what goes to one address: where one endpoint there is not insecure, none is.
        """
        address = (host.lower(), port)
        if address in self._verified or address in self._insecure:
            return address not in self._verified
        found = self.find(registry_name("https", host, port), "", "")
        primary = found.route.registry.primary if found is not None else None
        if primary is None or primary.location:
            return otherwise
        return primary.insecure

    def disputed_addresses(self) -> list[str]:
        """Each host:port where some endpoints are insecure and others are not."""
        return sorted(f"{host}:{port}" for host, port in self._insecure & self._verified)

    def is_source(self, name: str) -> bool:
        """Whether `name` is the host[:port] of a prefix (of a wildcard: `*.example.com`)."""
        return name in self._sources

    def is_endpoint(self, name: str) -> bool:
        """Whether `name` is the host[:port] of an endpoint that is a place of its own, not a source registry."""
        return name in self._locations.registries

    def covering(self, name: str, scope: str, suffix: str) -> Iterable[Location]:
        """The locations at `name` that the repository (or other path) `scope` lies under, longest first."""
        return self._locations.covering(name, scope, suffix)

    def ambiguous_locations(self) -> list[tuple[str, dict[str, Endpoint]]]:
        """Each location that stands for several namespaces, so that none is told from it, and whose these are."""
        return self._locations.ambiguous()

    def find(self, source_host: str, scope: str, suffix: str) -> Found | None:
        """The route of a repository (or other path) of a source registry, if there is one that claims anything."""
        strip = 0
        if self._prefixes.is_whole(source_host):
            registry = self._prefixes.get(source_host)
        else:
            name = f"{source_host}/{scope}{suffix}" if scope else source_host
            length = len(source_host)
            match = self._prefixes.longest(name, length, length)
            # Another port is another host: `*.example.com` says nothing of a.example.com:5000.
            if match is not None and match.length < length:
                return None
            registry = match.registry if match is not None else None
            if match is not None and scope:
                strip = max(min(match.length - length - 1, len(scope)), 0)
        if registry is None:
            registry = self._prefixes.catch_all
            if registry is None or source_host in self._locations.registries or not is_host(source_host):
                return None
        route = self.routes[id(registry)]
        return Found(route, source_host, strip) if route.claims else None

    def find_image(self, image: Image) -> tuple[Registry, list[PullSource]] | None:
        """The registry of an image and where it is pulled from, in order, as Podman does; None where it has no entry.

        Raises ValueError where a location and the image's name do not make the name of an image.
        """
        match = self._images.longest(str(image), len(image.host))
        if match is not None:
            return match.registry, pull_sources(match.registry, match.length, image)
        catch_all = self._images.catch_all
        if catch_all is None or self.is_endpoint(canonical_registry(image.host)):
            return None
        return catch_all, pull_sources(catch_all, len(image.host), image)
