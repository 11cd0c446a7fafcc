"""HAProxy's map files of a tabulation: each look-up of the table is one look-up of a key put together.

Knows which files there are, and what their keys and values say; what is written there is in `filling`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from oci_ns.export.contract import NotCarried
from oci_ns.export.haproxy.quick import Quick
from oci_ns.export.haproxy.text import MapFile
from oci_ns.export.tabulation import Kind, NamespaceEdit, Part

NONE = "-"
"""A field that says nothing."""
SELF = "="
"""The addressed host's own backend, or Host field."""
SOURCE = "*"
"""The source registry, where a name stands."""

KINDS = {Kind.ROOT: "r", Kind.BY_TAG: "t", Kind.BY_DIGEST: "d", Kind.BLOB: "b", Kind.REST: "x"}
"""The letter that the rules have for each kind, in the order of the fields of `ways`."""
EDITS = {NamespaceEdit.LEAVE: "L", NamespaceEdit.DROP: "D", NamespaceEdit.FIRST: "F", NamespaceEdit.SET: "S"}
PARTS = {Part.SOURCE: "S", Part.ADDRESSED: "A", Part.NAMESPACE: "N", Part.PATH: "P", Part.SUBJECT: "I"}


def _file(name: str, about: str) -> Callable[[], MapFile]:
    return lambda: MapFile(f"{name}.map", about)


@dataclass(slots=True)
class Maps:
    """The files, and what the rules have to know of them."""

    hosts: MapFile = field(
        default_factory=_file(
            "hosts", "host or .suffix: its number, scopes without and with an unknown ns, p: reads paths, backend"
        )
    )
    namespaces: MapFile = field(
        default_factory=_file("namespaces", "number of the host|registry that ns names: scopes")
    )
    roots: MapFile = field(default_factory=_file("roots", "scopes: ways of what has no repository, ways of all others"))
    exactly: MapFile = field(default_factory=_file("exactly", "scopes/repository, with its reference or not: ways"))
    below: MapFile = field(default_factory=_file("below", "scopes/repository/, for what lies under it: ways"))
    paths: MapFile = field(default_factory=_file("paths", "registry/repository in the path of a proxy: ways"))
    paths_below: MapFile = field(default_factory=_file("paths-below", "registry/…/ in the path of a proxy: ways"))
    path_patterns: MapFile = field(
        default_factory=_file("path-patterns", "number of the host or nothing|.suffix of a registry in the path: ways")
    )
    ways: MapFile = field(
        default_factory=_file("ways", "ways: steps in order, or !refusal, of root|by-tag|by-digest|blob|rest")
    )
    steps: MapFile = field(
        default_factory=_file(
            "steps",
            "step: backend, Host, components dropped, put before, reference, edit of ns, ns, k: keeps credentials",
        )
    )
    refusals: MapFile = field(default_factory=_file("refusals", "refusal: status|JSON with what the request fills in"))
    put_back: MapFile = field(
        default_factory=_file("put-back", "step:path that an answer refers to: components that are the endpoint's own")
    )
    quick: Quick = field(default_factory=Quick)
    strips: set[int] = field(default_factory=set)
    puts: set[int] = field(default_factory=set)
    most_steps: int = 1
    message_parts: int = 1
    statuses: set[int] = field(default_factory=set)
    host_suffixes: set[int] = field(default_factory=set)
    """How many labels the patterns of addressed hosts have."""
    namespace_suffixes: set[int] = field(default_factory=set)
    path_suffixes: set[int] = field(default_factory=set)
    has_any_host: bool = False
    left_out: list[NotCarried] = field(default_factory=list)

    def files(self) -> Iterator[MapFile]:
        """All of them."""
        yield from (self.hosts, self.namespaces, self.roots, self.exactly, self.below, self.paths, self.paths_below)
        yield from (self.path_patterns, self.ways, self.steps, self.refusals, self.put_back)
        yield from self.quick.files()
