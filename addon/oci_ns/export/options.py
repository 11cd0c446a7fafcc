"""What a command line says of an export, read: where to listen, what for, and which options no engine can carry.

Knows the addon's options and `contract.Settings`; no engine, and no command line.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping

from oci_ns.explain import address_of
from oci_ns.export.contract import Listen, NotCarried
from oci_ns.export.tabulation import Address
from oci_ns.reference import split_host

_DNS_PORT = 53
_CARRIED = frozenset(
    {
        *("ns_registries_conf", "ns_registries_conf_d", "ns_default", "ns_client_namespace", "ns_unresolved"),
        *("ns_connect_timeout", "ns_response_timeout"),
        # It changes nothing but how fast mitmproxy is.
        "ns_hook_table",
    }
)
WITHOUT_FORM = {
    "ns_blobs": "the engine passes blobs on itself",
    "ns_authfile": "the engine logs in nowhere: clients send their own login",
    "ns_certs_d": "certificates per endpoint are for the engine's own configuration; --ca names whom to trust",
    "ns_upstream_timeout": "the engine has one time to answer, ns_response_timeout",
    "ns_remember": "the engine tries a registry's endpoints in their order each time",
    "ns_verify_blobs": "the engine does not look into blobs",
    "ns_log_json": "the engine has a log of its own",
    "ns_metrics": "the engine has metrics of its own",
}


def listen_of(text: str) -> Listen:
    """`[HOST:]PORT`; the host is an IP address, IPv6 in brackets. Raises ValueError with the reason."""
    host, colon, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{text!r} is not [HOST:]PORT, with a port of 1 to 65535")
    if not colon:
        return Listen("", int(port))
    address = _address(host.removeprefix("[").removesuffix("]"))
    if address is None or host.startswith("[") != (address.version == 6):
        raise ValueError(f"{host!r} is not an IP address to listen at (IPv6 in brackets)")
    return Listen(str(address), int(port))


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def destination_of(url: str) -> Address:
    """The host that a URL names. Raises ValueError with the reason."""
    address = address_of(url)
    if address.target != "/":
        raise ValueError(f"{url!r} has more than scheme, host and port")
    return Address(address.scheme, address.host, address.port)


def resolver_of(text: str) -> str:
    """A name server's IP address and port, that of DNS where none is given. Raises ValueError with the reason."""
    host, port = split_host(text)
    if _address(host) is None:
        raise ValueError(f"{host!r} is not the IP address of a name server")
    return f"{f'[{host}]' if ':' in host else host}:{port or _DNS_PORT}"


def without_form(options: Mapping[str, str], defaults: Mapping[str, str]) -> Iterator[NotCarried]:
    """The options that are set to something no engine can do."""
    for name, value in options.items():
        if value != defaults[name] and name not in _CARRIED:
            yield NotCarried(f"{name}={value}", WITHOUT_FORM[name])
