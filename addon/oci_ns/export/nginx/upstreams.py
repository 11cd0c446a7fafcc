"""Where the endpoints are, as nginx's `upstream` blocks: resolved when it starts, with connections that are kept.

Knows addresses, and which of them nginx has to look up for each request instead.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from oci_ns.export.contract import Settings
from oci_ns.export.nginx.text import literal, quoted
from oci_ns.export.tabulation import Address
from oci_ns.reference import DEFAULT_PORTS

_UPSTREAM = re.compile(r"://(oci_[^ /]+)")


def is_address(host: str) -> bool:
    """Whether a host is an IP address."""
    return ":" in host or host.replace(".", "").isdigit()


def authority(scheme: str, host: str, port: int) -> str:
    """host[:port], IPv6 in brackets, without the scheme's own port."""
    name = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return name if DEFAULT_PORTS[scheme] == port else f"{name}:{port}"


class _Place(NamedTuple):
    scheme: str
    host: str
    port: int
    insecure: bool


@dataclass
class Upstreams:
    """The endpoints' addresses. nginx resolves them when it starts, and keeps connections to them."""

    settings: Settings
    used: Counter[_Place] = field(default_factory=Counter)
    asked_first: set[_Place] = field(default_factory=set)
    names: dict[_Place, str] = field(default_factory=dict)
    _places: dict[str, _Place] = field(default_factory=dict)
    _known: dict[tuple[Address, bool], tuple[_Place, str, str]] = field(default_factory=dict)

    def base(self, address: Address, insecure: bool, *, first: bool = False) -> str:
        """What a URL there begins with. `first` is whether a pull is sent there before any other endpoint."""
        return self.place(address, insecure, first=first)[0]

    def place(self, address: Address, insecure: bool, *, first: bool = False) -> tuple[str, str]:
        """The same, and the Host there."""
        known = self._known.get((address, insecure))
        if known is None:
            known = self._known[address, insecure] = self._named(address, insecure)
        place, base, named = known
        self.used[place] += 1
        if first:
            self.asked_first.add(place)
        return base, named

    def _named(self, address: Address, insecure: bool) -> tuple[_Place, str, str]:
        host = str(address.host).lower()
        place = _Place(address.scheme, host, address.port, insecure and address.scheme == "https")
        if place not in self.names:
            unverified = "_unverified" if place.insecure else ""
            name = f"oci_{place.scheme}_{host.strip('[]').replace(':', '-')}_{place.port}{unverified}"
            self.names[place], self._places[name] = name, place
        named = literal(authority(address.scheme, str(address.host), address.port))
        return place, f"{place.scheme}://{self.names[place]}", named

    def blocks(self) -> Iterator[str]:
        """The `upstream` blocks. nginx looks for a name in their order: the most used come first."""
        kept = [(place, count) for place, count in self.used.items() if self._is_kept(place)]
        for number, (place, _) in enumerate(sorted(kept, key=lambda each: (-each[1], each[0]))):
            host = f"[{place.host.strip('[]')}]" if ":" in place.host else place.host
            server = quoted(f"{host}:{place.port}")
            yield f"upstream {self.names[place]} {{"
            yield f"    server {server} max_fails=0;"
            yield f"    keepalive {64 if number < 100 else 2};"
            yield "}"

    def _is_kept(self, place: _Place) -> bool:
        return not self.settings.resolvers or place in self.asked_first or is_address(place.host)

    def resolved(self, text: str) -> str:
        """A text with the hosts instead of upstreams that have no block: nginx looks those up for each request."""
        return _UPSTREAM.sub(self._host, text) if self.settings.resolvers else text

    def _host(self, match: re.Match[str]) -> str:
        place = self._places[match[1]]
        return match[0] if self._is_kept(place) else f"://{place.host}:{place.port}"
