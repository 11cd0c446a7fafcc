"""The routes of a table of rows, each made when it is asked for first; those that were asked for last are kept.

Keeping all of a large table would take more memory than the table itself, and as much time as it takes to load it.
"""

from __future__ import annotations

import functools
from array import array
from collections.abc import Sequence

from oci_ns.hops import Address, Hop, Route, plain_route_of, route_of
from oci_ns.registry_rows import Rows

KEPT_MAX = 8192
"""So many routes are kept: ten megabytes."""


class _Maker:
    """Makes routes by the numbers of the registries' rows."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.plain = bytearray(len(rows))
        self.addresses: list[Address] = []
        """Each address of a mirror once."""
        self.of_mirrors = array("I", bytes(array("I").itemsize * len(rows.locations)))
        """The place of each mirror's address among them."""

    def make(self, number: int) -> Route:
        registry = self.rows.registry(number)
        if not self.plain[number]:
            return route_of(registry)
        end = self.rows.ends[number] - 1
        addresses = self.addresses
        return plain_route_of(registry, [addresses[at] for at in self.of_mirrors[end - len(registry.mirrors) : end]])


class RouteRows:
    """The routes by the numbers of the registries' rows."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self._maker = _Maker(rows)
        # The cache holds the maker, which does not hold the cache: it is gone with its last user, and is never garbage.
        self.route = functools.lru_cache(KEPT_MAX)(self._maker.make)
        """The route of a registry."""

    def add_address(self, address: Address) -> int:
        """Note an address that mirrors have; its number."""
        self._maker.addresses.append(address)
        return len(self._maker.addresses) - 1

    def set_plain(self, number: int, addresses: Sequence[int]) -> None:
        """Note that `plain_route_of` will do for a registry, and the numbers of its mirrors' addresses."""
        end = self.rows.ends[number] - 1
        self._maker.of_mirrors[end - len(addresses) : end] = array("I", addresses)
        self._maker.plain[number] = True

    def anew(self, number: int) -> Route:
        """The route of a registry, for who looks at all of them: it is not kept."""
        return self._maker.make(number)

    def hop(self, endpoint: int) -> tuple[Route, Hop]:
        """An endpoint, which is a proxy of its route, as an address; and that route."""
        route = self.route(self.rows.owner(endpoint))
        return route, next(hop for hop in route.proxies if hop.endpoint.number == endpoint)

    def parts(self) -> list[object]:
        """All that takes long to free."""
        rows = self.rows
        return [rows.prefixes, rows.locations, rows.namespaces, self._maker.addresses, self.route]
