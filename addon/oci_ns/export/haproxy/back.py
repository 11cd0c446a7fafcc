"""References in an answer that mean "come back here", as the client can follow them, in HAProxy's rules.

Knows `Location`, a `Link` of one target, and the realm of a challenge, as `way_back` has them for the addon.
"""

from __future__ import annotations

from collections.abc import Iterator

from oci_ns.export.haproxy.maps import Maps
from oci_ns.export.haproxy.query import BAD_ESCAPES, NAMED, with_namespace, without_namespace

_STEP = "{ var(txn.step) -m found }"
_AUTHORITY = "^(?:[A-Za-z]+:)?//[^/?]*"


def request_notes() -> Iterator[str]:
    """What of the request the way back needs."""
    yield f"http-request set-var-fmt(txn.sent_target) %[var(txn.path)]%[var(txn.sent_query)] if {_STEP}"
    yield f"http-request set-var(txn.rerouted) bool(true) if {_STEP} !{{ var(txn.step) -m beg '= ' }}"
    named = f"{_STEP} {{ var(txn.edit) -m str S F }}"
    yield (
        f"http-request set-var(txn.namespaced) bool(true) if {named} {{ var(txn.rerouted) -m bool }} "
        f"or {named} !{{ var(txn.client_target),strcmp(txn.sent_target) eq 0 }}"
    )
    yield (
        f'http-request set-var(txn.said) \'var(txn.query),regsub("^.*?&{NAMED}=([^&]+).*$","\\1"),'
        f"regsub({BAD_ESCAPES}),url_dec(1),url_enc' if {{ var(txn.query) -m reg '&{NAMED}=[^&]' }}"
    )


def response_rules(maps: Maps, look_up: str) -> Iterator[str]:
    """Rules that map an answer's references; `look_up` is the converter that looks up in the map of what is put."""
    yield "acl told var(res.told) -m found"
    yield "acl rerouted var(txn.rerouted) -m bool"
    yield "acl absolute var(res.told) -m reg '^(?:[A-Za-z]+:)?//'"
    yield "acl elsewhere var(res.told) -m reg -i '#|^(?!https?:)[A-Za-z][A-Za-z0-9+.-]*:'"
    yield "acl there var(res.there) -m bool"
    yield "acl of_v2 var(res.path) -m reg '^/v2(?:/|$)'"
    yield "acl rooted var(res.path) -m beg /"
    yield "acl new var(res.new) -m found"
    yield "acl namespaced var(txn.namespaced) -m bool"
    yield "acl several_challenges res.fhdr_cnt(www-authenticate) gt 1"
    yield f"http-response del-header www-authenticate if {_STEP} !{{ var(txn.credentials) -m str k }}"
    yield f"http-response set-var(res.told) res.fhdr(location) if {_STEP}"
    yield from _mapped(maps, look_up)
    yield ("http-response unset-var(res.new) if { status 300:399 } { var(res.new),strcmp(txn.client_target) eq 0 }")
    yield "http-response set-header location %[var(res.new)] if new"
    for name in ("told", "new", "there", "path", "query", "mapped"):
        yield f"http-response unset-var(res.{name})"
    one = "{ res.fhdr_cnt(link) eq 1 } { res.fhdr(link) -m reg '^<[^<>]*>[^<>]*$' }"
    yield f'http-response set-var(res.told) \'res.fhdr(link),regsub("^<([^<>]*)>.*$","\\1")\' if {_STEP} {one}'
    yield 'http-response set-var(res.parameters) \'res.fhdr(link),regsub("^<[^<>]*>","")\' if told'
    yield from _mapped(maps, look_up)
    yield "http-response set-header link <%[var(res.new)]>%[var(res.parameters)] if new"
    yield from _challenge()


def _names(authority: str, scheme: str, condition: str) -> Iterator[str]:
    """Rules that tell by `res.there` whether an authority is the endpoint's."""
    same = "{ var(res.name),strcmp(txn.there_name) eq 0 }"
    alias = 'regsub("^(?:index|registry-1)[.]docker[.]io$","docker.io")'
    tidy = f'{authority},lower,regsub("[.](?=:|$)","")'
    for port, when in (("80|443", ""), ("80", f" {{ {scheme} -m reg -i '^http:' }}")):
        yield f'http-response set-var(res.name) \'{tidy},regsub(":(?:{port})?$",""),{alias}\' {condition}{when}'
        yield f"http-response set-var(res.there) bool(true) {condition} {same}"
    when = f" !{{ {scheme} -m reg -i '^http:' }}"
    yield f'http-response set-var(res.name) \'{tidy},regsub(":(?:443)?$",""),{alias}\' {condition}{when}'
    yield f"http-response set-var(res.there) bool(true) {condition} {same}"


