"""A `Tabulation` as nginx's `map`s: each a hash table, whatever the number of registries.

Knows how a request is looked up: host, the client's `ns`, repository, kind; the longest key first. What is found is a
line of words (`export_nginx_hops`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from oci_ns.export_nginx_hops import (
    NEVER,
    OWN,
    Asker,
    Hop,
    Hops,
    as_sent,
    authority,
    entry_of,
    is_carried_host,
    is_for_the_asker,
)
from oci_ns.export_nginx_locations import Place
from oci_ns.export_nginx_lookups import below_maps, prefix_maps, reference_maps, source_maps
from oci_ns.export_nginx_quick import Quick, QuickTable, quick_of
from oci_ns.export_nginx_request import hub_names
from oci_ns.export_nginx_text import Map, Row, expressions, literal, words
from oci_ns.export_ordinary import in_paths, known_hosts
from oci_ns.reference import DEFAULT_PORTS, DOCKER_HUB, DOCKER_HUB_NAMES, split_host
from oci_ns.tabulation import ANY, ITSELF, Address, Host, Kind, Paths, Scopes, Step, Tabulation, Ways

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
class _Rows:
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
        self._hops = hops
        self._rows = _Rows()
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

    # -- rows ---------------------------------------------------------------------------------------------------------

    def _add_host(self, name: str, host: Host) -> None:
        if not is_pattern(name) and not is_carried_host(name):
            self._hops.note("a name that is no host's", f"{name} breaks the grammar", _entry(host.plain))
            return
        rows, number = self._rows, f"h{len(self.ids) + 1}"
        self.ids[name] = number
        told = _entry(host.plain)
        if name == ANY:
            self.has_patterns = True
        else:
            rows.hosts.append(Row(name, number, told))
            self.has_patterns |= is_pattern(name)
        greets, stays = not host.reads_paths, self._hops.finds(name)
        self._add_scopes(number, self._rendered(host.plain, Asker.HOST, stays=stays, greets=greets))
        if next((step.insecure for step in _steps(host) if step.to is None), False):
            self.own_unverified.add(name)
        if host.reads_paths:
            rows.readers.append(Row(number, "1", name))
        if host.patterns:
            merged = {**self.table.paths.patterns, **host.patterns}
            for pattern, ways in merged.items():
                rows.patterns.append(Row(f"{pattern}.{number}", self._told(ways), name))
        if self.table.reads_namespaces:
            self._add_namespaces(number, name, host)

    def _add_namespaces(self, number: str, name: str, host: Host) -> None:
        rows, stays = self._rows, self._hops.finds(name)
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
        rows = self._rows
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
        self._hops.note("an unusual location or prefix", f"nginx cannot tell {key} from others: write it in lower case")
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
                text = self._hops.way(way, asker, stays=stays, pulls=pulls, greets=greeted)
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
        return self._hops.firsts.get(way) if way == texts.get("digest", "") == texts.get("blob", "") else None

    def _quick(self, name: str, ways: Ways | None, asker: Asker, strip: int) -> Quick | None:
        """The short way of requests that address the host `name`, '' for any; of as many components as `strip`."""
        stays = not name or self._hops.finds(name)
        first = None if ways is None else self._firsts[self._way_number(ways, asker, stays=stays)]
        if first is None or first[0].strip > strip:
            return None
        hop, place = first
        if name and hop.base == OWN:
            to = self.address(name)
            base = self._hops.upstreams.base(to, name in self.own_unverified)
            hop = hop._replace(base=base, authority=literal(authority(to.scheme, str(to.host), to.port)))
        return quick_of(hop, place, self._hops.upstreams)

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
        self._rows.ways.append(Row(number, common, told))
        self._rows.kinds += [Row(f"{number} {kind}", text, told) for kind, text in texts.items() if text != common]

    def _told(self, ways: Ways | None) -> str:
        return EVERYTHING if ways is None else self._way_number(ways, Asker.PATH)

    def _add_paths(self, paths: Paths) -> None:
        rows = self._rows
        for key, ways in paths.exactly.items():
            if self._is_carried(key):
                _add_exactly(rows.paths_exactly, rows.paths_referenced, "", key, self._told(ways))
        for key, ways in paths.below.items():
            if self._is_carried(key):
                rows.paths_below.setdefault(key.count("/") + 1, []).append(Row(key, self._told(ways)))
        for pattern, ways in paths.patterns.items():
            if pattern != ANY:
                rows.paths_patterns.append(Row(pattern, self._told(ways)))

    # -- maps ---------------------------------------------------------------------------------------------------------

    def host_map(self) -> Map:
        """From the addressed host to its number; '' for hosts that are not in the table, `!` where nobody can tell."""
        rows = list(self._rows.hosts)
        unsure = [Row(r"^\[", "!")] if self.has_patterns else []
        default = self.ids.get(ANY, "")
        return Map(
            "$oci_name_source",
            "oci_known",
            [*rows, *words(("?", ""), ("!", "!"))],
            unsure,
            default,
            hostnames=True,
            about="The hosts of the table.",
        )

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

    def maps(self) -> Iterator[Map]:
        """All that follows once the host is known, to `$oci_found`, the way in words."""
        yield from self._namespace_maps()
        rows = self._rows
        yield from prefix_maps("oci_prefix", sorted({*rows.below, *rows.paths_below}))
        yield Map(
            "$oci_scopes",
            "oci_everything",
            rows.everything,
            default="!",
            about="What holds for all repositories there.",
        )
        yield Map("$oci_scopes", "oci_root", rows.root, default="!", about="What holds where there is no repository.")
        yield from self._path_maps()
        last = "$oci_told"
        yield from below_maps("oci_below", "$oci_scopes ", rows.below, last)
        nearest = f"$oci_below_{max(rows.below)}" if rows.below else last
        yield Map("$oci_scopes $oci_key", "oci_exactly", rows.exactly, default=nearest, about="Repositories.")
        yield from reference_maps("oci_referenced", "$oci_scopes,", rows.referenced, "$oci_exactly")
        yield Map(
            "$oci_parsed", "oci_ways", words(("ping", "$oci_root"), ("catalog", "$oci_root")), default="$oci_referenced"
        )
        ways, kinds = self._resolved(rows.ways), self._resolved(rows.kinds)
        yield Map("$oci_ways", "oci_common", ways, default="!", about="Where requests go.")
        about = "Where those of a kind go that go another way."
        yield Map("$oci_ways $oci_kind", "oci_listed", kinds, default="$oci_common", about=about)
        yield from source_maps(self._hops.askers)

    def _resolved(self, rows: list[Row]) -> list[Row]:
        upstreams = self._hops.upstreams
        return (
            [row._replace(value=upstreams.resolved(row.value)) for row in rows]
            if upstreams.settings.resolvers
            else rows
        )

    def _namespace_maps(self) -> Iterator[Map]:
        rows = self._rows
        if not self.table.reads_namespaces:
            yield Map("$oci_host", "oci_scopes", default="$oci_host", about="An ns of the client's changes nothing.")
            return
        common = Counter(row.value for row in rows.other).most_common(1)[0][0] if rows.other else "!"
        others = [row for row in rows.other if row.value != common]
        unsure = [Row(r"^\[", "!")] if self.has_patterns else []
        yield Map(
            "$oci_host",
            "oci_other",
            others,
            default=common,
            about="Where the client's ns is of no registry known at the host.",
        )
        if rows.itself:
            alike = expressions((r"^(?<oci_alike_>\S+) \k{oci_alike_}$", "itself"))
            yield Map("$oci_addressed_source $oci_spoken_source", "oci_alike", default="another", expressions=alike)
        about = "An ns that is no host may still be that of an endpoint."
        yield Map("$oci_spoken $oci_host", "oci_named", rows.named, default="$oci_other", about=about)
        yield Map(
            "$oci_alike $oci_host" if rows.itself else "$oci_host", "oci_unspoken", rows.itself, default="$oci_other"
        )
        yield Map(
            "$oci_spoken_source.$oci_host",
            "oci_by_namespace",
            rows.spoken,
            default="$oci_unspoken",
            hostnames=True,
            about="The registries that an ns may name at a host.",
        )
        yield Map(
            "$oci_spoken_source",
            "oci_scopes",
            words(("", "$oci_host"), ("?", "$oci_named")),
            unsure,
            default="$oci_by_namespace",
            about="The repositories that are looked up.",
        )

    def _path_maps(self) -> Iterator[Map]:
        rows = self._rows
        if not rows.readers:
            yield Map("$oci_scopes", "oci_told", default=EVERYTHING)
            return
        host_like = r"^(?<oci_first_registry_>[^/]*[.:][^/]*|localhost)/."
        yield Map(
            "$oci_scope",
            "oci_first",
            expressions=expressions((host_like, "$oci_first_registry_")),
            about="The first component, where it looks like a host.",
        )
        yield hub_names("oci_first_source", "oci_first")
        yield Map("$oci_scopes", "oci_reads_paths", rows.readers, about="The hosts where it may tell the registry.")
        catch_all = self._told(self.table.paths.patterns[ANY]) if ANY in self.table.paths.patterns else EVERYTHING
        yield Map("$oci_first_source", "oci_first_pattern", rows.paths_patterns, default=catch_all, hostnames=True)
        yield Map(
            "$oci_first_source.$oci_host",
            "oci_first_patterns",
            rows.patterns,
            default="$oci_first_pattern",
            hostnames=True,
        )
        unsure = [Row(r"^\[", "!")] if rows.patterns or self.table.paths.patterns else []
        yield Map("$oci_first_source", "oci_first_last", expressions=unsure, default="$oci_first_patterns")
        yield from below_maps("oci_path_below", "", rows.paths_below, "$oci_first_last")
        nearest = f"$oci_path_below_{max(rows.paths_below)}" if rows.paths_below else "$oci_first_last"
        yield Map(
            "$oci_key",
            "oci_path_exactly",
            rows.paths_exactly,
            default=nearest,
            about="Repositories that begin with their registry.",
        )
        yield from reference_maps("oci_by_path", "", rows.paths_referenced, "$oci_path_exactly")
        yield Map(
            "$oci_reads_paths $oci_first",
            "oci_told",
            default=EVERYTHING,
            expressions=expressions(
                ("^(?:1? ?$| )", EVERYTHING),
                (r"[A-Z]|:0|:(?:80|443)$|\.$|\.:", "!"),
                ("^1 .", "$oci_by_path"),
            ),
        )


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
