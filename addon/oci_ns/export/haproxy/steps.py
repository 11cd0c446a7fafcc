"""What a step does to a request, and to its answer on the way back, in HAProxy's rules.

Knows paths, queries, header fields, and references in an answer (`way_back` is the same for the addon); how steps are
found is in `rules`.
"""

from __future__ import annotations

from collections.abc import Iterator

from oci_ns.export.haproxy.maps import Maps
from oci_ns.export.haproxy.query import with_first_namespace_only, with_namespace, without_namespace
from oci_ns.export.haproxy.refusals import answer
from oci_ns.export.haproxy.rules import ESCAPED, HANDED, HOP, NOT_MOVABLE, step_of
from oci_ns.export.haproxy.text import nth
from oci_ns.reference import DOCKER_HUB, DOCKER_HUB_API

PATIENCE_SECONDS = 900
"""How long what is no pull may take: a registry takes its time to put a large upload in its place."""

_STEP = "{ var(txn.step) -m found }"
_RETRIED = "conn-failure empty-response junk-response response-timeout 502 503 504"


def request_rules(maps: Maps) -> Iterator[str]:
    """Rules that make a request the step's own. `txn.step` has the step; without one nothing changes."""
    yield "# Only pulls are passed on by HAProxy's own frontends, and only they are hurried."
    pull = "{ var(txn.hop) -m found } or { var(txn.kind) -m str r t d b }"
    yield f"http-request set-timeout server {PATIENCE_SECONDS}s unless {pull}"
    yield "# What the step says; a request that is passed on as it is has none."
    names = ("host", "strip", "put", "reference_put", "edit", "namespace", "credentials")
    for number, name in enumerate(names, start=2):
        yield f"http-request set-var(txn.{name}) 'var(txn.step),{nth(number)}' if {_STEP}"
    yield f"http-request set-var(txn.client_target) pathq if {_STEP}"
    yield f"http-request set-var-fmt(txn.query) &%[query] if {_STEP} {{ query -m found }}"
    yield "http-request disable-l7-retry if !{ method GET HEAD }"
    yield "# The path: what the repository loses at its beginning, and gets there; every other byte stays."
    yield from _path(maps)
    yield "# The query: no ns (D), exactly the given one (S), or the first that says anything (F)."
    for line in _query():
        yield f"http-request {line}"
    yield f"http-request set-uri %[var(txn.path)]%[var(txn.sent_query)] if {_STEP}"
    yield "# The step's own Host, and nothing of the client's that is not meant for it."
    yield "http-request set-var(txn.to) var(txn.named)"
    yield "http-request set-var(txn.to) var(txn.source) if { var(txn.host) -m str * }"
    hub = f"{{ var(txn.host) -m str * }} {{ var(txn.to) -m str {DOCKER_HUB} }}"
    yield f"http-request set-var(txn.to) str({DOCKER_HUB_API}) if {hub}"
    yield "http-request set-var(txn.host) var(txn.to) if { var(txn.host) -m str * }"
    yield f"http-request set-header host %[var(txn.host)] if {_STEP} !{{ var(txn.host) -m str = }}"
    yield f"http-request del-header authorization if {_STEP} !{{ var(txn.credentials) -m str k }}"
    yield f"http-request del-header cookie if {_STEP} !{{ var(txn.credentials) -m str k }}"


