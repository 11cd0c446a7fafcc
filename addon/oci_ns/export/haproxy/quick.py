"""The short way of an ordinary pull in HAProxy: one expression, and one look-up that finds all of its way.

Knows how these are looked up, and what is done to them (`ordinary` says which pulls are ordinary, and where they
go). A request that goes this way has `txn.quick`, and passes by all other rules; those of its answer, too, unless that
has a reference to be mapped. Ways of several steps do not go it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from oci_ns.distribution import escape_namespace
from oci_ns.export.haproxy.servers import Servers
from oci_ns.export.haproxy.text import MapFile, NotWritableError, argument
from oci_ns.export.ordinary import Ordinary, known_hosts, only_steps
from oci_ns.export.tabulation import NamespaceEdit, Part, Step, Tabulation, Ways
from oci_ns.reference import DOCKER_HUB, DOCKER_HUB_NAMES, split_host

NONE = "-"
_SLOW = f"{NONE}{NONE}"
_HOST = "^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:[.][a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*(?::(?!80$|443$)[1-9][0-9]*)?$"
_COMPONENT = "[a-z0-9]++(?:(?:[._]|__|-++)[a-z0-9]++)*+"
_DIGEST = "[a-z0-9]+(?:[+._-][a-z0-9]+)*:[A-Za-z0-9=_-]+"
_TAG = "[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
_ORDINARY = f"^/v2/(?:{_COMPONENT}/)+(?:manifests/(?:{_TAG}|{_DIGEST})|blobs/{_DIGEST})$"
_FIELDS = ("flags", "backend", "host", "token", "asked", "put", "query")
_QUICK = "{ var(txn.quick) -m found }"


def _field(name: str) -> str:
    return f'var(txn.quick),field({_FIELDS.index(name) + 1}," ")'


def _file(name: str, about: str) -> Callable[[], MapFile]:
    return lambda: MapFile(f"{name}.map", about)


@dataclass(slots=True)
class Quick:
    """The rows of the look-ups, and what the rules have to know of them."""

    hosts: MapFile = field(
        default_factory=_file(
            "quick",
            "Host: k: keeps credentials, components dropped, r: the first component counts;"
            " backend, Host, step, the name behind which that is looked up, put before, query; -- for the long way",
        )
    )
    firsts: MapFile = field(default_factory=_file("quick-firsts", "name/first component: the same"))
    there: MapFile = field(default_factory=_file("there", "backend: URL and name of what is there"))
    elsewhere: str = ""
    """The row of hosts that the table does not know; '' for none."""
    has_readers: bool = False
    reads_paths: bool = False
    has_slow: bool = False
    strips: bool = False
    keeps: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there are none."""
        return self.there.is_empty

    def files(self) -> Iterator[MapFile]:
        """The files that there are."""
        if not self.is_empty:
            yield from (self.hosts, self.firsts, self.there)


def quick_of(table: Tabulation, servers: Servers, token: Callable[[Step], str], destination: str) -> Quick:
    """The short ways of a table. `token` tells what a step is called; `destination` stands for unknown hosts, or ''."""
    return _Filler(table, servers, token).filled(destination)


