"""How HAProxy looks up what is done about a request: the ways of its repository, and the steps of its kind.

Knows HAProxy's rules for the decision (`tabulation` says what they have to do), and their order in the frontend; how a
request is read is in `request`, what a step does to it in `steps`.
"""

from __future__ import annotations

from collections.abc import Iterator

from oci_ns import presence
from oci_ns.export.contract import Settings
from oci_ns.export.haproxy.maps import KINDS, Maps
from oci_ns.export.haproxy.quick import backend_of, frontend_rules
from oci_ns.export.haproxy.refusals import answer, refusal_rules
from oci_ns.export.haproxy.request import Reading, normal_name, suffixes
from oci_ns.export.haproxy.text import looked_up, nth, word
from oci_ns.export.tabulation import Tabulation

HOP = "x-ns-inject-hop"
"""Header field with which HAProxy hands a request from one of its own frontends to the next."""
HANDED = ("steps", "own", "asks", "named", "source", "base")
"""The variables that it has, separated by bars: what a client may have put in them stands last."""
NOT_MOVABLE = "%2[Ff]|^/(?!v2(?:/|$))"
"""A path whose components cannot be told apart by its slashes, or whose beginning is escaped."""
ESCAPED = "the request is not sent on: the slashes or the beginning of its path are escaped"


def _here() -> str:
    """The action that answers whoever sets up a client."""
    body, asked = presence.answer().decode(), f"{{ method GET }} {{ pathq -m str {presence.PATH} }}"
    return f"http-request return status 200 content-type application/json string '{body}' if {asked}"


def _no_tunnel() -> str:
    return f"{answer(400, 'UNSUPPORTED', 'the request is not sent on: this is no forward proxy')} if METH_CONNECT"


