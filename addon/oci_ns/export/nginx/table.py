"""A `Tabulation` as rows of look-ups: what is the same stands there once, under a number.

Knows which rows there are; how a request comes to them is in `maps`. What is found in the end is a line of
words (`hops`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from oci_ns.export.nginx.hops import (
    NEVER,
    OWN,
    Asker,
    Hop,
    Hops,
    as_sent,
    entry_of,
    is_carried_host,
    is_for_the_asker,
)
from oci_ns.export.nginx.locations import Place
from oci_ns.export.nginx.quick import Quick, QuickTable, quick_of
from oci_ns.export.nginx.text import Row, literal
from oci_ns.export.nginx.upstreams import authority
from oci_ns.export.ordinary import in_paths, known_hosts
from oci_ns.export.tabulation import ANY, ITSELF, Address, Host, Kind, Paths, Scopes, Step, Tabulation, Ways
from oci_ns.reference import DEFAULT_PORTS, DOCKER_HUB, DOCKER_HUB_NAMES, split_host

_KINDS = {
    id(Kind.ROOT): "root",
    id(Kind.BY_TAG): "tag",
    id(Kind.BY_DIGEST): "digest",
    id(Kind.BLOB): "blob",
    id(Kind.REST): "rest",
}
"""By identity: enumerations are slow keys."""
_is_carried_key = re.compile(r"(?:(?![A-Z!])[!-~])*(?:[:@][A-Za-z0-9._:=+-]+)?").fullmatch
_UNCLEAR = (":80", ":443")
"""What a host ends with that is refused, or is another's name."""
EVERYTHING = "$oci_everything"


def is_pattern(name: str) -> bool:
    """Whether a key stands for many hosts."""
    return name == ANY or name.startswith("*.")


@dataclass
class Rows:
    """The rows of each look-up."""

    hosts: list[Row] = field(default_factory=list)
    spoken: list[Row] = field(default_factory=list)
    named: list[Row] = field(default_factory=list)
    itself: list[Row] = field(default_factory=list)
    other: list[Row] = field(default_factory=list)
    root: list[Row] = field(default_factory=list)
    everything: list[Row] = field(default_factory=list)
    exactly: list[Row] = field(default_factory=list)
    referenced: dict[str, list[str]] = field(default_factory=dict)
    below: dict[int, list[Row]] = field(default_factory=dict)
    readers: list[Row] = field(default_factory=list)
    patterns: list[Row] = field(default_factory=list)
    paths_exactly: list[Row] = field(default_factory=list)
    paths_referenced: dict[str, list[str]] = field(default_factory=dict)
    paths_below: dict[int, list[Row]] = field(default_factory=dict)
    paths_patterns: list[Row] = field(default_factory=list)
    ways: list[Row] = field(default_factory=list)
    kinds: list[Row] = field(default_factory=list)


