"""Fuzzes request targets: taken apart and put together again, and decided about by tables of every kind.

An input is three characters that choose a table with its options, a method and the connection, and a URL.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from oci_ns import distribution
from oci_ns.cli.shared import Settings
from oci_ns.conf_files import parse_text
from oci_ns.decision import Source
from oci_ns.distribution import Operation
from oci_ns.explain import url_lines, url_object
from oci_ns.index import RouteIndex
from oci_ns.options import policy_of
from oci_ns.routes import RouteTable
from tests.fuzz.decisions import Asked, check_decision, is_below_v2
from tests.fuzz.places import Places, address, places_of
from tests.fuzz.target import Target, text_of
from tests.fuzz.vectors import REQUESTS, files, urls

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_CONNECTIONS = (("10.0.0.1", 443), ("proxy.example.com", 443), ("2001:db8::1", 5000), ("10.0.0.1", 80))
_MORE = {
    "a wildcard": """
[[registry]]
prefix = "*.example.net"
[[registry.mirror]]
location = "proxy.example.com:5000/wild"
namespace-proxy = "*"
pull-from-mirror = "digest-only"
""",
    "any registry": """
[[registry]]
prefix = "*"
[[registry.mirror]]
location = "[2001:db8::1]:5000"
namespace-proxy = "*"
plain-http = true
""",
    "parts": """
[[registry]]
prefix = "quay.io/core"
location = "quay.io/moved/core"
namespace-proxy = "quay.io"
[[registry.mirror]]
location = "proxy.example.com/core"
pull-from-mirror = "tag-only"
[[registry]]
prefix = "quay.io/core/one:v1"
location = "proxy.example.com/one:v2"
[[registry]]
prefix = "docker.io/library"
location = "docker.io"
[[registry.mirror]]
location = "index.docker.io/mirror"
namespace-proxy = "a b"
""",
}

_NAME = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
_TAG = r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}"
_DIGEST = r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+"
_ENDPOINTS = [
    (re.compile(expression), operation)
    for expression, operation in (
        (r"/v2/?", Operation.PING),
        (r"/v2/_catalog", Operation.CATALOG),
        (rf"/v2/({_NAME})/tags/list", Operation.TAGS),
        (rf"/v2/({_NAME})/manifests/(?:(?P<tag>{_TAG})|(?P<digest>{_DIGEST}))", Operation.MANIFEST),
        (rf"/v2/({_NAME})/blobs/uploads(?:/[^/]*)?", Operation.UPLOAD),
        (rf"/v2/({_NAME})/blobs/(?P<digest>{_DIGEST})", Operation.BLOB),
        (rf"/v2/({_NAME})/referrers/(?P<digest>{_DIGEST})", Operation.REFERRERS),
    )
]
"""The distribution-spec's table of endpoints."""


def one_input(data: bytes) -> None:
    """Take the target apart, and decide about the request."""
    text = text_of(data)
    chosen, url = [ord(character) - ord("0") for character in text[:3].ljust(3, "0")], text[3:]
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    target = slash + path
    _taken_apart(target)
    table, places = _tables()[chosen[0] % len(_tables())]
    known_scheme = "http" if scheme == "http" else "https"
    connection = _CONNECTIONS[chosen[2] % len(_CONNECTIONS)]
    host, port = table.addressed_host(known_scheme, authority or None, *connection)
    if (host, port) == connection:
        host, port = _direct(known_scheme, authority) or connection
    method = _METHODS[chosen[1] % len(_METHODS)]
    decision = check_decision(table, places, Asked(method, known_scheme, host, port, target))
    assert (decision.operation is not None) == is_below_v2(target)
    if decision.source is Source.HOST:
        assert decision.subject is not None
    _explained(table, method, url)


def _direct(scheme: str, authority: str) -> tuple[str, int] | None:
    """The destination of a client that calls its proxy by a proxy's protocol; None where mitmproxy refuses it."""
    found = address(scheme, authority)
    if found is None or not 0 < found.port < 65536 or len(authority) > 255:
        return None
    return authority.rpartition(":")[0].strip("[]") or authority, found.port


def _taken_apart(target: str) -> None:
    parsed = distribution.parse(target)
    assert (parsed is not None) == is_below_v2(target)
    if parsed is None:
        return
    assert distribution.join(parsed.path, parsed.query) == target
    operation, repository, suffix = _classified(_decoded(parsed.path))
    assert parsed.operation is operation, f"{target!r} is a {parsed.operation}, not a {operation}"
    assert parsed.suffix == suffix
    assert parsed.is_digested == suffix.startswith("@")
    if repository is None:
        assert parsed.scope == ("" if operation is not Operation.OTHER else _decoded(parsed.path)[4:])
    else:
        assert parsed.scope == repository
    between = parsed.path[len(parsed.base) : len(parsed.path) - len(parsed.raw_repository) - len(parsed.tail)]
    assert parsed.path == f"{parsed.base}{between}{parsed.raw_repository}{parsed.tail}"
    assert _decoded(between) == ("/" if parsed.raw_repository else "")
    assert _decoded(parsed.base) == "/v2"
    assert _decoded(parsed.raw_repository) == parsed.scope
    if repository is not None:
        _moved(parsed, repository)


