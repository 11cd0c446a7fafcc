"""The short way of an ordinary pull in nginx: one regular expression and one hash look-up lead to a whole URL.

Knows how these are looked up (`ordinary` says which pulls are ordinary, and where they go). What is found is
what the maps of `table` would find; all others, and endpoints behind the first, are left to those.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from oci_ns.export.nginx.hops import NOTHING, Hop
from oci_ns.export.nginx.locations import Place
from oci_ns.export.nginx.request import COMPONENT, DIGEST, PLAIN_HOST, TAG
from oci_ns.export.nginx.text import Map, Row, expressions
from oci_ns.export.nginx.upstreams import Upstreams
from oci_ns.export.tabulation import NamespaceEdit

_REST = rf"(?:{COMPONENT}/)+(?:manifests/(?:{TAG}|{DIGEST})|blobs/{DIGEST})"
_PATH = rf"(?:(?<oci_plain_first>{COMPONENT})/)?(?<oci_plain_rest>{_REST})"
_ORDINARY = rf"^[^A-Z ]* (?:GET|HEAD) /v2/(?<oci_plain>{_PATH}) HTTP/1\.[01]$"
_HOST_LIKE = r"\.|^localhost$"
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

    def part(self, part: str, inline: Place) -> str:
        """One of the texts that are looked up; `inline` is who is served where the request enters."""
        asked = "$oci_plain_rest" if self.strip else "$oci_plain"
        if part == "host":
            return self.host
        if part == "place":
            return "" if self.place == inline else self.place.quick_name
        is_it = (part == "url") == (self.place == inline)
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
    """Which hosts have a short way; None: they are known, and have none.

    `readers` are the hosts at which the first component counts, and whether it may be a registry's; `firsts` has it
    behind the host's name. `registries` and `unread` are what is, and is not, taken for a registry at all of them.
    """

    hosts: dict[str, Quick | None] = field(default_factory=dict)
    readers: dict[str, bool] = field(default_factory=dict)
    firsts: dict[str, Quick | None] = field(default_factory=dict)
    registries: dict[str, Quick | None] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)
    listening: bool = False
    """Whether the listener stands for a host."""

    def _all(self) -> Iterator[Quick]:
        for found in (self.hosts, self.firsts, self.registries):
            yield from filter(None, found.values())

    @property
    def is_empty(self) -> bool:
        """Whether nothing has a short way."""
        return not any(self._all())

    def places(self) -> set[Place]:
        """The locations that it needs, but for that where the request enters."""
        return {each.place for each in self._all() if each.place != self.inline}

    @functools.cached_property
    def inline(self) -> Place:
        """Who is served where the request enters: most of them, of those that the listener is there for.

        A listener that stands for a host sends most requests on to that; else they are for other endpoints.
        """
        counts = Counter(each.place for each in self._all())
        kept = self.listening
        return min(counts, key=lambda place: (place.mode.endswith("-kept") != kept, -counts[place], place))

    def maps(self, destination: str) -> Iterator[Map]:
        """To `$oci_quick_url`, or `$oci_quick_more` at `$oci_quick_place`, and `$oci_quick_host` there.

        `destination` is the host of the table that stands for unknown ones, '' for none.
        """
        yield Map(
            "$http_host $request",
            "oci_ordinary",
            expressions=expressions((_ORDINARY, " ")),
            about="Pulls as most are: what is below is looked up for others only.",
        )
        asks = any(self.readers.values())
        if self.readers:
            unknown = expressions((f"^{PLAIN_HOST}$", destination)) if destination else []
            known = [Row(name, name) for name in self.hosts] if destination else []
            yield Map("$http_host", "oci_quick_at", known, unknown, "$http_host")
        for part in _PARTS:
            if self.readers:
                own, path = f"$oci_quick_own_{part}", f"$oci_quick_path_{part}"
                yield Map("$oci_quick_at", f"oci_quick_own_{part}", list(self._rows(self.hosts, part)))
                if asks:
                    rows = [*self._rows(self.registries, part), *(Row(name, own) for name in sorted(self.unread))]
                    yield Map("$oci_plain_first", f"oci_quick_path_{part}", rows, expressions((_HOST_LIKE, "")), own)
                    reading = [Row(name, path) for name, reads in self.readers.items() if reads]
                    yield Map("$oci_quick_at", f"oci_quick_rest_{part}", reading, default=own)
                rows = [Row(key, self._text(quick, part)) for key, quick in self.firsts.items()]
                rest = f"$oci_quick_rest_{part}" if asks else own
                yield Map("$oci_quick_at/$oci_plain_first", f"oci_quick_first_{part}", rows, default=rest)
            yield self._entrance(part, destination)

    def _entrance(self, part: str, destination: str) -> Map:
        """What an ordinary request is looked up in first, by its Host behind a space, which no Host has."""

        def value(name: str) -> str:
            return f"$oci_quick_first_{part}" if name in self.readers else self._text(self.hosts.get(name), part)

        rows = [Row(f" {name}", text) for name in self.hosts if (text := value(name)) or destination]
        others = [(f"^ {PLAIN_HOST}$", value(destination))] if destination else []
        return Map("$oci_ordinary$http_host", f"oci_quick_{part}", rows, expressions(*others))

    def _text(self, quick: Quick | None, part: str) -> str:
        return "" if quick is None else quick.part(part, self.inline)

    def _rows(self, found: Mapping[str, Quick | None], part: str) -> Iterator[Row]:
        return (Row(name, text) for name, quick in found.items() if (text := self._text(quick, part)))
