"""A tabulation written into HAProxy's map files: parts that are alike are written once, and named by a number.

Knows how the rows are made, `maps` which files there are; the frontend's rules make the same keys in
HAProxy's language.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from oci_ns.distribution import escape_namespace
from oci_ns.export.contract import NotCarried
from oci_ns.export.haproxy.maps import EDITS, KINDS, NONE, PARTS, SELF, SOURCE, Maps
from oci_ns.export.haproxy.quick import quick_of
from oci_ns.export.haproxy.servers import Servers
from oci_ns.export.haproxy.text import MapFile, NotWritableError, inside_json
from oci_ns.export.tabulation import (
    ANY,
    Host,
    NamespaceEdit,
    Part,
    Refusal,
    Scopes,
    Step,
    Tabulation,
    Way,
    Ways,
    is_pattern,
)
from oci_ns.reference import DOCKER_HUB, DOCKER_HUB_NAMES, split_host


def maps_of(table: Tabulation, servers: Servers, destination: str) -> Maps:
    """The table as map files; `servers` is told which endpoints there are.

    `destination` is the name of the host that unknown ones stand for, '' for none.
    """
    filler = _Filler(table, servers)
    maps = filler.filled()
    maps.quick = quick_of(table, servers, filler.step, destination)
    return maps


class _Filler:
    def __init__(self, table: Tabulation, servers: Servers) -> None:
        self._table = table
        self._servers = servers
        self._maps = Maps()
        self._scopes: dict[object, str] = {}
        self._scopes_seen: dict[int, tuple[Scopes, str]] = {}
        self._ways: dict[str, str] = {}
        self._way_texts: dict[int, tuple[Way, str]] = {}
        self._ways_seen: dict[int, tuple[Ways, str]] = {}
        self._steps: dict[str, str] = {}
        self._places: dict[tuple[str, str, int, bool], tuple[str, str]] = {}
        self._namespaces: dict[str, str] = {}
        self._kinds = [id(kind) for kind in KINDS]
        # Enumerations are slow keys.
        self._edits = {id(edit): letter for edit, letter in EDITS.items()}
        self._refusals: dict[str, str] = {}

    def filled(self) -> Maps:
        maps, table = self._maps, self._table
        hosts = sorted(table.hosts.items())
        self._servers.owns = sum(not is_pattern(name) for name in table.hosts)
        found = [self._scopes_of(f"h{number}", host) for number, (_, host) in enumerate(hosts)]
        for number, (name, host) in enumerate(hosts):
            self._add_host(f"h{number}", name, host, found[number])
        for key, ways in sorted(table.paths.exactly.items()):
            self._put(maps.paths, key, self._ways_or_none(ways))
        for key, ways in sorted(table.paths.below.items()):
            self._put(maps.paths_below, f"{key}/", self._ways_or_none(ways))
        for pattern, ways in sorted(table.paths.patterns.items()):
            self._add_path_pattern("", pattern, ways)
        return maps

    def _put(self, file: MapFile, key: str, value: str, entry: str = "") -> None:
        try:
            file.add(key, value, entry)
        except NotWritableError as error:
            self._maps.left_out.append(NotCarried(f"a key of {file.name}", str(error), entry))

    # -- hosts --------------------------------------------------------------------------------------------------------

    def _scopes_of(self, number: str, host: Host) -> str:
        """What a host's requests are looked up in, as the row of `hosts` has it."""
        for spoken, scopes in sorted(host.by_namespace.items()):
            # What is no host may be a namespace all the same: keys are escaped, and none of these is a pattern's.
            key = quote(spoken, safe="", errors="surrogateescape")
            if is_pattern(spoken):
                key = _suffix(spoken, self._maps.namespace_suffixes)
            self._put(self._maps.namespaces, f"{number}|{key}", self._numbered(scopes))
        for pattern, ways in sorted(host.patterns.items()):
            self._add_path_pattern(number, pattern, ways)
        return f"{self._numbered(host.plain)} {self._numbered(host.other_namespace)}"

    def _add_host(self, number: str, name: str, host: Host, scopes: str) -> None:
        maps, scheme = self._maps, self._table.scheme
        row = f"{number} {scopes} {'p' if host.reads_paths else NONE}"
        if is_pattern(name):
            maps.has_any_host |= name == ANY
            self._put(maps.hosts, _suffix(name, maps.host_suffixes), f"{row} {self._servers.any_host(scheme)}")
            return
        insecure = _is_insecure_itself(host)
        for spelt in sorted(DOCKER_HUB_NAMES) if name == DOCKER_HUB else (name,):
            backend = self._servers.own(scheme, *split_host(spelt), insecure)
            self._put(maps.hosts, spelt, f"{row} {backend}")

    def _add_path_pattern(self, number: str, pattern: str, ways: Ways | None) -> None:
        key = _suffix(pattern, self._maps.path_suffixes)
        self._put(self._maps.path_patterns, f"{number}|{key}", self._ways_or_none(ways))

    # -- scopes and ways ----------------------------------------------------------------------------------------------

    def _numbered(self, scopes: Scopes) -> str:
        """The name of these scopes; such that are alike have one."""
        seen = self._scopes_seen.get(id(scopes))
        if seen is not None:
            return seen[1]
        root = self._way_name(scopes.root)
        exactly = tuple((key, self._way_name(ways)) for key, ways in sorted(scopes.exactly.items()))
        below = tuple((key, self._way_name(ways)) for key, ways in sorted(scopes.below.items()))
        content = root, exactly, below
        name = self._scopes.get(content)
        if name is None:
            name = self._scopes[content] = f"s{len(self._scopes)}"
            others = NONE
            for key, ways in below:
                if key:
                    self._put(self._maps.below, f"{name}/{key}/", ways)
                else:
                    others = ways
            for key, ways in exactly:
                self._put(self._maps.exactly, f"{name}/{key}", ways)
            self._put(self._maps.roots, name, f"{root} {others}")
        self._scopes_seen[id(scopes)] = scopes, name
        return name

    def _ways_or_none(self, ways: Ways | None) -> str:
        return NONE if ways is None else self._way_name(ways)

    def _way_name(self, ways: Ways) -> str:
        seen = self._ways_seen.get(id(ways))
        if seen is not None:
            return seen[1]
        last, text = None, ""
        texts = {}
        for kind, way in ways.items():
            if way is not last:
                last, text = way, self._way_text(way)
            texts[id(kind)] = text
        row = "|".join([texts.get(kind, NONE) for kind in self._kinds])
        name = self._ways.get(row)
        if name is None:
            name = self._ways[row] = f"w{len(self._ways)}"
            self._put(self._maps.ways, name, row, next(filter(None, (way.entry for way in ways.values())), ""))
        self._ways_seen[id(ways)] = ways, name
        return name

    def _way_text(self, way: Way) -> str:
        seen = self._way_texts.get(id(way))
        if seen is not None:
            return seen[1]
        if way.refusal is not None:
            text = f"!{self._refusal(way.refusal, way.entry)}"
        else:
            self._maps.most_steps = max(self._maps.most_steps, len(way.steps))
            text = " ".join(map(self.step, way.steps))
        self._way_texts[id(way)] = way, text
        return text

    # -- steps and refusals -------------------------------------------------------------------------------------------

    def step(self, step: Step) -> str:
        """The name of a step."""
        to = step.to
        if to is None:
            backend, host = SELF, SELF
        else:
            backend, host = self._place(to.scheme, to.host, to.port, step)
        namespace = NONE
        if step.edit is NamespaceEdit.SET:
            namespace = self._escaped(step.namespace) if isinstance(step.namespace, str) else SOURCE
        kept = "k" if step.keeps_credentials else NONE
        put, reference, edit = step.put or NONE, step.reference or NONE, self._edits[id(step.edit)]
        row = f"{backend} {host} {step.strip} {put} {reference} {edit} {namespace} {kept}"
        name = self._steps.get(row)
        if name is not None:
            return name
        name = self._steps[row] = f"t{len(self._steps)}"
        maps = self._maps
        if step.put == NONE:
            maps.left_out.append(NotCarried("an unusual location", f"{NONE} stands for nothing here", step.entry))
        if step.strip:
            maps.strips.add(step.strip)
        if step.put:
            own = step.put.count("/") + 1
            maps.puts.add(own)
            self._put(maps.put_back, f"{name}:/v2/{step.put}/", str(own), step.entry)
        self._put(maps.steps, name, row, step.entry)
        return name

    def _place(self, scheme: str, host: str | Part, port: int, step: Step) -> tuple[str, str]:
        """The backend and the Host of a step's address."""
        if step.to is None or not isinstance(host, str):
            return self._servers.any_host(scheme), SOURCE
        key = scheme, host, port, step.insecure
        found = self._places.get(key)
        if found is None:
            found = self._places[key] = self._servers.endpoint(step.to, step.insecure, step.entry)
        return found

    def _escaped(self, namespace: str) -> str:
        found = self._namespaces.get(namespace)
        if found is None:
            found = self._namespaces[namespace] = escape_namespace(namespace)
        return found

    def _refusal(self, refusal: Refusal, entry: str) -> str:
        fields = list(_template(refusal))
        row = "|".join([str(refusal.status), *fields])
        name = self._refusals.get(row)
        if name is None:
            name = self._refusals[row] = f"r{len(self._refusals)}"
            self._maps.statuses.add(refusal.status)
            self._maps.message_parts = max(self._maps.message_parts, len(fields))
            self._put(self._maps.refusals, name, row, entry)
        return name