def _moved(parsed: distribution.Target, repository: str) -> None:
    """The repository's first components are replaced, and nothing else is."""
    assert _decoded(parsed.moved(0, "", "")) == _decoded(parsed.path)
    for strip in (0, repository.find("/"), len(repository)):
        if strip < 0:
            continue
        assert _decoded(parsed.beginning(strip)) == repository[:strip]
        left = repository[strip + 1 if strip else 0 :]
        for path in ("", "mirror/of"):
            moved = parsed.moved(strip, path, "")
            name = "/".join(filter(None, (path, left)))
            assert (moved == "") == (name == "")
            again = distribution.parse(moved)
            if again is not None:
                there = again.operation, again.scope, again.suffix, again.tail
                assert there == (parsed.operation, name, parsed.suffix, parsed.tail), f"{moved!r} is another request"


def _classified(path: str) -> tuple[Operation, str | None, str]:
    """What a decoded path asks for, of which repository, and the reference as it stands behind an image name."""
    for expression, operation in _ENDPOINTS:
        match = expression.fullmatch(path)
        if match is not None:
            parts = match.groupdict()
            tag, digest = parts.get("tag"), parts.get("digest")
            suffix = f":{tag}" if tag else f"@{digest}" if digest else ""
            return operation, match[1] if match.groups() else None, suffix
    return Operation.OTHER, None, ""


def _decoded(path: str) -> str:
    return re.sub(r"%([0-9A-Fa-f]{2})", lambda match: chr(int(match[1], 16)), path)


def _explained(table: RouteTable, method: str, url: str) -> None:
    try:
        answer = url_object(table, method, url)
    except ValueError:
        return
    assert json.dumps(answer)
    assert url_lines(table, method, url)


@functools.cache
def _tables() -> list[tuple[RouteTable, Places]]:
    return [_table(text, json.loads(options)) for text, options in _settings()]


def _table(text: str, options: dict[str, str]) -> tuple[RouteTable, Places]:
    registries = list(parse_text(Path("r.conf"), text.encode()).registries.values())
    return RouteTable(RouteIndex(registries), policy_of(Settings(**options))), places_of(registries)


@functools.cache
def _settings() -> list[tuple[str, str]]:
    """Each configuration, and the options it is used with as JSON: what the vectors have, and more."""
    more: tuple[dict[str, str], ...] = ({}, {"ns_client_namespace": "override"}, {"ns_default": "quay.io"})
    found = dict.fromkeys((text, _json(options)) for text in _MORE.values() for options in more)
    found |= dict.fromkeys((REQUESTS["configs"][case["config"]], _json(case["options"])) for case in REQUESTS["cases"])
    found |= dict.fromkeys((text.decode(), _json({})) for text in files().values())
    return list(found)


def _json(options: dict[str, Any]) -> str:
    return json.dumps(options, sort_keys=True)


def _seeds() -> Iterator[bytes]:
    for case in REQUESTS["cases"]:
        number = _settings().index((REQUESTS["configs"][case["config"]], _json(case["options"])))
        chosen = f"{chr(ord('0') + number)}{_METHODS.index(case['method'])}0"
        yield f"{chosen}{case['url']}".encode()
        yield f"{chosen}{case['url'].replace('/v2/', '/%762%2f')}".encode()
    for place in ("a.example.net", "proxy.example.com:5000"):
        yield from (f"00{number}https://{place}/v2/a/manifests/1?ns=a.example.net".encode() for number in range(4))
        yield f"000https://{place}/v2/wild/a/blobs/sha256:{'0f' * 32}".encode()
        yield f"000https://{place}/v2/b.example.net/a/tags/list".encode()
    for number in range(len(_settings())):
        for url in list(urls())[number::7]:
            yield f"{chr(ord('0') + number)}0{number % 4}{url}".encode()


TARGET = Target(
    "request-target",
    "targets of requests, and what is decided about them",
    one_input,
    _seeds,
    ("/v2/", "/manifests/", "/blobs/", "/uploads/", "/tags/list", "/referrers/", "_catalog", "sha256:", "0f" * 32)
    + ("%2F", "%3A", "%", "?", "&", "ns=", "&ns=", "from=", "mount=", "http://", "https://", ":5000", ":443", ":80")
    + (
        "docker.io",
        "registry-1.docker.io",
        "quay.io",
        "proxy.example.com",
        "a.example.net",
        "[2001:db8::1]",
        "core/one",
    ),
)
