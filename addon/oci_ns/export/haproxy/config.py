"""A table of decisions as HAProxy's configuration (2.6 or later): one file of rules, and the maps it looks up in.

A request is decided in the frontend `clients`. Where it may be passed on to a further endpoint, it goes on as it came
through HAProxy's own frontends, one for each step, so that each step begins with what the client sent; HAProxy's retry
leads from one to the next. What a step does to a request stands in `defaults endpoints`, which every backend has.
"""

from __future__ import annotations

from collections.abc import Iterator

from oci_ns.export.contract import Exported, NotCarried, NotCarriedError, Settings
from oci_ns.export.haproxy.back import request_notes, response_rules
from oci_ns.export.haproxy.filling import maps_of
from oci_ns.export.haproxy.maps import Maps
from oci_ns.export.haproxy.quick import request_rules as quick_request_rules
from oci_ns.export.haproxy.quick import response_rules as quick_response_rules
from oci_ns.export.haproxy.rules import Rules
from oci_ns.export.haproxy.servers import Servers
from oci_ns.export.haproxy.steps import hops, request_rules
from oci_ns.export.haproxy.text import argument, looked_up, shown, word
from oci_ns.export.tabulation import Tabulation
from oci_ns.reference import registry_name

MAIN = "haproxy.cfg"
UNAVAILABLE = "unavailable.http"
_BUFFER = 32_768
"""In bytes: a request's head has to fit in it."""


def export(table: Tabulation, settings: Settings) -> Exported:
    """HAProxy's files for a table. Raises NotCarriedError, and ValueError for settings that have no form there."""
    for path in (settings.directory, settings.authorities, settings.certificate):
        argument(path)
    if settings.key:
        why = f"HAProxy reads it from {settings.certificate}.key, or from the certificate's file where that has both"
        problem = NotCarried("the key of the certificate", why)
        if settings.key != f"{settings.certificate}.key":
            raise NotCarriedError([problem])
    servers = Servers(settings)
    to, own, unknown = settings.destination, "", ""
    if to is not None and isinstance(to.host, str):
        unknown = registry_name(to.scheme, to.host, to.port)
    maps = maps_of(table, servers, unknown)
    if to is not None and unknown:
        own = servers.endpoint(to, False, "")[0]
    left_out = (*settings.without_form, *maps.left_out, *servers.left_out)
    if left_out and not settings.allow_partial:
        raise NotCarriedError(left_out)
    files = {MAIN: "\n".join(_lines(table, settings, maps, servers, own, left_out)) + "\n"}
    files |= {file.name: file.text() for file in maps.files()}
    return Exported(files | {UNAVAILABLE: _unavailable()}, left_out)


def _lines(
    table: Tabulation, settings: Settings, maps: Maps, servers: Servers, own: str, left_out: tuple[NotCarried, ...]
) -> Iterator[str]:
    rules = Rules(table, maps, settings)
    steps = looked_up(settings.directory, "steps")
    yield f"# Registries as they are addressed by {table.scheme}. Made by ns-inject export haproxy: changes are lost."
    for problem in left_out:
        yield f"# left out: {shown(str(problem))}"
    yield from ("", "global", f"  tune.bufsize {_BUFFER}", f"  tune.maxrewrite {_BUFFER // 4}")
    yield from _listening(settings)
    yield from ("", "defaults endpoints from listening")
    yield from (f"  {line}" for line in quick_request_rules(maps.quick))
    yield from (f"  {line}" for line in request_rules(maps))
    yield from (f"  {line}" for line in request_notes())
    yield from (f"  {line}" for line in quick_response_rules(maps.quick, settings.directory, steps))
    yield '  # References that mean "come back here".'
    yield from (f"  {line}" for line in response_rules(maps, looked_up(settings.directory, "put-back", "beg")))
    yield from servers.resolvers()
    yield ""
    yield from rules.frontend(own)
    yield from hops(maps, _sockets(settings), steps, settings.connect_seconds, settings.response_seconds)
    yield from servers.text()


def _sockets(settings: Settings) -> str:
    """How HAProxy's own sockets are called: they are abstract, so that they need no directory.

    No two processes listen at the same address, so none has the sockets of another.
    """
    if not settings.listen:
        return "ns-inject"
    first = settings.listen[0]
    return f"ns-inject-{first.host.replace(':', '.') or 'any'}-{first.port}"


def _listening(settings: Settings) -> Iterator[str]:
    body = '{"errors": [{"code": "UNSUPPORTED", "message": "the request is not sent on: it is not well-formed"}]}'
    slow = '{"errors": [{"code": "UNAVAILABLE", "message": "the endpoint did not answer in time"}]}'
    bad = '{"errors": [{"code": "UNAVAILABLE", "message": "the endpoint answered with something else than HTTP"}]}'
    yield from (
        "",
        "defaults listening",
        "  mode http",
        f"  timeout connect {settings.connect_seconds}s",
        f"  timeout server {settings.response_seconds}s",
        "  timeout client 300s",
        "  timeout http-request 30s",
        "  timeout http-keep-alive 300s",
        "  http-reuse safe",
        "  retries 1",
        "  retry-on empty-response",
        f"  http-error status 400 content-type application/json string '{body}'",
        f"  http-error status 502 content-type application/json string '{bad}'",
        f"  errorfile 503 {word(f'{settings.directory}/{UNAVAILABLE}')}",
        f"  http-error status 504 content-type application/json string '{slow}'",
    )


def _unavailable() -> str:
    """What is answered where nobody can be connected to, as a file of HAProxy's."""
    body = '{"errors": [{"code": "UNAVAILABLE", "message": "no endpoint can be connected to"}]}'
    head = f"HTTP/1.1 502 Bad Gateway\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}\r\n{body}"
