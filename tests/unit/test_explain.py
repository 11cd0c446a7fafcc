"""What `explain` says in short of a URL and of an image, word by word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oci_ns.conf_files import parse_text
from oci_ns.explain import address_of, image_lines, image_object, is_url, url_lines
from oci_ns.index import RouteIndex
from oci_ns.options import policy_of
from oci_ns.routes import RouteTable
from tests.unit.settings import settings
from tests.unit.test_routes import CONFIGS, registry

Q = "https://quay.io"
ENTRY = "  entry      prefix quay.io, r.conf:1"
FLAGGED = registry(
    "quay.io", "one.example.com/a *", "two.example.com two insecure=true", more="plain-http = true\ninsecure = true"
)
BAD = "bad.example.com"


def table_of(text: str, options: dict[str, str]) -> RouteTable:
    document = parse_text(Path("r.conf"), text.encode())
    return RouteTable(RouteIndex(document.registries.values()), policy_of(settings(**options)))


@pytest.mark.parametrize(
    ("text", "options", "method", "url", "lines"),
    [
        ("", {}, "GET", f"{Q}/ui", ["  action     pass"]
            + ["  reason     not below /v2: no request of the distribution API", f"  upstream   {Q}/ui"]),
        ("", {}, "PUT", f"{Q}/v2/a/manifests/1", ["  action     pass", "  operation  manifest"]
            + ["  registry   told by: nothing tells", "  namespace  (none)", f"  upstream   {Q}/v2/a/manifests/1"]),
        ("", {"ns_unresolved": "reject"}, "GET", f"{Q}/v2/", ["  action     block", "  operation  ping"]
            + ["  registry   told by: nothing tells", "  namespace  (none)"]
            + ["  answer     404 NAME_UNKNOWN: no rule tells which registry quay.io/v2/ belongs to"]),
        (CONFIGS["default"], {}, "HEAD", f"{Q}/v2/a/tags/list", ["  action     rewrite", "  operation  tags"]
            + ["  registry   told by: host", "  namespace  quay.io", ENTRY]
            + ["  upstream   https://proxy.example.com/v2/a/tags/list?ns=quay.io"]),
        (CONFIGS["blocked"], {}, "GET", f"https://{BAD}/v2/a/manifests/1", ["  action     block"]
            + ["  operation  manifest", "  registry   told by: host", "  namespace  (none)"]
            + [f"  entry      prefix {BAD}, r.conf:1"]
            + [f"  answer     403 DENIED: pulling is blocked by registries.conf: prefix {BAD}"]),
    ],
)  # fmt: skip
def test_a_url_in_words(text: str, options: dict[str, str], method: str, url: str, lines: list[str]) -> None:
    assert url_lines(table_of(text, options), method, url) == [f"{method} {url}", *lines]


@pytest.mark.parametrize(
    ("text", "image", "lines"),
    [
        ("", "nginx:1", ["docker.io/library/nginx:1", "  entry      (none): pulled from docker.io itself"]),
        (FLAGGED, "quay.io/a:1", ["quay.io/a:1", ENTRY, "  source 1   one.example.com/a/a:1  [ns=quay.io]"]
            + ["  source 2   two.example.com/a:1  [ns=two, insecure]"]
            + ["  source 3   quay.io/a:1  [plain http, insecure]"]),
        ('registry = [{location = "a.com"}, {location = "b.com"}]', "b.com/x",
            ["b.com/x", "  entry      prefix b.com, r.conf, [[registry]] 2", "  source 1   b.com/x"]),
        (CONFIGS["blocked"], f"{BAD}/a", [f"{BAD}/a", f"  entry      prefix {BAD}, r.conf:1"]
            + ["  blocked    pulling is forbidden; the sources would be:"]
            + [f"  source 1   proxy.example.com/bad/a  [ns={BAD}]", f"  source 2   {BAD}/a"]),
    ],
)  # fmt: skip
def test_an_image_in_words(text: str, image: str, lines: list[str]) -> None:
    assert image_lines(table_of(text, {}).index, image) == lines


def test_an_image_without_an_entry_as_an_object() -> None:
    assert image_object(RouteIndex(), "nginx") == {"ref": "nginx", "registry": None}


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://quay.io", ("https", "quay.io", 443, "/")),
        ("HTTP://Quay.io:5000/v2/?x=1#y", ("http", "Quay.io", 5000, "/v2/?x=1")),
        ("http://[::1]/v2/", ("http", "::1", 80, "/v2/")),
        ("https://quay.io?ns=a", ("https", "quay.io", 443, "?ns=a")),
        ("https://quay.io/a\nb", ("https", "quay.io", 443, "/a\nb")),
    ],
)
def test_a_url_is_taken_apart_as_its_request_is(url: str, address: tuple[Any, ...]) -> None:
    found = address_of(url)
    assert (found.scheme, found.host, found.port, found.target) == address


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://a.com/", "'ftp://a.com/' is not an http or https URL"),
        ("://a.com/", "'://a.com/' is not an http or https URL"),
        ("https://user@a.com/", "the URL has a user name or password in it; leave it out"),
        ("https:///v2/", "'' is not a host"),
    ],
)
def test_what_is_no_url_of_a_registry_is_refused_with_the_reason(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        address_of(url)


@pytest.mark.parametrize(("text", "expected"), [("https://a.com", True), ("docker.io/a:1", False), ("a:/b", False)])
def test_a_url_is_told_from_an_image(text: str, expected: bool) -> None:
    assert is_url(text) is expected
