"""The short way of an ordinary pull in nginx: one regular expression and one hash look-up lead to a whole URL.

Knows which requests and which hosts of the table have it: a manifest or blob is asked for by GET or HEAD, in a path that
everybody reads alike and without a query, at a host whose repositories all go one way. What is found is what the maps
of `export_nginx_table` would find; everything else, and every endpoint behind the first, is left to those.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from oci_ns.export_nginx_hops import NOTHING, Hop, Upstreams
from oci_ns.export_nginx_locations import Place
from oci_ns.export_nginx_request import COMPONENT, DIGEST, PLAIN_HOST, TAG
from oci_ns.export_nginx_text import Map, Row, expressions
from oci_ns.tabulation import NamespaceEdit

INLINE = Place(1, "verified", "")
"""Who is served where the request enters."""

_REST = rf"(?:{COMPONENT}/)+(?:manifests/(?:{TAG}|{DIGEST})|blobs/{DIGEST})"
_PATH = rf"(?:(?<oci_plain_first>{COMPONENT})/)?(?<oci_plain_rest>{_REST})"
_ORDINARY = rf"^(?:GET|HEAD) /v2/(?<oci_plain>{_PATH}) HTTP/1\.[01]$"
_PARTS = ("url", "more", "host", "place")


class Quick(NamedTuple):
    """The first place of a way: its URL without what is asked for there, what goes before and behind that."""

    upstreams: Upstreams
    base: str
    put: str
    strip: int
    query: str
    host: str
    place: Place

    def part(self, part: str) -> str:
        """One of the texts that are looked up."""
        asked = "$oci_plain_rest" if self.strip else "$oci_plain"
        if part == "host":
            return self.host
        if part == "place":
            return "" if self.place == INLINE else self.place.quick_name
        is_it = (part == "url") == (self.place == INLINE)
        return f"{self.upstreams.resolved(self.base)}/v2/{self.put}{asked}{self.query}" if is_it else ""


def quick_of(hop: Hop, place: Place, upstreams: Upstreams) -> Quick | None:
    """The short way to a first hop, if it has one: it depends on nothing but the request's path."""
    query = f"?ns={hop.namespace}" if hop.edit == NamespaceEdit.SET.value else ""
    if "$oci_" in f"{hop.base}{hop.authority}{query}" or hop.reference != NOTHING:
        return None
    put = "" if hop.put == NOTHING else f"{hop.put}/"
    return Quick(upstreams, hop.base, put, hop.strip, query, hop.authority, place)


@dataclass
class QuickTable:
    """Which hosts have a short way, and which first components at the hosts that read those.

    None: they are known, and have none.
    """

    hosts: dict[str, Quick | None] = field(default_factory=dict)
    readers: set[str] = field(default_factory=set)
    registries: dict[str, Quick | None] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)
    """What is not taken for a registry where it stands in the path."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing has a short way."""
        return not any((*self.hosts.values(), *self.registries.values()))

    def places(self) -> set[Place]:
        """The locations that it needs, but for the first."""
        found = {each.place for each in (*self.hosts.values(), *self.registries.values()) if each is not None}
        return found - {INLINE}

    def maps(self, destination: str) -> Iterator[Map]:
        """To `$oci_quick_url`, or `$oci_quick_more` at `$oci_quick_place`, and `$oci_quick_host` there.

        `destination` is the host of the table that stands for unknown ones, '' for none.
        """
        yield Map(
            "$request",
            "oci_ordinary",
            expressions=expressions((_ORDINARY, " ")),
            about="Pulls as most are: what is below is looked up for others only.",
        )
        for part in _PARTS:
            if self.readers:
                yield self._map("$http_host", f"oci_quick_own_{part}", part, self.hosts, "", destination)
                others = expressions((r"\.|^localhost$", ""))
                own = f"$oci_quick_own_{part}"
                rows = [Row(name, quick.part(part)) for name, quick in self.registries.items() if quick is not None]
                rows += [Row(name, own) for name in sorted(self.unread)]
                yield Map("$oci_plain_first", f"oci_quick_path_{part}", rows, others, own)
            yield self._map(
                "$oci_ordinary$http_host", f"oci_quick_{part}", part, self.hosts, " ", destination, self.readers
            )

    def _map(
        self,
        source: str,
        variable: str,
        part: str,
        hosts: Mapping[str, Quick | None],
        before: str,
        destination: str,
        readers: Iterable[str] = (),
    ) -> Map:
        reads = frozenset(readers)

        def value(name: str) -> str:
            if name in reads:
                return f"$oci_quick_path_{part}"
            quick = hosts.get(name)
            return "" if quick is None else quick.part(part)

        rows = [Row(before + name, text) for name in hosts if (text := value(name)) or destination]
        others = [(f"^{before}{PLAIN_HOST}$", value(destination))] if destination else []
        return Map(source, variable, rows, expressions(*others))
