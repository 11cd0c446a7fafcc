"""Many registries in little memory: columns of what their tables say, and the registries made of them when asked for.

A table of a hundred thousand registries is a dozen lists; it is built and freed quickly, and the collector of garbage
has nothing to visit in it. Knows no file format and no rules.
"""

from __future__ import annotations

import operator
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

from oci_ns.registries_conf import Endpoint, Origin, PullFromMirror, Registry

BLOCKED = 1
BY_DIGEST_ONLY = 2
"""The bits of a registry's flags."""
INSECURE = 1
PLAIN_HTTP = 2
FORWARD_CREDENTIALS = 4
PULLS = {"all": 0, "digest-only": 8, "tag-only": 16}
"""The bits of an endpoint's flags, and those that stand for its `pull-from-mirror`."""

_PULL_OF = {bits: PullFromMirror(name) for name, bits in PULLS.items()}
_ENDPOINT_FLAGS = [
    (bool(bits & INSECURE), _PULL_OF[pull], bool(bits & PLAIN_HTTP), bool(bits & FORWARD_CREDENTIALS))
    for pull in sorted(_PULL_OF)
    for bits in range(8)
]


class Rows:
    """Registries, numbered from 0, and their endpoints, numbered from 0 through all registries.

    Added to while a configuration is loaded, and never afterwards.
    """

    def __init__(self) -> None:
        self.paths: list[Path] = []
        self.prefixes: list[str] = []
        self.flags = bytearray()
        self.files = array("I")
        """Each registry's file, by its number in `paths`."""
        self.tables = array("I")
        """Each registry's number in its file, from 1."""
        self.ends = array("I")
        """The number of the endpoint behind a registry's last one, which is its primary; its mirrors are before it."""
        self.locations: list[str] = []
        self.namespaces: list[str | None] = []
        self.endpoint_flags = bytearray()
        self.lines = array("I")
        """Each endpoint's line, 0 where it is not known; the primary's is its registry's."""

    def __len__(self) -> int:
        return len(self.prefixes)

    def file(self, path: Path) -> int:
        """The number of a file that registries are going to be added from."""
        if not self.paths or self.paths[-1] != path:
            self.paths.append(path)
        return len(self.paths) - 1

    def add(self, registry: Registry) -> int:
        """Add a registry; its number."""
        for endpoint in registry.endpoints:
            self.locations.append(endpoint.location)
            self.namespaces.append(endpoint.namespace)
            self.endpoint_flags.append(
                (INSECURE if endpoint.insecure else 0)
                | (PLAIN_HTTP if endpoint.plain_http else 0)
                | (FORWARD_CREDENTIALS if endpoint.forward_credentials else 0)
                | PULLS[endpoint.pull_from_mirror.value]
            )
            self.lines.append(endpoint.line or 0)
        self.prefixes.append(registry.prefix)
        self.flags.append(
            (BLOCKED if registry.blocked else 0) | (BY_DIGEST_ONLY if registry.mirror_by_digest_only else 0)
        )
        self.files.append(self.file(registry.path))
        self.tables.append(registry.table)
        self.ends.append(len(self.locations))
        return len(self.prefixes) - 1

    def cut(self, length: int) -> None:
        """Forget the registries from number `length` on."""
        end = self.ends[length - 1] if length else 0
        for by_registry in (self.prefixes, self.flags, self.files, self.tables, self.ends):
            del by_registry[length:]
        for by_endpoint in (self.locations, self.namespaces, self.endpoint_flags, self.lines):
            del by_endpoint[end:]

    def endpoint_hosts(self, number: int) -> Iterator[str]:
        """The host[:port] of each endpoint of a registry, as it is written."""
        for endpoint in range(self.ends[number - 1] if number else 0, self.ends[number]):
            yield self.locations[endpoint].partition("/")[0]

    def owner(self, endpoint: int) -> int:
        """The number of the registry that an endpoint is one of."""
        return bisect_right(self.ends, endpoint)

    def origin(self, number: int) -> Origin:
        """Where a registry was written."""
        return Origin(self.paths[self.files[number]], self.tables[number], self.lines[self.ends[number] - 1] or None)

    def endpoint(self, number: int) -> Endpoint:
        """The endpoint of that number, made anew."""
        insecure, pull, plain_http, forward = _ENDPOINT_FLAGS[self.endpoint_flags[number]]
        return Endpoint(
            self.locations[number],
            insecure,
            pull,
            self.namespaces[number],
            plain_http,
            forward,
            self.lines[number] or None,
            number,
        )

    def registry(self, number: int) -> Registry:
        """The registry of that number, made anew."""
        ends = self.ends
        primary = ends[number] - 1
        mirrors = range(ends[number - 1] if number else 0, primary)
        flags = self.flags[number]
        return Registry(
            self.prefixes[number],
            self.endpoint(primary),
            tuple(map(self.endpoint, mirrors)),
            flags & BLOCKED != 0,
            flags & BY_DIGEST_ONLY != 0,
            self.paths[self.files[number]],
            self.tables[number],
        )


class Registries(Sequence[Registry]):
    """Some rows in some order, as a sequence of registries that are made anew each time they are asked for."""

    def __init__(self, rows: Rows, numbers: Sequence[int]) -> None:
        self.rows = rows
        self.numbers = numbers

    @classmethod
    def of(cls, registries: Iterable[Registry]) -> Registries:
        """Registries that exist already, as rows."""
        if isinstance(registries, Registries):
            return registries
        rows = Rows()
        return cls(rows, array("I", map(rows.add, registries)))

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> Registry: ...

    @overload
    def __getitem__(self, index: slice) -> Registries: ...

    def __getitem__(self, index: int | slice) -> Registry | Registries:
        if isinstance(index, slice):
            return Registries(self.rows, self.numbers[index])
        return self.rows.registry(self.numbers[index])

    def __iter__(self) -> Iterator[Registry]:
        return map(self.rows.registry, self.numbers)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Registries | tuple):
            return len(self) == len(other) and all(map(operator.eq, self, other))
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} registries>"