def _mapped(maps: Maps, look_up: str) -> Iterator[str]:
    """Rules that set `res.new` where `res.told` means something else to the client."""
    yield "http-response unset-var(res.told) if told elsewhere"
    authority = 'var(res.told),regsub("^(?:[A-Za-z]+:)?//([^/?]*).*$","\\1")'
    yield from _names(authority, "var(res.told)", "if told absolute")
    yield "http-response unset-var(res.told) if told absolute !there"
    yield f'http-response set-var(res.path) \'var(res.told),regsub("{_AUTHORITY}","")\' if told'
    yield "http-response set-var(res.rest) var(res.path) if told"
    asks = "{ var(res.path) -m sub ? }"
    yield f'http-response set-var(res.query) \'var(res.path),regsub("^[^?]*[?]","&")\' if told {asks}'
    yield f'http-response set-var(res.path) \'var(res.path),regsub("[?].*$","")\' if told {asks}'
    has_query = "{ var(res.query) -m found }"
    for line in without_namespace("res.query", "res.edited", f"if told namespaced {has_query}"):
        yield f"http-response {line}"
    for line in with_namespace("res.query", "txn.said", "res.edited", "if told namespaced { var(txn.said) -m found }"):
        yield f"http-response {line}"
    yield f"http-response set-var(res.edited) var(res.query) if told !namespaced {has_query}"
    yield 'http-response set-var(res.edited) \'var(res.edited),regsub("^&","?")\' if told'
    yield "http-response set-var-fmt(res.new) %[var(res.path)]%[var(res.edited)] if told !absolute !rooted"
    not_of_v2 = "told rooted !absolute !of_v2 rerouted"
    yield f"http-response set-var-fmt(res.new) %[var(txn.there)]%[var(res.rest)] if {not_of_v2}"
    empty = "{ var(res.path),length eq 0 }"
    yield "http-response set-var-fmt(res.new) %[var(res.rest)] if told absolute !of_v2 !rerouted rooted"
    yield f"http-response set-var-fmt(res.new) /%[var(res.rest)] if told absolute !of_v2 !rerouted {empty}"
    # Below /v2: the endpoint's beginning of a repository becomes the client's.
    yield "http-response set-var(res.mapped) var(res.path) if told of_v2"
    below = "told of_v2 { var(txn.moved) -m bool } { var(res.path) -m reg '^/v2/(?!_catalog$).' }"
    yield f"http-response set-var-fmt(res.key) %[var(txn.token)]:%[var(res.path)] if {below}"
    yield f"http-response set-var(res.own) str(0) if {below} {{ var(txn.put) -m str -- - }}"
    yield f"http-response set-var(res.own) 'var(res.key),{look_up}' if {below} !{{ var(txn.put) -m str -- - }}"
    yield f"http-response unset-var(res.mapped) if {below}"
    for number in sorted({0, *maps.puts}):
        is_it = f"{below} {{ var(res.own) -m str {number} }}"
        cut = f"^/v2/(?:[^/]*/){{{number}}}"
        yield f'http-response set-var(res.mapped) \'var(res.path),regsub("{cut}","")\' if {is_it}'
        yield f"http-response set-var-fmt(res.mapped) /v2/%[var(txn.begins)]%[var(res.mapped)] if {is_it}"
    found = "told of_v2 { var(res.mapped) -m found }"
    yield f"http-response set-var-fmt(res.new) %[var(res.mapped)]%[var(res.edited)] if {found}"
    lost = "told of_v2 !{ var(res.mapped) -m found } rerouted"
    yield f"http-response set-var-fmt(res.new) %[var(txn.there)]%[var(res.rest)] if {lost}"


def _challenge() -> Iterator[str]:
    """A realm at the endpoint's own name becomes the listener's, where the request stays with whom it addressed."""
    realm = "realm\\s*=\\s*\\x22"
    asked = f"{_STEP} !rerouted !several_challenges {{ res.fhdr(www-authenticate) -m reg -i '{realm}https?://' }}"
    yield "http-response unset-var(res.there)"
    yield (
        "http-response set-var(res.realm) 'res.fhdr(www-authenticate),"
        f'regsub("^.*?{realm}(https?://[^/?\\x22]*).*$","\\1",i)\' if {asked}'
    )
    has = "{ var(res.realm) -m found }"
    yield from _names('var(res.realm),regsub("^[A-Za-z]+://","")', "var(res.realm)", f"if {has}")
    yield (
        f'http-response set-var(res.before) \'res.fhdr(www-authenticate),regsub("^(.*?{realm})https?://.*$","\\1",i)\' '
        f"if {has} there"
    )
    yield (
        "http-response set-var(res.after) 'res.fhdr(www-authenticate),"
        f'regsub("^.*?{realm}https?://[^/?\\x22]*","",i)\' if {has} there'
    )
    yield (
        "http-response set-header www-authenticate %[var(res.before)]%[var(txn.base)]%[var(res.after)] "
        f"if {has} there {{ var(res.before) -m found }}"
    )
