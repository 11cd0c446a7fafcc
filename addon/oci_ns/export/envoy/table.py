"""A tabulation as Lua's tables: a line for each part, with the entry that it comes from.

The code that reads them is in `lua`. Parts that are the same are written once and named by their number.
LuaJIT takes no more than 65,536 constants in one function, so the lines stand in functions of a few hundred.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TypeVar

from oci_ns.export.tabulation import Host, Kind, NamespaceEdit, Part, Scopes, Step, Tabulation, Way, Ways

_LINES = 300
"""How many lines a function has; each has a few constants, and no more than `_KEYS` keys."""
_KEYS = 50
_KINDS = {
    id(Kind.ROOT): "root",
    id(Kind.BY_TAG): "tag",
    id(Kind.BY_DIGEST): "digest",
    id(Kind.BLOB): "blob",
    id(Kind.REST): "rest",
}
"""By identity: enumerations are slow keys."""
_PARTS = {Part.SOURCE: 1, Part.ADDRESSED: 2, Part.NAMESPACE: 3, Part.PATH: 4, Part.SUBJECT: 5}
_EDITS = {
    NamespaceEdit.LEAVE: "leave",
    NamespaceEdit.DROP: "drop",
    NamespaceEdit.FIRST: "first",
    NamespaceEdit.SET: "set",
}
_is_plain = re.compile(r"[ !#-\[\]-~]*").fullmatch

V = TypeVar("V")


def quoted(text: str) -> str:
    """The text as a Lua string of printable ASCII characters on one line."""
    if _is_plain(text):
        return f'"{text}"'
    escaped = (chr(byte) if 32 <= byte < 127 and byte not in (34, 92) else f"\\{byte:03d}" for byte in _bytes(text))
    return f'"{"".join(escaped)}"'


def comment(text: str) -> str:
    """The text as the rest of a line's comment, of printable ASCII characters."""
    return "".join(character if " " <= character <= "~" else "?" for character in text)


def lines_of(table: Tabulation) -> Iterator[str]:
    """The table, line by line."""
    lines = _Lines(table).lines
    for begin in range(0, len(lines), _LINES):
        yield "(function()"
        yield from lines[begin : begin + _LINES]
        yield "end)();"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _truth(value: bool) -> str:
    return "true" if value else "false"


