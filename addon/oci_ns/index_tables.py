"""What a table of registries is looked up by, built in one pass over its rows.

Knows which names a registry and its endpoints are to be found under; what is found there is made when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from oci_ns.hops import Prefix, Route, address_of, fits_in_url, is_plain, split_location
from oci_ns.locations import LocationIndex
from oci_ns.registries_conf import SOURCE_HOST
from oci_ns.registry_rows import BLOCKED, INSECURE, PLAIN_HTTP, Rows
from oci_ns.route_rows import RouteRows


class Addresses:
    """The addresses of endpoints (`address_key`) that speak https: where they are insecure, and where they are not."""

    def __init__(self) -> None:
        self.insecure: dict[str, None] = {}
        self.verified: dict[str, None] = {}

    def add(self, key: str, *, insecure: bool) -> None:
        """Add an endpoint."""
        (self.insecure if insecure else self.verified)[key] = None


def address_key(host: str, port: int) -> str:
    """An address as a word; most hosts are in memory already as they are, so port 443 is left out."""
    host = host.lower()
    if port == 443:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class IndexTables:
    """The number of a registry's row by its prefix as written and in normal form, and the names that hosts have.

    `sources` are the hosts of prefixes, `claimed` those of entries that say more than that a host is itself.
    """

    def __init__(self, rows: Rows, numbers: Sequence[int]) -> None:
        self.as_written: dict[str, int] = {}
        self.names: dict[str, int] = {}
        # Not sets: of a dictionary of strings, the collector of garbage knows that there is nothing to visit in it.
        self.sources: dict[str, None] = {}
        self.claimed: dict[str, None] = {}
        self.addresses = Addresses()
        self.routes = RouteRows(rows)
        self.locations = LocationIndex(self.routes)
        self._rows = rows
        self._hosts: dict[str, tuple[str, str, int]] = {}
        """Of mirrors, by how they are written: many mirrors are at one host."""
        for number in numbers:
            prefix = rows.prefixes[number]
            self.as_written[prefix] = number
            if not self._add_plain(number, prefix):
                self._add(number, self.routes.anew(number))

    def _add(self, number: int, route: Route) -> None:
        prefix = route.prefix
        self.names[prefix.name] = number
        self.sources[prefix.registry] = None
        if route.claims:
            self.claimed[prefix.registry] = None
        for hop in (*route.mirrors, *((route.primary,) if route.primary is not None else ())):
            if hop.scheme == "https":
                self.addresses.add(address_key(hop.host, hop.port), insecure=hop.endpoint.insecure)
        for hop in route.proxies:
            self.locations.add(
                hop.endpoint.row, hop.registry, hop.location, hop.namespace, prefix, blocked=route.registry.blocked
            )

    def _add_plain(self, number: int, prefix: str) -> bool:
        """Add a registry whose prefix is a host, and its own location, without making its route: nearly all are so."""
        rows = self._rows
        primary = rows.ends[number] - 1
        itself = rows.locations[primary] == prefix and rows.namespaces[primary] is None
        if not itself or rows.endpoint_flags[primary] or not is_plain(prefix):
            return False
        self.names[prefix] = number
        self.sources[prefix] = None
        self.addresses.add(prefix, insecure=False)
        mirrors = range(rows.ends[number - 1] if number else 0, primary)
        blocked = bool(rows.flags[number] & BLOCKED)
        if mirrors or blocked:
            self.claimed[prefix] = None
        addresses = self._add_mirrors(mirrors, Prefix(prefix, "", ""), blocked=blocked)
        if len(addresses) == len(mirrors):
            self.routes.set_plain(number, addresses)
        return True

    def _add_mirrors(self, numbers: Iterable[int], prefix: Prefix, *, blocked: bool) -> list[int]:
        """Add the mirrors of one registry; the numbers of the addresses of those that have one."""
        rows, hosts = self._rows, self._hosts
        insecure, verified = self.addresses.insecure, self.addresses.verified
        addresses = []
        for number in numbers:
            location, flags = rows.locations[number], rows.endpoint_flags[number]
            written, path, reference = split_location(location)
            known = hosts.get(written)
            if known is None:
                address = address_of(written)
                key = address_key(address.host, address.port or 443) if address.host else ""
                known = hosts[written] = address.registry, key, self.routes.add_address(address)
            registry, key, place = known
            if not key or not fits_in_url(path, reference):
                continue
            addresses.append(place)
            if not flags & PLAIN_HTTP:
                (insecure if flags & INSECURE else verified)[key] = None
            if registry != written or (reference and not path):
                location = Prefix(registry, path, reference).name
            namespace = rows.namespaces[number]
            if namespace == SOURCE_HOST:
                namespace = prefix.registry
            self.locations.add(number, registry, location, namespace, prefix, blocked=blocked)
        return addresses
