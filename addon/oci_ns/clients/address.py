"""Where a client finds ns-inject: a URL of scheme, host and port, in which nothing needs escaping anywhere."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from oci_ns.reference import DEFAULT_PORTS, split_host


@dataclass(frozen=True, slots=True)
class ProxyAddress:
    """`host` is a DNS name or an IP address, IPv6 without brackets."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """host:port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL, with its port even where that is the scheme's own."""
        return f"{self.scheme}://{self.authority}"

    @property
    def registry(self) -> str:
        """The authority as image names have it: without the port where that is the scheme's own.

        With it where the host alone would be read as the first part of a repository of Docker Hub.
        """
        if "." not in self.host and self.host != "localhost":
            return self.authority
        return self.authority.removesuffix(f":{DEFAULT_PORTS[self.scheme]}")

    @property
    def is_address(self) -> bool:
        """Whether the host is an IP address."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return True


def parse_proxy(text: str, schemes: tuple[str, ...] = ("http", "https")) -> ProxyAddress:
    """Read `scheme://host[:port]`, a slash at the end allowed. Raises ValueError, with the reason."""
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in schemes:
        raise ValueError(f"{text!r} does not begin with {' or '.join(f'{each}://' for each in schemes)}")
    authority = rest.removesuffix("/")
    if "@" in authority:
        raise ValueError(f"{text!r} has a user name in it, which would stand in files that anybody can read")
    if any(mark in authority for mark in "/?#"):
        raise ValueError(f"{text!r} has more than scheme, host and port")
    try:
        host, port = split_host(authority)
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from None
    if authority.startswith("["):
        # The grammar of image names lets more pass between brackets.
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise ValueError(f"{text!r}: [{host}] is not an IPv6 address") from None
    return ProxyAddress(scheme, host.lower().removesuffix("."), port or DEFAULT_PORTS[scheme])
