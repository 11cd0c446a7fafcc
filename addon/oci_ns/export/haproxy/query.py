"""`ns` in a query, taken out or put in by HAProxy's converters; no other byte of the query changes.

Knows what `distribution` does with a query, in HAProxy's language. A query in a variable begins with `&`, so that each
parameter does; the variable is not set where there is none.
"""

from __future__ import annotations

from collections.abc import Iterator

NAMED = "(?:n|%6[Ee])(?:s|%73)"
"""The name of the parameter, however it is spelt."""
PARAMETER = f"&{NAMED}(?:=[^&]*)?(?=&|$)"
WITHOUT = f'regsub("{PARAMETER}","",g)'
"""The converter that drops every `ns`."""
BAD_ESCAPES = '"%(?![0-9A-Fa-f][0-9A-Fa-f])","%25",g'
"""What a `%` that begins no escape is replaced by, so that it is decoded to itself."""
_PLAIN = "&ns=([^&;+]+)(?=&|$)"


def without_namespace(query: str, out: str, condition: str) -> Iterator[str]:
    """Rules that set `out` to the query without any `ns`, so that nothing is left where nothing else was in it."""
    yield f"set-var({out}) 'var({query}),{WITHOUT}' {condition}"
    # An empty parameter alone is an empty query, and that is none where something was dropped.
    yield f"set-var({out}) str() {condition} {{ var({out}) -m str & }} !{{ var({query}) -m str & }}"


def with_namespace(query: str, namespace: str, out: str, condition: str) -> Iterator[str]:
    """Rules that set `out` to the query with the escaped namespace of a variable as its only `ns`."""
    one, alone = f"{out}_one", f"{out}_alone"
    yield f"unset-var({one}) {condition}"
    yield f"set-var({out}) str() {condition}"
    yield f"set-var({out}) 'var({query}),{WITHOUT}' {condition} {{ var({query}) -m found }}"
    yield f'set-var({alone}) \'var({query}),regsub("{PARAMETER}","")\' {condition} {{ var({query}) -m found }}'
    as_is = f"{{ var({query}) -m reg '{_PLAIN}' }} {{ var({alone}),strcmp({out}) eq 0 }}"
    # What has a % or a semicolon is not read alike by everybody.
    alike = f"!{{ var({namespace}) -m reg '%25|%3B' }}"
    decoded = f"regsub({BAD_ESCAPES}),url_dec(1),url_enc"
    yield f'set-var({one}) \'var({query}),regsub("^.*?{_PLAIN}.*$","\\1"),{decoded}\' {condition} {as_is} {alike}'
    yield f"set-var({out}) str() {condition} {{ var({out}) -m str & }}"
    stays = f"{{ var({one}) -m found }} {{ var({one}),strcmp({namespace}) eq 0 }}"
    yield f"set-var-fmt({out}) %[var({out})]&ns=%[var({namespace})] {condition}"
    yield f"set-var({out}) var({query}) {condition} {stays}"


def with_first_namespace_only(query: str, out: str, condition: str) -> Iterator[str]:
    """Rules that set `out` to the query with the first `ns` that is not empty, else the first, as its only one."""
    before, kept, after = f"{out}_before", f"{out}_kept", f"{out}_after"
    said = f"{{ var({query}) -m reg '&{NAMED}=[^&]' }}"
    for regex, asked in ((f"&{NAMED}=[^&]+", said), (PARAMETER, f"!{said}")):
        whole = f"^(.*?)({regex})(.*)$"
        matches = f"{asked} {{ var({query}) -m reg '{PARAMETER}' }}"
        for part, (name, drop) in enumerate(((before, True), (kept, False), (after, True)), start=1):
            dropped = f",{WITHOUT}" if drop else ""
            yield f'set-var({name}) \'var({query}),regsub("{whole}","\\{part}"){dropped}\' {condition} {matches}'
    yield f"set-var({out}) var({query}) {condition} {{ var({query}) -m found }}"
    has = f"{{ var({kept}) -m found }}"
    yield f"set-var-fmt({out}) %[var({before})]%[var({kept})]%[var({after})] {condition} {has}"
