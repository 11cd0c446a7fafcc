"""Fuzzes the loader of registries.conf: with and without the TOML parser the same, and good for decisions.

An input is the bytes of a file.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import tomli

from oci_ns import conf_document
from oci_ns.check import findings
from oci_ns.conf_document import Document
from oci_ns.conf_files import Configuration, parse_text
from oci_ns.index import RouteIndex
from oci_ns.problems import NOT_TOML, ConfigurationError, Problem
from oci_ns.registries_conf import Registry
from oci_ns.registry_rows import Registries
from oci_ns.routes import RouteTable
from oci_ns.toml_pieces import NotInPiecesError
from tests.fuzz.decisions import Asked, check_decision, check_image
from tests.fuzz.places import places_of
from tests.fuzz.target import Target
from tests.fuzz.vectors import configurations

_FILE = Path("r.conf")
_DIGEST = f"sha256:{'0f' * 32}"
_ASKED_MAX = 2
"""Of how many registries, the first, images are asked for."""


def one_input(data: bytes) -> None:
    """Load a file three ways, and use what it says."""
    document = _loaded(data)
    _same(document, _without_plain_tables(data))
    _same(document, _at_once(data))
    _same_as_parser(data, document)
    if isinstance(document, Document):
        _used(document)


_Outcome = Document | tuple[Problem, ...]


def _loaded(data: bytes) -> _Outcome:
    try:
        return parse_text(_FILE, data)
    except ConfigurationError as error:
        refused = error
    assert str(refused).isprintable(), "an error is not one line of text"
    return refused.problems


def _without_plain_tables(data: bytes) -> _Outcome:
    with patch.object(conf_document, "read_plain_tables", lambda _text, at, *_: at):
        return _loaded(data)


def _at_once(data: bytes) -> _Outcome:
    with patch.object(conf_document, "parse_pieces", side_effect=NotInPiecesError):
        return _loaded(data)


def _same(one: _Outcome, other: _Outcome) -> None:
    """The same but for lines, which the one may know and the other not, and what is said with them."""
    if not (isinstance(one, Document) and isinstance(other, Document)):
        assert type(one) is type(other), f"{one} and {other}"
        return
    assert list(one.registries) == list(other.registries)
    assert one.registries == other.registries
    assert one.unqualified_search_registries == other.unqualified_search_registries
    assert sorted(warning.code for warning in one.warnings) == sorted(warning.code for warning in other.warnings)
    for registry, again in zip(one.registries.values(), other.registries.values(), strict=True):
        assert registry.table == again.table
        for endpoint, there in zip(registry.endpoints, again.endpoints, strict=True):
            assert None in (endpoint.line, there.line) or endpoint.line == there.line, f"line {endpoint.line}"


def _same_as_parser(data: bytes, document: _Outcome) -> None:
    """What is no TOML to the parser is none to the loader, and the reverse; the registries are the parser's."""
    not_toml = not isinstance(document, Document) and document[0].code == NOT_TOML
    try:
        parsed = tomli.loads(data.decode())
    except (ValueError, RecursionError):
        assert not_toml, f"loads as {document}, but is no TOML"
        return
    assert not not_toml, f"is TOML, but {document}"
    if isinstance(document, Document):
        tables = _at(parsed, "registry", [])
        named = {_at(table, "prefix", "").rstrip("/") or _at(table, "location", "").rstrip("/") for table in tables}
        assert set(document.registries) == named


def _at(table: dict[str, Any], key: str, default: Any) -> Any:
    """The value of a key, whose case matters only where there are several."""
    return table.get(key, next((table[each] for each in reversed(table) if each.lower() == key), default))


def _used(document: Document) -> None:
    numbers = array("I", (document.numbers[prefix] for prefix in sorted(document.numbers)))
    registries = Registries(document.rows, numbers)
    configuration = Configuration(
        registries, document.unqualified_search_registries or (), (_FILE,), tuple(document.warnings)
    )
    index = RouteIndex(registries)
    assert all(str(finding) for finding in findings(configuration, index))
    table, places = RouteTable(index), places_of(registries)
    for registry in registries[:_ASKED_MAX]:
        _asked(registry, table)
        for host in _hosts(registry):
            named, port = table.addressed_host("https", host, "10.0.0.1", 443)
            for target in _targets(registry):
                check_decision(table, places, Asked("GET", "https", named, port, target))
            check_decision(table, places, Asked("PUT", "http", named, port, "/v2/a/blobs/uploads/?from=b/c&mount=d"))


def _hosts(registry: Registry) -> Iterator[str]:
    yield registry.prefix.partition("/")[0].replace("*", "a.com" if registry.prefix == "*" else "a")
    yield from (endpoint.location.partition("/")[0] for endpoint in registry.endpoints[-2:])


def _targets(registry: Registry) -> Iterator[str]:
    path = registry.prefix.partition("/")[2]
    yield "/v2/"
    yield f"/v2/a/b/blobs/{_DIGEST}?ns=quay.io"
    if path.isascii() and path.isidentifier():
        yield f"/v2/{path}/a/manifests/1?n=2"
    else:
        yield "/v2/a.com/a/manifests/1?n=2"


def _asked(registry: Registry, table: RouteTable) -> None:
    for rest in ("", "/a", f"/a/b:1@{_DIGEST}"):
        check_image(table.index, registry.prefix.replace("*", "a.b", 1) + rest)


TARGET = Target(
    "configuration",
    "registries.conf files: loaded, checked and used",
    one_input,
    configurations,
    ("[[registry]]\n", "[[registry.mirror]]\n", "prefix = ", "location = ", "namespace-proxy = ", "insecure = true\n")
    + ("plain-http = true\n", "forward-credentials = true\n", "blocked = true\n", "mirror-by-digest-only = true\n")
    + ('pull-from-mirror = "digest-only"\n', '"tag-only"', '"all"', "unqualified-search-registries = [", "[aliases]\n")
    + ('"*"', '"*.', "docker.io", "quay.io", "https://", '"', "'", '"""', "'''", "=", "[", "]", "{", "}", "#", "\r\n")
    + ("mirror = [{", "registry = [", "\\u00e9", "\\n", "short-name-mode = ", "credential-helpers = [", ":5000", "/a"),
)