@dataclass(slots=True)
class _Filler:
    table: Tabulation
    servers: Servers
    token: Callable[[Step], str]
    quick: Quick = field(default_factory=Quick)
    rows: dict[str, str] = field(default_factory=dict)

    def filled(self, destination: str) -> Quick:
        quick, rows = self.quick, self.rows
        for name, found in sorted(known_hosts(self.table).items()):
            for spelt in sorted(DOCKER_HUB_NAMES) if name == DOCKER_HUB else (name,):
                if not spelt.endswith((":80", ":443")):
                    self._add(spelt, found)
        if quick.is_empty:
            return quick
        for name, row in rows.items():
            # Where others stand for the destination, the known ones have to be told from these.
            if not row.startswith(f"{_SLOW}{NONE}") or destination:
                _put(quick.hosts, name, row)
                quick.has_slow |= row.startswith(_SLOW)
        if destination in rows and not any(name.startswith("*") for name in self.table.hosts):
            quick.elsewhere = rows[destination]
        return quick

    def _add(self, name: str, found: Ordinary) -> None:
        quick = self.quick
        others = self._row(name, found.others, 0)
        firsts = {first: self._row(name, ways, 1) for first, ways in found.firsts.items()}
        reads = found.reads_paths or any(row != others for row in firsts.values())
        if reads:
            quick.has_readers = True
            for first, row in sorted(firsts.items()):
                quick.has_slow |= row.startswith(_SLOW)
                _put(quick.firsts, f"{name}/{first}", row.format(NONE, NONE).rstrip())
        quick.reads_paths |= found.reads_paths
        self.rows[name] = others.format("r" if reads else NONE, name).rstrip()

    def _row(self, name: str, ways: Ways | None, strip: int) -> str:
        """A row, with two places to be filled in: whether the first component counts, and for what name."""
        slow = f"{_SLOW}{{}} {NONE} {NONE} {NONE} {{}}"
        steps = only_steps(ways)
        step = steps[0] if len(steps) == 1 else None
        if step is None or step.strip > strip or (step.to is not None and isinstance(step.to.host, Part)):
            return slow
        if step.edit is NamespaceEdit.SET and not isinstance(step.namespace, str):
            return slow
        place = self._place(name, step)
        if place is None:
            return slow
        self.quick.strips |= step.strip > 0
        self.quick.keeps |= step.keeps_credentials
        _put(self.quick.there, place[0], self.servers.there(place[0]))
        query = f"?ns={escape_namespace(step.namespace)}" if isinstance(step.namespace, str) else ""
        flags = f"{'k' if step.keeps_credentials else 'n'}{step.strip}"
        rest = f"/{step.put}".removesuffix("/") + f" {query}"
        return f"{flags}{{}} {' '.join(place)} {self.token(step)} {{}} {_unformatted(rest)}"

    def _place(self, name: str, step: Step) -> tuple[str, str] | None:
        """The backend, and the Host; None where the host is looked up anew for each request."""
        if step.to is not None:
            return self.servers.endpoint(step.to, step.insecure, step.entry)
        backend = self.servers.own(self.table.scheme, *split_host(name), step.insecure)
        return None if backend == self.servers.any_host(self.table.scheme) else (backend, name)


