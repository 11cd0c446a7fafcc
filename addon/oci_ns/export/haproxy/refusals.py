"""How HAProxy refuses a request: with the distribution-spec's JSON, and what the request fills in."""

from __future__ import annotations

from collections.abc import Iterator

from oci_ns.export.haproxy.maps import Maps
from oci_ns.export.haproxy.text import inside_json, looked_up

_VERSION = "hdr Docker-Distribution-Api-Version registry/2.0"


def answer(status: int, code: str, message: str, detail: str = "") -> str:
    """The action that answers with an error of the distribution-spec."""
    told = f', "detail": "{inside_json(detail)}"' if detail else ""
    body = f'{{"errors": [{{"code": "{code}", "message": "{inside_json(message)}"{told}}}]}}'
    quoted = body.replace("'", "")
    return f"http-request return status {status} content-type application/json string '{quoted}' {_VERSION}"


def refusal_rules(maps: Maps, directory: str, *, reads_namespaces: bool) -> Iterator[str]:
    """Rules that answer where `txn.steps` is a refusal's name; `directory` has the maps."""
    yield "acl refused var(txn.refusal) -m found"
    yield (
        f'http-request set-var(txn.refusal) \'var(txn.steps),regsub("^!",""),{looked_up(directory, "refusals")}\' '
        "if { var(txn.steps) -m beg ! }"
    )
    yield "http-request set-var(txn.status) 'var(txn.refusal),field(1,|)' if refused"
    greeted = "{ var(txn.what) -m str r } { var(txn.status) -m str 403 } { var(txn.reads) -m str -- - }"
    spoken = " !spoken" if reads_namespaces else ""
    yield "# Clients show nothing of a ping that fails: they get it, and then the error to what it is about."
    yield f"http-request set-var(txn.status) str(200) if refused pull {greeted}{spoken}"
    yield "http-request set-var(txn.subject) var(txn.scope) if refused !{ var(txn.subject) -m found }"
    yield "http-request set-var-fmt(txn.I) %[var(txn.source)] if refused"
    yield (
        "http-request set-var-fmt(txn.I) %[var(txn.source)]/%[var(txn.subject)]%[var(txn.reference)] if refused !root"
    )
    yield "http-request set-var-fmt(txn.N) ns=%[var(txn.spoken)] if refused"
    body = ""
    for number in range(maps.message_parts):
        piece = f"txn.p{number}"
        yield f"http-request set-var({piece}) 'var(txn.refusal),field({number + 2},|)' if refused"
        if number % 2:
            values = (("S", "txn.source"), ("A", "txn.name"), ("N", "txn.N"), ("P", "path"), ("I", "txn.I"))
            for letter, value in values:
                given = value if value == "path" else f"var({value})"
                yield (
                    f"http-request set-var(txn.given) {given},json(utf8s) if refused {{ var({piece}) -m str {letter} }}"
                )
            yield f"http-request set-var({piece}) var(txn.given) if refused {{ var({piece}) -m found }}"
        body += f"%[var({piece})]"
    for status in sorted({*maps.statuses, 200}):
        yield (
            f"http-request return status {status} content-type application/json lf-string {body} {_VERSION} "
            f"if refused {{ var(txn.status) -m str {status} }}"
        )
