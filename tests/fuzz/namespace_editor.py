"""Fuzzes the editing of `ns`: what others read of the query, and that no other byte of it changes.

An input is a namespace, a line feed and a query; without a line feed there is no query.
"""

from __future__ import annotations

from collections.abc import Iterator

from oci_ns import distribution
from tests.fuzz.queries import others, read_by_go, read_by_python
from tests.fuzz.target import Target, text_of
from tests.fuzz.vectors import urls

_NAME = "ns"


def one_input(data: bytes) -> None:
    """Set, drop and thin out the `ns` of a query."""
    namespace, newline, rest = text_of(data).partition("\n")
    query = rest if newline else None
    namespace = namespace or "docker.io"
    read = distribution.namespaces_in(query)
    assert read == read_by_python(query, _NAME), f"read {read}"
    _set(query, namespace)
    _dropped(query)
    _thinned(query, read)


def _set(query: str | None, namespace: str) -> None:
    found = distribution.with_namespace(query, namespace)
    assert read_by_go(found, _NAME) == [namespace], f"Go reads {read_by_go(found, _NAME)} in {found!r}"
    assert read_by_python(found, _NAME) == [namespace], f"Python reads {read_by_python(found, _NAME)} in {found!r}"
    _the_rest_is_kept(query, found)
    escaped = distribution.escape_namespace(namespace)
    assert escaped.isascii()
    assert distribution.with_namespace(query, namespace, escaped) == found
    assert distribution.with_namespace(found, namespace) == found, "not the same when set again"


def _dropped(query: str | None) -> None:
    found = distribution.without_namespace(query)
    assert read_by_go(found, _NAME) == read_by_python(found, _NAME) == [], f"ns is left in {found!r}"
    _the_rest_is_kept(query, found)
    assert distribution.without_namespace(found) == found, "not the same when dropped again"


def _thinned(query: str | None, read: list[str]) -> None:
    found = distribution.with_first_namespace_only(query)
    expected = [next(filter(None, read), "")] if read else []
    assert read_by_python(found, _NAME) == expected, f"{found!r} does not say {expected}"
    assert len(read_by_go(found, _NAME)) <= 1
    _the_rest_is_kept(query, found)


def _the_rest_is_kept(query: str | None, found: str | None) -> None:
    before, after = "&".join(others(query, _NAME)), "&".join(others(found, _NAME))
    assert after == before, f"{query!r} became {found!r}"


def _seeds() -> Iterator[bytes]:
    namespaces = ("docker.io", "quay.io", "a.example.com:5000", "[::1]:5000", "a b", "\xfc")
    queries = dict.fromkeys(url.partition("?")[2] for url in urls())
    queries |= dict.fromkeys(("a=1&ns=quay.io&b=%2F", "n%73=docker.io", "ns=&ns=a&ns=b", "ns", "last=a&n=10"))
    for namespace in namespaces:
        yield namespace.encode()
        yield from (f"{namespace}\n{query}".encode() for query in queries)


TARGET = Target(
    "namespace-editor",
    "set, drop and thin out ns in a query",
    one_input,
    _seeds,
    ("ns=", "&ns=", "ns", "n%73", "%6es", "&", "=", "%3A", "%25", "%", "+", ";", "docker.io", "last=", "from=", "\n"),
)