def _unformatted(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _put(file: MapFile, key: str, row: str) -> None:
    # What cannot be written goes the long way.
    with contextlib.suppress(NotWritableError):
        file.add(key, row)


def frontend_rules(quick: Quick, directory: str, base: str) -> Iterator[str]:
    """Rules that find the short way, and make the request its own. `base` is the client's URL of the listener."""
    if quick.is_empty:
        return
    hosts, firsts = (argument(f"{directory}/{file.name}") for file in (quick.hosts, quick.firsts))
    default = f",{argument(quick.elsewhere)}" if quick.elsewhere else ""
    plain = f" {{ req.fhdr(host) -m reg '{_HOST}' }}" if default else ""
    yield f"acl is_quick {_QUICK[2:-2]}"
    yield (
        f"http-request set-var(txn.quick) 'req.fhdr(host),map_str({hosts}{default})' "
        f"if {{ method GET HEAD }} {{ pathq -m reg '{_ORDINARY}' }}{plain}"
    )
    if quick.has_readers:
        yield "acl asks_first var(txn.key) -m found"
        # A repository of one component has nothing before it.
        several = "{ path -m reg '^/v2/[^/]+/[^/]+/[^/]+/[^/]' }"
        reads = "{ var(txn.quick) -m beg -- n0r n1r k0r k1r --r }"
        yield f"http-request set-var-fmt(txn.key) %[{_field('asked')}]/%[path,field(3,/)] if {reads} {several}"
        if quick.reads_paths:
            host_like = "{ path,field(3,/) -m reg '[.]|^localhost$' }"
            yield f"http-request set-var(txn.first) str({_SLOW}{NONE}) if asks_first {host_like}"
        yield f"http-request set-var(txn.first) 'var(txn.key),map_str({firsts})' if asks_first"
        yield "http-request set-var(txn.quick) var(txn.first) if asks_first { var(txn.first) -m found }"
    if quick.has_slow or quick.reads_paths:
        yield f"http-request unset-var(txn.quick) if {{ var(txn.quick) -m beg -- {_SLOW} }}"
    yield "http-request set-var(txn.client_target) pathq if is_quick"
    kept = "{ var(txn.quick) -m beg k }"
    if quick.keeps:
        yield f"http-request set-var-fmt(txn.base) {base} if is_quick {kept}"
    uri = f"/v2%[{_field('put')}]%[path,{{}}]%[{_field('query')}]"
    stripped = "{ var(txn.quick) -m beg n1 k1 }"
    if quick.strips:
        put_first = uri.format("field(4,/,0)").replace("]%[path", "]/%[path", 1)
        yield f"http-request set-uri {put_first} if is_quick {stripped}"
    yield f"http-request set-uri {uri.format('bytes(3)')} if is_quick{f' !{stripped}' if quick.strips else ''}"
    yield f"http-request set-header host %[{_field('host')}] if is_quick"
    yield "http-request del-header proxy-authorization if is_quick"
    for name in ("authorization", "cookie"):
        yield f"http-request del-header {name} if is_quick{f' !{kept}' if quick.keeps else ''}"
    yield "http-request allow if is_quick"


def backend_of(quick: Quick) -> Iterator[str]:
    """The rule that tells the frontend where the request goes."""
    if not quick.is_empty:
        yield f"use_backend %[{_field('backend')}] if is_quick"


def request_rules(quick: Quick) -> Iterator[str]:
    """What a backend begins with: such a request is ready."""
    if not quick.is_empty:
        yield f"http-request allow if {_QUICK}"


def response_rules(quick: Quick, directory: str, steps: str) -> Iterator[str]:
    """Rules for the answer: most are ready; for others, what the long way would have noted. `steps` looks steps up."""
    if quick.is_empty:
        return
    there = f"map_str({argument(f'{directory}/{quick.there.name}')})"
    yield f"acl is_quick {_QUICK[2:-2]}"
    kept = " !{ var(txn.quick) -m beg k }" if quick.keeps else ""
    yield f"http-response del-header www-authenticate if is_quick{kept}"
    names = ("location", "link", "www-authenticate")
    yield f"http-response allow if is_quick {' '.join(f'!{{ res.fhdr({name}) -m found }}' for name in names)}"
    yield f"http-response set-var(txn.token) '{_field('token')}' if is_quick"
    yield f"http-response set-var(txn.step) 'var(txn.token),{steps}' if is_quick"
    fields = {3: "strip", 4: "put", 5: "reference_put", 6: "edit", 8: "credentials"}
    for number, name in fields.items():
        yield f"http-response set-var(txn.{name}) 'var(txn.step),field({number},\" \")' if is_quick"
    for number, name in enumerate(("there", "there_name"), start=1):
        yield f"http-response set-var(txn.{name}) '{_field('backend')},{there},field({number},\" \")' if is_quick"
    yield "http-response set-var(txn.rerouted) bool(true) if is_quick !{ var(txn.step) -m beg '= ' }"
    yield "http-response set-var(txn.begins) str() if is_quick"
    stripped = "is_quick { var(txn.strip) -m str 1 }"
    yield f"http-response set-var-fmt(txn.begins) %[var(txn.client_target),field(3,/)]/ if {stripped}"
    put = "is_quick !{ var(txn.put) -m str -- - }"
    yield f"http-response set-var(txn.moved) bool(true) if {stripped} or {put}"
    changed = (
        "{ var(txn.edit) -m str S }",
        *(f"{{ var(txn.edit) -m str F }} {{ var(txn.{name}) -m bool }}" for name in ("rerouted", "moved")),
    )
    yield f"http-response set-var(txn.namespaced) bool(true) if {' or '.join(f'is_quick {each}' for each in changed)}"