class _Lines:
    def __init__(self, table: Tabulation) -> None:
        self.lines: list[str] = []
        self._steps: dict[tuple[Step, str], int] = {}
        self._ways: dict[object, int] = {}
        self._by_kind: dict[tuple[tuple[str, int], ...], int] = {}
        self._scopes: dict[object, int] = {}
        self._known: dict[int, int] = {}
        """The numbers of what is written, by identity: the table keeps all of it."""
        for name, host in table.hosts.items():
            self._host(name, host)
        self._map("paths.exactly", self._numbers(table.paths.exactly))
        self._map("paths.below", self._numbers(table.paths.below))
        self._map("paths.patterns", self._numbers(table.paths.patterns))

    def _host(self, name: str, host: Host) -> None:
        plain, other = self._scopes_of(host.plain), self._scopes_of(host.other_namespace)
        names = {spoken: str(self._scopes_of(scopes)) for spoken, scopes in host.by_namespace.items()}
        place = f"hosts[{quoted(name)}]"
        few = len(names) <= _KEYS
        fields = [f"plain={plain}", f"other={other}", f"names={_literal(names) if few else '{}'}"]
        if host.reads_paths:
            fields.append("reads=true")
        if host.patterns:
            fields.append("patterns={}")
        self.lines.append(f"{place} = {{{', '.join(fields)}}}")
        if not few:
            self._map(f"{place}.names", names)
        self._map(f"{place}.patterns", self._numbers(host.patterns))

    def _map(self, place: str, entries: Mapping[str, str]) -> None:
        """Entries that a table has more of than one function has constants: a line each."""
        self.lines.extend(f"{place}[{quoted(key)}] = {number}" for key, number in entries.items())

    def _numbers(self, entries: Mapping[str, Ways | None]) -> dict[str, str]:
        return {key: "false" if ways is None else str(self._ways_of(ways)) for key, ways in entries.items()}

    def _scopes_of(self, scopes: Scopes) -> int:
        known = self._known.get(id(scopes))
        if known is not None:
            return known
        root = self._ways_of(scopes.root)
        exactly = {key: str(self._ways_of(ways)) for key, ways in scopes.exactly.items()}
        below = {key: str(self._ways_of(ways)) for key, ways in scopes.below.items()}
        few = len(exactly) + len(below) <= _KEYS
        number = len(self._scopes) + 1
        same = (root, *exactly.items(), None, *below.items()) if few else number
        known = self._known[id(scopes)] = self._scopes.setdefault(same, number)
        if known != number:
            return known
        fields = [f"root={root}"]
        if exactly:
            fields.append(f"exactly={_literal(exactly) if few else '{}'}")
        fields.append(f"below={_literal(below) if few else '{}'}")
        self.lines.append(f"scopes[{number}] = {{{', '.join(fields)}}}")
        if not few:
            self._map(f"scopes[{number}].exactly", exactly)
            self._map(f"scopes[{number}].below", below)
        return number

    def _ways_of(self, ways: Ways) -> int:
        known = self._known.get(id(ways))
        if known is not None:
            return known
        by_kind = tuple([(_KINDS[id(kind)], self._way_of(way)) for kind, way in ways.items()])
        number = len(self._by_kind) + 1
        known = self._known[id(ways)] = self._by_kind.setdefault(by_kind, number)
        if known == number:
            self.lines.append(f"ways[{number}] = {{{', '.join(f'{kind}={way}' for kind, way in by_kind)}}}")
        return known

    def _way_of(self, way: Way) -> int:
        known = self._known.get(id(way))
        if known is None:
            known = self._known[id(way)] = self._way_found(way)
        return known

    def _way_found(self, way: Way) -> int:
        steps = tuple([self._step_of(step) for step in way.steps])
        same = (steps, way.refusal, way.entry)
        number = len(self._ways) + 1
        known = self._ways.setdefault(same, number)
        if known == number:
            text = self._refusal(way) if way.refusal is not None else ", ".join(map(str, steps))
            self._line(f"way[{number}] = {{{text}}}", way.entry)
        return known

    def _refusal(self, way: Way) -> str:
        refusal = way.refusal
        if refusal is None:
            raise ValueError("a way without a refusal")
        message = (str(_PARTS[part]) if isinstance(part, Part) else quoted(part) for part in refusal.message)
        fields = [
            f"status={refusal.status}",
            f"code={quoted(refusal.code)}",
            f"message={{{', '.join(message)}}}",
            f"detail={quoted(refusal.detail)}",
            f"greeted={_truth(refusal.is_greeted)}",
        ]
        return ", ".join(fields)

    def _step_of(self, step: Step) -> int:
        known = self._known.get(id(step))
        if known is None:
            known = self._known[id(step)] = self._step_found(step)
        return known

    def _step_found(self, step: Step) -> int:
        number = len(self._steps) + 1
        known = self._steps.setdefault((step, step.entry), number)
        if known != number:
            return known
        scheme = host = "false"
        port = 0
        if step.to is not None:
            scheme, port = quoted(step.to.scheme), step.to.port
            host = "false" if isinstance(step.to.host, Part) else quoted(step.to.host)
            if step.insecure and isinstance(step.to.host, str):
                self.lines.append(f"insecure[{quoted(f'{step.to.host.lower()}:{port}')}] = true")
        namespace = quoted(step.namespace) if isinstance(step.namespace, str) else "false"
        fields = [
            scheme,
            host,
            str(port),
            str(step.strip),
            quoted(step.put),
            quoted(step.reference),
            quoted(_EDITS[step.edit]),
            namespace,
            _truth(step.keeps_credentials),
            _truth(step.insecure),
        ]
        self._line(f"step[{number}] = {{{', '.join(fields)}}}", step.entry)
        return number

    def _line(self, text: str, entry: str) -> None:
        self.lines.append(f"{text} -- {comment(entry)}" if entry else text)


def _literal(entries: Mapping[str, str]) -> str:
    return f"{{{', '.join(f'[{quoted(key)}]={number}' for key, number in entries.items())}}}"