def _template(refusal: Refusal) -> Iterator[str]:
    """The document: text and the letters of what the request fills in, by turns."""
    text = f'{{"errors": [{{"code": "{inside_json(refusal.code)}", "message": "'
    for piece in refusal.message:
        if isinstance(piece, Part):
            yield text
            yield PARTS[piece]
            text = ""
        else:
            text += inside_json(piece)
    detail = f', "detail": "{inside_json(refusal.detail)}"' if refusal.detail else ""
    yield f'{text}"{detail}}}]}}'


def _is_insecure_itself(host: Host) -> bool:
    """Whether a certificate of the addressed host itself need not be verified, by any of a host's own ways."""
    return any(
        step.to is None and step.insecure
        for scopes in {
            id(each): each for each in (host.plain, host.other_namespace, *host.by_namespace.values())
        }.values()
        for ways in {
            id(each): each for each in (scopes.root, *scopes.exactly.values(), *scopes.below.values())
        }.values()
        for way in {id(each): each for each in ways.values()}.values()
        for step in way.steps
    )


def _suffix(pattern: str, lengths: set[int]) -> str:
    """The key of a pattern: `.example.com`, or `*`."""
    if pattern == ANY:
        return ANY
    lengths.add(pattern.count("."))
    return pattern[1:]