def _path(maps: Maps) -> Iterator[str]:
    yield f"http-request set-var(txn.path) path if {_STEP}"
    moved = f"{_STEP} !{{ var(txn.strip) -m str 0 }} or {_STEP} !{{ var(txn.put) -m str -- - }} or "
    yield "http-request set-var(txn.reference_put) str(-) if !{ var(txn.asks) -m str manifest }"
    moved += f"{_STEP} !{{ var(txn.reference_put) -m str -- - }}"
    yield "acl moved var(txn.moved) -m bool"
    yield f"http-request set-var(txn.moved) bool(true) if {moved}"
    yield f"{answer(400, 'UNSUPPORTED', ESCAPED)} if moved {{ path -m reg '{NOT_MOVABLE}' }}"
    message = "the request is not sent on: the repository that it mounts from may have another name there"
    mounts = "{ path_sub /blobs/uploads } { query -m reg '(?:^|&)(?:f|%66)(?:r|%72)(?:o|%6[Ff])(?:m|%6[Dd])=' }"
    yield f"{answer(400, 'UNSUPPORTED', message)} if moved {mounts}"
    yield 'http-request set-var(txn.path) \'path,regsub("^/v2/","")\' if moved'
    yield "http-request set-var(txn.begins) str() if moved"
    for strip in sorted(maps.strips):
        is_it = f"moved {{ var(txn.strip) -m str {strip} }}"
        first = f"(?:[^/]*(?:/|$)){{{strip}}}"
        yield f'http-request set-var(txn.begins) \'var(txn.path),regsub("^({first}).*$","\\1")\' if {is_it}'
        yield f'http-request set-var(txn.path) \'var(txn.path),regsub("^{first}","")\' if {is_it}'
    put = "moved !{ var(txn.put) -m str -- - }"
    yield f"http-request set-var-fmt(txn.path) /%[var(txn.path)] if {put} {{ var(txn.path),length gt 0 }}"
    yield f"http-request set-var-fmt(txn.path) %[var(txn.put)]%[var(txn.path)] if {put}"
    referred = "moved !{ var(txn.reference_put) -m str -- - }"
    yield f'http-request set-var(txn.path) \'var(txn.path),regsub("[^/]*$","")\' if {referred}'
    yield f"http-request set-var-fmt(txn.path) %[var(txn.path)]%[var(txn.reference_put)] if {referred}"
    yield "http-request set-var-fmt(txn.path) /v2/%[var(txn.path)] if moved"


def _query() -> Iterator[str]:
    """The edit of `ns`."""
    by_source = "{ var(txn.namespace) -m str * }"
    yield f"set-var(txn.namespace) var(txn.source),url_enc if {_STEP} {by_source}"
    yield f"set-var(txn.new_query) var(txn.query) if {_STEP} {{ var(txn.query) -m found }}"
    yield from without_namespace("txn.query", "txn.new_query", "if { var(txn.edit) -m str D }")
    yield from with_namespace("txn.query", "txn.namespace", "txn.new_query", "if { var(txn.edit) -m str S }")
    yield from with_first_namespace_only("txn.query", "txn.new_query", "if { var(txn.edit) -m str F }")
    has_query = f"{_STEP} {{ var(txn.new_query) -m found }}"
    yield f'set-var(txn.sent_query) \'var(txn.new_query),regsub("^&","?")\' if {has_query}'


def hops(maps: Maps, sockets: str, look_up: str, connect: int, response: int) -> Iterator[str]:
    """Frontends and backends that lead a request from step to step.

    `sockets` is how their names begin, `look_up` the converter that looks up a step; times are in seconds.

    A request goes to `try<n>`, and so to the frontend of step n, as it came; what fails there is tried once more, at
    what begins with step n + 1.
    """
    last = maps.most_steps
    for number in range(1, last):
        wait = (connect + response + 1) * (last - number + 1)
        yield from (
            "",
            f"backend try{number} from listening",
            f"  timeout server {wait}s",
            "  balance first",
            "  retries 1",
            "  option redispatch 1",
            f"  retry-on {_RETRIED}",
            f"  server step{number} abns@{sockets}-step{number}",
            f"  server from{number + 1} abns@{sockets}-from{number + 1}",
        )
        yield from _hop(f"step{number}", number, sockets, look_up, "")
        passed = "  http-response set-status 503 if"
        yield f"{passed} {{ status ge 500 }} or {{ status 404 }} !{{ var(txn.asks) -m str absence }}"
        further = f"try{number + 1}" if number + 1 < last else ""
        yield from _hop(f"from{number + 1}", number + 1, sockets, look_up, further)


def _hop(name: str, number: int, sockets: str, look_up: str, further: str) -> Iterator[str]:
    """A frontend that carries out a step, or leads further where there are more."""
    yield ""
    yield f"frontend {name} from listening"
    yield f"  bind abns@{sockets}-{name}"
    yield f"  http-request set-var(txn.hop) req.fhdr({HOP})"
    for position, variable in enumerate(HANDED, start=1):
        yield f"  http-request set-var(txn.{variable}) 'var(txn.hop),field({position},|)'"
    if further:
        yield f"  http-request set-var(txn.next) 'var(txn.steps),{nth(number + 1)}'"
        yield "  acl is_last var(txn.next),length eq 0"
    yield f"  http-request del-header {HOP}{' if is_last' if further else ''}"
    for line in step_of(f"'var(txn.steps),{nth(number)}'", look_up, ""):
        yield f"  {line.rstrip()}"
    if further:
        yield f"  use_backend {further} unless is_last"
    yield "  use_backend %[var(txn.backend)]"
