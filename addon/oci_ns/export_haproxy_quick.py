"""The short way of an ordinary pull in HAProxy: one expression, and one look-up that finds all of its way.

Knows how these are looked up, and what is done to them (`export_ordinary` says which pulls are ordinary, and where they
go). A request that goes this way has `txn.quick`, and passes by all other rules; those of its answer, too, unless that
has a reference to be mapped. Ways of several steps do not go it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from oci_ns.distribution import escape_namespace
from oci_ns.export_haproxy_servers import Servers
from oci_ns.export_haproxy_text import MapFile, NotWritableError, argument
from oci_ns.export_ordinary import known_hosts, only_steps
from oci_ns.reference import DOCKER_HUB, DOCKER_HUB_NAMES
from oci_ns.tabulation import NamespaceEdit, Part, Step, Tabulation, Ways

NONE = "-"
_SLOW = f"{NONE} {NONE}"
_HOST = "^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:[.][a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*(?::(?!80$|443$)[1-9][0-9]*)?$"
_COMPONENT = "[a-z0-9]++(?:(?:[._]|__|-++)[a-z0-9]++)*+"
_DIGEST = "[a-z0-9]+(?:[+._-][a-z0-9]+)*:[A-Za-z0-9=_-]+"
_TAG = "[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
_ORDINARY = f"^/v2/(?:{_COMPONENT}/)+(?:manifests/(?:{_TAG}|{_DIGEST})|blobs/{_DIGEST})$"
_FIELDS = ("asked", "backend", "host", "token", "strip", "put", "query")
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
            "Host: name where the first component counts; backend, Host, step, components dropped, put before, query",
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
    quick = Quick()
    rows: dict[str, str] = {}
    for name, found in sorted(known_hosts(table).items()):
        if name.endswith((":80", ":443")):
            continue
        others = _row(quick, servers, token, found.others, 0)
        firsts = {first: _row(quick, servers, token, ways, 1) for first, ways in found.firsts.items()}
        asked = NONE
        if found.reads_paths or any(row != others for row in firsts.values()):
            asked, quick.has_readers = name, True
            for first, row in sorted(firsts.items()):
                _put(quick.firsts, f"{name}/{first}", f"{NONE} {row}")
        quick.reads_paths |= found.reads_paths
        for spelt in sorted(DOCKER_HUB_NAMES) if name == DOCKER_HUB else (name,):
            rows[spelt] = f"{asked} {others}"
    if quick.is_empty:
        return quick
    for name, row in rows.items():
        # Of unknown hosts there is a row, so that the known ones have to be told from these.
        if row != _SLOW or destination:
            _put(quick.hosts, name, row)
            quick.has_slow |= row.endswith(f" {NONE}")
    if destination in rows and not any(name.startswith("*") for name in table.hosts):
        quick.elsewhere = rows[destination]
    return quick


def _row(quick: Quick, servers: Servers, token: Callable[[Step], str], ways: Ways | None, strip: int) -> str:
    """What a row says behind its first field."""
    steps = only_steps(ways)
    step = steps[0] if len(steps) == 1 else None
    by_source = step is not None and step.edit is NamespaceEdit.SET and not isinstance(step.namespace, str)
    if step is None or step.to is None or isinstance(step.to.host, Part) or by_source or step.keeps_credentials:
        return NONE
    if step.strip > strip:
        return NONE
    backend, host = servers.endpoint(step.to, step.insecure, step.entry)
    query = f"?ns={escape_namespace(step.namespace)}" if isinstance(step.namespace, str) else ""
    put = f"/{step.put}" if step.put else ""
    quick.strips |= step.strip > 0
    _put(quick.there, backend, servers.there(backend))
    return f"{backend} {host} {token(step)} {step.strip} {put} {query}".rstrip()


def _put(file: MapFile, key: str, row: str) -> None:
    # What cannot be written goes the long way.
    with contextlib.suppress(NotWritableError):
        file.add(key, row)


def frontend_rules(quick: Quick, directory: str) -> Iterator[str]:
    """Rules that find the short way, and make the request its own."""
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
        yield "acl asks_first var(txn.first) -m found"
        reads = "is_quick !{ var(txn.quick) -m beg -- '- ' }"
        # A repository of one component has nothing before it.
        several = "{ path -m reg '^/v2/[^/]+/[^/]+/[^/]+/[^/]' }"
        yield f"http-request set-var-fmt(txn.first) %[{_field('asked')}]/%[path,field(3,/)] if {reads} {several}"
        if quick.reads_paths:
            host_like = "{ path,field(3,/) -m reg '[.]|^localhost$' }"
            yield f"http-request set-var(txn.quick) str('{_SLOW}') if asks_first {host_like}"
        yield f"http-request set-var(txn.first) 'var(txn.first),map_str({firsts})' if asks_first"
        yield "http-request set-var(txn.quick) var(txn.first) if asks_first { var(txn.first) -m beg -- '- ' }"
    if quick.has_slow or quick.has_readers:
        yield f"http-request unset-var(txn.quick) if is_quick {{ {_field('backend')} -m str -- {NONE} }}"
    yield "http-request set-var(txn.client_target) pathq if is_quick"
    uri = f"/v2%[{_field('put')}]%[path,{{}}]%[{_field('query')}]"
    stripped = f"{{ {_field('strip')} -m str 1 }}"
    if quick.strips:
        put_first = uri.format("field(4,/,0)").replace("]%[path", "]/%[path", 1)
        yield f"http-request set-uri {put_first} if is_quick {stripped}"
    yield f"http-request set-uri {uri.format('bytes(3)')} if is_quick{f' !{stripped}' if quick.strips else ''}"
    yield f"http-request set-header host %[{_field('host')}] if is_quick"
    for name in ("authorization", "cookie", "proxy-authorization"):
        yield f"http-request del-header {name} if is_quick"
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
    yield "http-response del-header www-authenticate if is_quick"
    yield "http-response allow if is_quick !{ res.fhdr(location) -m found } !{ res.fhdr(link) -m found }"
    yield f"http-response set-var(txn.token) '{_field('token')}' if is_quick"
    yield f"http-response set-var(txn.step) 'var(txn.token),{steps}' if is_quick"
    for number, name in enumerate(("strip", "put", "reference_put", "edit"), start=3):
        yield f"http-response set-var(txn.{name}) 'var(txn.step),field({number},\" \")' if is_quick"
    for number, name in enumerate(("there", "there_name"), start=1):
        yield f"http-response set-var(txn.{name}) '{_field('backend')},{there},field({number},\" \")' if is_quick"
    yield "http-response set-var(txn.rerouted) bool(true) if is_quick"
    yield "http-response set-var(txn.namespaced) bool(true) if is_quick { var(txn.edit) -m str S F }"
    yield "http-response set-var(txn.begins) str() if is_quick"
    stripped = "is_quick { var(txn.strip) -m str 1 }"
    yield f"http-response set-var-fmt(txn.begins) %[var(txn.client_target),field(3,/)]/ if {stripped}"
    put = "is_quick !{ var(txn.put) -m str -- - }"
    yield f"http-response set-var(txn.moved) bool(true) if {stripped} or {put}"
