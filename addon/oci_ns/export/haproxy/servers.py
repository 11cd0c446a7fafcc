"""The places that HAProxy connects to, one backend for each: how they are named, addressed, and verified.

Knows backends and servers; not what is asked for there.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field

from oci_ns.decision import url_of
from oci_ns.export.contract import NotCarried, Settings
from oci_ns.export.haproxy.text import shown, word
from oci_ns.export.tabulation import Address, Part
from oci_ns.reference import DEFAULT_PORTS, registry_name, split_host

OWN_MAX = 256
"""How many hosts have a backend though only who addresses them is sent there; of more, names are looked up on demand.

Each server that speaks TLS takes milliseconds at the start.
"""


@dataclass(frozen=True, slots=True)
class Place:
    """One backend. `or_plain` is whether http is spoken there where there is no TLS."""

    scheme: str
    host: str
    port: int
    insecure: bool = False
    or_plain: bool = False

    @property
    def name(self) -> str:
        """What the backend is called."""
        how = "-or-http" if self.or_plain else "-unverified" if self.insecure else ""
        return f"to-{self.scheme}-{self.host}:{self.port}{how}"


@dataclass(slots=True)
class Servers:
    """The places that are known so far. `owns` is how many hosts there are to be sent to as they are addressed."""

    settings: Settings
    owns: int = 0
    any_schemes: set[str] = field(default_factory=set)
    """The schemes by which a host is spoken to that only the request names."""
    left_out: list[NotCarried] = field(default_factory=list)
    _places: dict[Place, str] = field(default_factory=dict)
    """Each with the entry that it comes from."""
    _by_name: dict[str, Place] = field(default_factory=dict)

    def endpoint(self, address: Address, insecure: bool, entry: str) -> tuple[str, str]:
        """The backend of an endpoint, and its Host."""
        if isinstance(address.host, Part):
            return self.any_host(address.scheme), "*"
        place = Place(address.scheme, address.host, address.port, *(insecure and address.scheme == "https",) * 2)
        return self._noted(place, entry), host_field(address.scheme, address.host, address.port)

    def own(self, scheme: str, host: str, port: int | None, insecure: bool) -> str:
        """The backend of an addressed host itself."""
        place = Place(scheme, host, port or DEFAULT_PORTS[scheme], insecure and scheme == "https")
        if place in self._places or self.owns <= OWN_MAX or _is_address(host):
            return self._noted(place, "")
        return self.any_host(scheme)

    def any_host(self, scheme: str) -> str:
        """The backend for hosts that only the request names."""
        self.any_schemes.add(scheme)
        return f"any-{scheme}"

    def there(self, backend: str) -> str:
        """The URL and the name of what a backend connects to."""
        return " ".join(_there(self._by_name[backend]))

    def _noted(self, place: Place, entry: str) -> str:
        if place not in self._places:
            self._places[place] = entry
            self._by_name[place.name] = place
            if place.scheme == "https" and not place.insecure and _is_address(place.host):
                why = "HAProxy verifies names in certificates, not addresses"
                self.left_out.append(NotCarried(f"TLS at {place.host}", why, entry))
        return place.name

    def text(self) -> Iterator[str]:
        """The backends' sections, line by line."""
        for place, entry in sorted(self._places.items(), key=lambda item: item[0].name):
            yield ""
            if entry:
                yield f"# {shown(entry)}"
            yield from self._backend(place)
        for scheme in sorted(self.any_schemes):
            yield from self._any(scheme)

    def _backend(self, place: Place) -> Iterator[str]:
        yield f"backend {word(place.name)} from endpoints"
        there, name = _there(place)
        yield f"  http-request set-var(txn.there) str({there})"
        yield f"  http-request set-var(txn.there_name) str({name})"
        if place.or_plain:
            plain = 80 if place.port == 443 else place.port
            yield "  # http is spoken where TLS cannot be agreed on, before the request has left."
            yield "  balance first"
            yield "  retries 1"
            yield "  option redispatch 1"
            yield "  retry-on conn-failure"
            yield self._server("tls", place)
            yield self._server("plain", Place("http", place.host, plain))
        else:
            yield self._server("at", place)

    def _server(self, name: str, place: Place) -> str:
        looked_up = " init-addr libc,none"
        if _is_address(place.host):
            looked_up = ""
        elif self.settings.resolvers:
            looked_up += " resolvers names"
        return f"  server {name} {_literal(place.host)}:{place.port}{self._tls(place)}{looked_up}"

    def _tls(self, place: Place) -> str:
        if place.scheme != "https":
            return ""
        name = "" if _is_address(place.host) else f" sni str({place.host})"
        if place.insecure:
            return f" ssl verify none{name}"
        checked = f" verifyhost {place.host}" if name else ""
        return f" ssl verify required ca-file {word(self.settings.authorities)}{name}{checked}"

    def _any(self, scheme: str) -> Iterator[str]:
        tls, alias = "", 'var(txn.to),regsub("^(?:index|registry-1)[.]docker[.]io$","docker.io")'
        brackets, literal = '"[][]","",g', "{ var(txn.dns) -m reg '^[0-9.]+$|^[[]' }"
        if scheme == "https":
            tls = f" ssl verify required ca-file {word(self.settings.authorities)} sni var(txn.dns)"
        yield from (
            "",
            f"backend any-{scheme} from endpoints",
            '  http-request set-var(txn.dns) \'var(txn.to),regsub(":[0-9]*$","")\'',
            f"  http-request set-var(txn.port) int({DEFAULT_PORTS[scheme]})",
            "  http-request set-var(txn.port) 'var(txn.to),regsub(\"^.*:\",\"\")' if { var(txn.to) -m reg ':[0-9]+$' }",
            f"  http-request set-var(txn.ip) 'var(txn.dns),regsub({brackets})' if {literal}",
            "  http-request do-resolve(txn.ip,names,ipv4) var(txn.dns) unless { var(txn.ip) -m found }",
            f"  {_answer_unknown()} unless {{ var(txn.ip) -m found }}",
            "  http-request set-dst var(txn.ip)",
            "  http-request set-dst-port var(txn.port)",
            f"  http-request set-var-fmt(txn.there) {scheme}://%[var(txn.to)]",
            f"  http-request set-var(txn.there_name) '{alias}'",
            f"  server any 0.0.0.0:0{tls}",
        )

    def resolvers(self) -> Iterator[str]:
        """The name servers' section, where one is needed."""
        if not self.any_schemes and not self.settings.resolvers:
            return
        yield from ("", "resolvers names")
        if not self.settings.resolvers:
            yield "  parse-resolv-conf"
        for number, server in enumerate(self.settings.resolvers):
            host, port = split_host(server)
            yield f"  nameserver ns{number} {_literal(host)}:{port or 53}"
        yield from ("  hold valid 30s", "  resolve_retries 2", "  timeout resolve 1s", "  timeout retry 1s")
        yield "  accepted_payload_size 4096"


def _answer_unknown() -> str:
    body = '{"errors": [{"code": "UNAVAILABLE", "message": "the name of the registry cannot be looked up"}]}'
    return f"http-request return status 502 content-type application/json string '{body}'"


def _there(place: Place) -> tuple[str, str]:
    """The URL of what is there, and its name as a registry."""
    return url_of(place.scheme, place.host, place.port, ""), registry_name(place.scheme, place.host, place.port)


def host_field(scheme: str, host: str, port: int) -> str:
    """The value of Host there."""
    return _literal(host) if port == DEFAULT_PORTS[scheme] else f"{_literal(host)}:{port}"


def _literal(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