class Rules:
    """The rules of the frontend that clients talk to."""

    def __init__(self, table: Tabulation, maps: Maps, settings: Settings) -> None:
        self._table = table
        self._maps = maps
        self._settings = settings
        self._reading = Reading(table, maps, settings)

    def frontend(self, elsewhere: str) -> Iterator[str]:
        """The section. What is addressed to no host of the table goes to the backend `elsewhere`, if there is one."""
        yield "frontend clients from listening"
        certificate = self._settings.certificate
        tls = f" ssl crt {word(certificate)} alpn h2,http/1.1" if certificate else ""
        for listen in self._settings.listen:
            host = f"[{listen.host}]" if ":" in listen.host else listen.host
            everywhere = "" if host else " v4v6"
            yield f"  bind {host or '::'}:{listen.port}{everywhere}{tls}"
        for title, rules in (
            ("Nobody else may say where a request goes.", [f"http-request del-header {HOP}"]),
            ("What is asked for is behind HAProxy: no tunnel leads past its rules.", [_no_tunnel()]),
            (
                "An ordinary pull: its whole way.",
                frontend_rules(self._maps.quick, self._settings.directory, self._base_url()),
            ),
            ("Every other request: where it came to.", self._base()),
            ("Whether ns-inject is there.", [_here()]),
            ("The addressed host: lower case, without the scheme's own port.", self._reading.addressed()),
            ("The path, decoded to be looked up; what is sent on stays as it is.", self._reading.path()),
            ("The registry that the client's ns names.", self._reading.spoken()),
            ("The ways of the repository: of a reference of it, of itself, of what it lies under.", self._ways()),
            ("The ways of a repository whose first component is a registry.", self._told_by_path()),
            ("The steps of this kind of request, or why it is refused.", self._steps()),
            ("Where it goes first; what has further steps goes through the frontends below.", self._go(elsewhere)),
        ):
            lines = list(rules)
            if lines:
                yield ""
                yield f"  # {title}"
            yield from (f"  {line}" for line in lines)

    def _base(self) -> Iterator[str]:
        yield f"http-request set-var-fmt(txn.base) {self._base_url()}"

    def _base_url(self) -> str:
        return f"{'https' if self._settings.certificate else 'http'}://%[req.fhdr(host)]"

    # -- repository ---------------------------------------------------------------------------------------------------

    def _ways(self) -> Iterator[str]:
        found = "!{ var(txn.ways) -m found }"
        yield f"http-request set-var(txn.ways) 'var(txn.scopes),{self._map('roots')},{nth(1)}' if root"
        yield "http-request set-var-fmt(txn.key) %[var(txn.scopes)]/%[var(txn.scope)]%[var(txn.reference)] if !root"
        exactly = self._map("exactly")
        yield f"http-request set-var(txn.ways) 'var(txn.key),{exactly}' if !root {{ var(txn.reference) -m found }}"
        yield "http-request set-var-fmt(txn.key) %[var(txn.scopes)]/%[var(txn.scope)] if !root"
        yield f"http-request set-var(txn.ways) 'var(txn.key),{exactly}' if !root {found}"
        yield f"http-request set-var(txn.ways) 'var(txn.key),{self._map('below', 'beg')}' if !root {found}"

    def _told_by_path(self) -> Iterator[str]:
        maps = self._maps
        missing = "!{ var(txn.ways) -m found }"
        if not (maps.paths.is_empty and maps.paths_below.is_empty and maps.path_patterns.is_empty):
            spoken = "!spoken " if self._table.reads_namespaces else ""
            yield "acl reads_path var(txn.registry) -m found"
            yield "acl told var(txn.told) -m found"
            yield (
                f"http-request set-var(txn.registry) 'var(txn.scope),field(1,/)' if below_v2 !root {spoken}{missing} "
                "{ var(txn.reads) -m str p } { var(txn.scope) -m reg '^(?:[^/]*[.:][^/]*|localhost)/.' }"
            )
            message = "the request is not sent on: the registry in its path has a port that can be read in two ways"
            port = "{ var(txn.registry) -m reg ':(?:80|443|0[0-9]*)$' }"
            yield f"{answer(400, 'UNSUPPORTED', message)} if reads_path {port}"
            yield "http-request set-var-fmt(txn.key) %[var(txn.scope)]%[var(txn.reference)] if reads_path"
            paths = self._map("paths")
            yield f"http-request set-var(txn.told) 'var(txn.key),{paths}' if reads_path"
            yield f"http-request set-var(txn.told) 'var(txn.scope),{paths}' if reads_path !told"
            under = self._map("paths-below", "beg")
            yield f"http-request set-var(txn.told) 'var(txn.scope),{under}' if reads_path !told"
            yield f"http-request set-var(txn.registry) 'var(txn.registry),lower,{normal_name()}' if reads_path"
            patterns = self._map("path-patterns")
            for pattern in suffixes("txn.registry", maps.path_suffixes):
                yield f"http-request set-var(txn.suffix) '{pattern}' if reads_path !told"
                yield from self._path_pattern(patterns, "%[var(txn.suffix)]")
            yield from self._path_pattern(patterns, "*")
            yield "http-request set-var(txn.source) var(txn.registry) if told"
            yield "http-request set-var(txn.subject) 'var(txn.scope),field(2,/,0)' if told"
            yield "http-request set-var(txn.ways) var(txn.told) if told !{ var(txn.told) -m str -- - }"
        yield f"http-request set-var(txn.ways) 'var(txn.scopes),{self._map('roots')},{nth(2)}' if !root {missing}"

    def _path_pattern(self, patterns: str, suffix: str) -> Iterator[str]:
        for host in ("%[var(txn.number)]", ""):
            yield f"http-request set-var-fmt(txn.key) {host}|{suffix} if reads_path !told"
            yield f"http-request set-var(txn.told) 'var(txn.key),{patterns}' if reads_path !told"

    # -- steps --------------------------------------------------------------------------------------------------------

    def _steps(self) -> Iterator[str]:
        yield "acl decided var(txn.steps) -m found"
        yield f"http-request set-var(txn.way) 'var(txn.ways),{self._map('ways')}' if below_v2"
        for number, letter in enumerate(KINDS.values(), start=1):
            is_it = f"below_v2 {{ var(txn.kind) -m str {letter} }}"
            yield f"http-request set-var(txn.steps) 'var(txn.way),field({number},|)' if {is_it}"
        yield "http-request unset-var(txn.steps) if { var(txn.steps) -m str -- - }"
        message = "the request is not sent on: nothing is configured for what it asks"
        yield f"{answer(400, 'UNSUPPORTED', message)} if known below_v2 !decided"
        if self._maps.statuses:
            yield from refusal_rules(
                self._maps, self._settings.directory, reads_namespaces=self._table.reads_namespaces
            )
        yield "# The body of a pull is sent once."
        yield (
            f"http-request set-var(txn.steps) 'var(txn.steps),{nth(1)}' if decided "
            "{ req.hdr_cnt(transfer-encoding) gt 0 } or decided { req.hdr_val(content-length) gt 0 }"
        )

    def _go(self, elsewhere: str) -> Iterator[str]:
        yield "acl several var(txn.steps) -m sub ' '"
        yield from step_of("var(txn.steps)", self._map("steps"), "if decided !several")
        yield "http-request set-var(txn.backend) var(txn.own) if known !decided"
        if self._maps.most_steps > 1:
            handed = "|".join(f"%[var(txn.{name})]" for name in HANDED)
            if self._table.reads_namespaces:
                yield "http-request set-var(txn.source) str(-) if several !names_host"
            # A later step might have to move the repository, and would refuse what an earlier one was sent.
            yield f"{answer(400, 'UNSUPPORTED', ESCAPED)} if several {{ path -m reg '{NOT_MOVABLE}' }}"
            yield f"http-request set-header {HOP} {handed} if several"
            yield "use_backend try1 if several"
        yield from backend_of(self._maps.quick)
        if elsewhere:
            yield f"use_backend {elsewhere} unless known"
        yield "use_backend %[var(txn.backend)]"

    def _map(self, name: str, how: str = "str") -> str:
        return looked_up(self._settings.directory, name, how)


def step_of(steps: str, found: str, condition: str) -> Iterator[str]:
    """Rules that read a step, and where it goes."""
    yield f"http-request set-var(txn.token) {steps} {condition}"
    yield f"http-request set-var(txn.step) 'var(txn.token),{found}' {condition}"
    yield f"http-request set-var(txn.backend) 'var(txn.step),{nth(1)}' {condition}"
    yield "http-request set-var(txn.backend) var(txn.own) if { var(txn.backend) -m str = }"