class Tables:
    """The look-ups of one table. `ids` has the hosts' own names there, `own_unverified` who is not verified."""

    def __init__(self, table: Tabulation, hops: Hops) -> None:
        self.table = table
        self.hops = hops
        self.rows = Rows()
        self._ways: dict[tuple[tuple[str, str], ...], str] = {}
        self._of_ways: dict[tuple[int, int, bool, bool], tuple[Ways, str]] = {}
        """By the identity of the ways and of the asker (0: any), as the others: enumerations are slow keys."""
        self._are_for_one: dict[int, bool] = {}
        """By the identity of the ways, which `_of_ways` keeps: whether their words are not the same for all askers."""
        self._scopes: dict[tuple[tuple[str, str, str], ...], str] = {}
        self._shared: dict[tuple[int, int, bool], tuple[Scopes, str]] = {}
        self.ids: dict[str, str] = {}
        self.own_unverified: set[str] = set()
        self.has_patterns = False
        self.quick = QuickTable(listening=hops.settings.destination is not None)
        self._firsts: dict[str, tuple[Hop, Place] | None] = {}
        for name, host in table.hosts.items():
            self._add_host(name, host)
        self._add_paths(table.paths)
        self._add_quick()

    def _add_host(self, name: str, host: Host) -> None:
        if not is_pattern(name) and not is_carried_host(name):
            self.hops.note("a name that is no host's", f"{name} breaks the grammar", _entry(host.plain))
            return
        rows, number = self.rows, f"h{len(self.ids) + 1}"
        self.ids[name] = number
        told = _entry(host.plain)
        if name == ANY:
            self.has_patterns = True
        else:
            rows.hosts.append(Row(name, number, told))
            self.has_patterns |= is_pattern(name)
        greets, stays = not host.reads_paths, self.hops.finds(name)
        self._add_scopes(number, self._rendered(host.plain, Asker.HOST, stays=stays, greets=greets))
        if next((step.insecure for step in _steps(host) if step.to is None), False):
            self.own_unverified.add(name)
        if host.reads_paths:
            rows.readers.append(Row(number, "1", name))
        if host.patterns:
            merged = {**self.table.paths.patterns, **host.patterns}
            for pattern, ways in merged.items():
                rows.patterns.append(Row(f"{pattern}.{number}", self.told(ways), name))
        if self.table.reads_namespaces:
            self._add_namespaces(number, name, host)

    def _add_namespaces(self, number: str, name: str, host: Host) -> None:
        rows, stays = self.rows, self.hops.finds(name)
        for spoken, scopes in host.by_namespace.items():
            found = self._number(scopes, Asker.NAMESPACE, stays)
            if spoken == ITSELF:
                rows.itself.append(Row(f"itself {number}", found, name))
            elif is_pattern(spoken) or is_carried_host(spoken):
                self.has_patterns |= is_pattern(spoken)
                rows.spoken.append(Row(f"{spoken}.{number}", found, f"ns={spoken} at {name}"))
            elif as_sent(spoken) != NEVER:
                rows.named.append(Row(f"{as_sent(spoken)} {number}", found, f"ns={spoken} at {name}"))
        rows.other.append(Row(number, self._number(host.other_namespace, Asker.NAMESPACE, stays), name))

    def _number(self, scopes: Scopes, asker: Asker, stays: bool) -> str:
        known = self._shared.get((id(scopes), id(asker), stays))
        if known is not None:
            return known[1]
        rendered = self._rendered(scopes, asker, stays=stays, greets=False)
        identity = tuple(rendered)
        number = self._scopes.get(identity)
        if number is None:
            number = self._scopes[identity] = f"s{len(self._scopes) + 1}"
            self._add_scopes(number, rendered)
        self._shared[id(scopes), id(asker), stays] = (scopes, number)
        return number

    def _rendered(self, scopes: Scopes, asker: Asker, *, stays: bool, greets: bool) -> list[tuple[str, str, str]]:
        found = [("root", "", self._way_number(scopes.root, asker, stays=stays, greets=greets))]
        found += [("exactly", key, self._way_number(ways, asker, stays=stays)) for key, ways in scopes.exactly.items()]
        found += [("below", key, self._way_number(ways, asker, stays=stays)) for key, ways in scopes.below.items()]
        return found

    def _add_scopes(self, number: str, rendered: Iterable[tuple[str, str, str]]) -> None:
        rows = self.rows
        for where, key, ways in rendered:
            if where == "root":
                rows.root.append(Row(number, ways))
            elif where == "below" and key == "":
                rows.everything.append(Row(number, ways))
            elif self._is_carried(key):
                if where == "below":
                    rows.below.setdefault(key.count("/") + 1, []).append(Row(f"{number} {key}", ways))
                else:
                    _add_exactly(rows.exactly, rows.referenced, f"{number} ", key, ways)

    def _is_carried(self, key: str) -> bool:
        if _is_carried_key(key):
            return True
        self.hops.note("an unusual location or prefix", f"nginx cannot tell {key} from others: write it in lower case")
        return False

    def _way_number(self, ways: Ways, asker: Asker, *, stays: bool = True, greets: bool = False) -> str:
        is_for_one = self._are_for_one.get(id(ways))
        if is_for_one is None:
            is_for_one = self._are_for_one[id(ways)] = any(map(is_for_the_asker, ways.values()))
        key = (id(ways), id(asker) if is_for_one else 0, stays, greets)
        known = self._of_ways.get(key)
        if known is not None:
            return known[1]
        texts: dict[str, str] = {}
        last, text = None, ""
        for kind, way in ways.items():
            pulls = kind is not Kind.REST
            if way is not last or kind is Kind.ROOT or not pulls:
                greeted = greets and kind is Kind.ROOT and way.refusal is not None and way.refusal.status == 403
                text = self.hops.way(way, asker, stays=stays, pulls=pulls, greets=greeted)
                last = None if kind is Kind.ROOT else way
            texts[_KINDS[id(kind)]] = text
        identity = tuple(texts.items())
        number = self._ways.get(identity)
        if number is None:
            number = self._ways[identity] = f"w{len(self._ways) + 1}"
            self._add_ways(number, texts, entry_of([*ways.values()]))
            self._firsts[number] = self._first_of(texts)
        self._of_ways[key] = (ways, number)
        return number

    def _first_of(self, texts: Mapping[str, str]) -> tuple[Hop, Place] | None:
        """Where all manifests and blobs go first."""
        way = texts.get("tag", "")
        return self.hops.firsts.get(way) if way == texts.get("digest", "") == texts.get("blob", "") else None

    def _quick(self, name: str, ways: Ways | None, asker: Asker, strip: int) -> Quick | None:
        """The short way of requests that address the host `name`, '' for any; of as many components as `strip`."""
        stays = not name or self.hops.finds(name)
        first = None if ways is None else self._firsts[self._way_number(ways, asker, stays=stays)]
        if first is None or first[0].strip > strip:
            return None
        hop, place = first
        if name and hop.base == OWN:
            to = self.address(name)
            base = self.hops.upstreams.base(to, name in self.own_unverified)
            hop = hop._replace(base=base, authority=literal(authority(to.scheme, str(to.host), to.port)))
        return quick_of(hop, place, self.hops.upstreams)

    def _add_quick(self) -> None:
        """Whose ordinary pulls are found the short way."""
        quick = self.quick
        for host, found in known_hosts(self.table).items():
            if host not in self.ids:
                continue
            for name in sorted(DOCKER_HUB_NAMES) if host == DOCKER_HUB else (host,):
                if name.endswith(_UNCLEAR):
                    quick.hosts[name] = None
                    continue
                quick.hosts[name] = self._quick(name, found.others, Asker.HOST, 0)
                if found.firsts or found.reads_paths:
                    quick.readers[name] = found.reads_paths
                for first, ways in found.firsts.items():
                    quick.firsts[f"{name}/{first}"] = self._quick(name, ways, Asker.HOST, 1)
        for first, told in in_paths(self.table.paths).items():
            if isinstance(told, bool):
                quick.unread.add(first)
            elif told is not None:
                quick.registries[first] = self._quick("", told, Asker.PATH, 1)

    def _add_ways(self, number: str, texts: Mapping[str, str], told: str) -> None:
        """Most pulls go one way: only kinds that go another have a row of their own."""
        common = next(iter(texts.values()))
        self.rows.ways.append(Row(number, common, told))
        self.rows.kinds += [Row(f"{number} {kind}", text, told) for kind, text in texts.items() if text != common]

    def told(self, ways: Ways | None) -> str:
        """What stands for the ways of whoever is told by a path; `EVERYTHING` for none."""
        return EVERYTHING if ways is None else self._way_number(ways, Asker.PATH)

    def _add_paths(self, paths: Paths) -> None:
        rows = self.rows
        for key, ways in paths.exactly.items():
            if self._is_carried(key):
                _add_exactly(rows.paths_exactly, rows.paths_referenced, "", key, self.told(ways))
        for key, ways in paths.below.items():
            if self._is_carried(key):
                rows.paths_below.setdefault(key.count("/") + 1, []).append(Row(key, self.told(ways)))
        for pattern, ways in paths.patterns.items():
            if pattern != ANY:
                rows.paths_patterns.append(Row(pattern, self.told(ways)))

    def number_of(self, name: str) -> str:
        """The number of the host or pattern that has a host; '' for none."""
        labels = name.split(".") if ":" not in name.rpartition("]")[2] else [name]
        patterns = (f"*.{'.'.join(labels[at:])}" for at in range(1, len(labels)))
        return next((self.ids[each] for each in (name, *patterns, ANY) if each in self.ids), "")

    def own_hosts(self) -> list[str]:
        """The hosts of the table that requests can stay with, under all their names."""
        names = [name for name in self.ids if not is_pattern(name)]
        return names + sorted(DOCKER_HUB_NAMES - {DOCKER_HUB}) if DOCKER_HUB in self.ids else names

    def address(self, name: str) -> Address:
        """Where a host of the table is."""
        host, port = split_host(name)
        return Address(self.table.scheme, host, port or DEFAULT_PORTS[self.table.scheme])

    def has_pattern_hosts(self) -> bool:
        """Whether hosts can be addressed that the table does not name."""
        return any(map(is_pattern, self.ids))


def _steps(host: Host) -> Iterator[Step]:
    for scopes in (host.plain, *host.by_namespace.values()):
        for ways in (scopes.root, *scopes.exactly.values(), *scopes.below.values()):
            for way in ways.values():
                yield from way.steps


def _entry(scopes: Scopes) -> str:
    return entry_of([*scopes.below[""].values()])


def _add_exactly(rows: list[Row], referenced: dict[str, list[str]], scopes: str, key: str, ways: str) -> None:
    if ":" in key or "@" in key:
        referenced.setdefault(f"{scopes}{key}".lower(), []).append(f"{literal(scopes + key).replace(' ', ',')}>{ways}")
    else:
        rows.append(Row(f"{scopes}{key}", ways))
