"""Where a table of registries may send requests, told from the registries alone and not by the code under test."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from oci_ns.registries_conf import Registry

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*\.?|\[[0-9A-Fa-f:.]+\]"
# Nothing that ends a request line or begins a fragment. What is not ASCII is the client's own.
_URL = re.compile(rf"https?://(?:{_HOST})(?::[1-9][0-9]{{0,4}})?/[^\x00-\x20\x7f#]*")
_ADDRESS = re.compile(rf"(?P<host>{_HOST})(?::(?P<port>[0-9]+))?")
_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")
_PORTS = {"http": 80, "https": 443}


def is_url(text: str) -> bool:
    """Whether the text is one well-formed URL of a registry, to be sent as it is."""
    return _URL.fullmatch(text) is not None


@dataclass(frozen=True)
class Address:
    """A host in lower case, without brackets and without the dot at its end, and a port."""

    host: str
    port: int


def address(scheme: str, text: str) -> Address | None:
    """The address that a host[:port] is over `scheme`; None where it is none."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        return None
    host = match["host"].lower().removesuffix(".").strip("[]")
    port = int(match["port"]) if match["port"] else _PORTS[scheme]
    return Address(_HUB[2] if host in _HUB and port == _PORTS[scheme] else host, port)


@dataclass(frozen=True)
class Places:
    """The endpoints' addresses, and the hosts that wildcard prefixes without a location stand for."""

    endpoints: frozenset[Address]
    suffixes: tuple[str, ...]
    """What those hosts end in; '' for any host."""

    def has(self, place: Address) -> bool:
        """Whether a request may go there."""
        return place in self.endpoints or any(place.host.endswith(suffix) for suffix in self.suffixes)


def places_of(registries: Iterable[Registry]) -> Places:
    """Everywhere that the registries may send a request."""
    endpoints, suffixes = set(), []
    for registry in registries:
        for endpoint in registry.endpoints:
            if not endpoint.location:
                suffixes.append(registry.prefix.lower()[1:])
                continue
            found = address("http" if endpoint.plain_http else "https", endpoint.location.partition("/")[0])
            if found is not None:
                endpoints.add(found)
    return Places(frozenset(endpoints), tuple(suffixes))
