"""Request targets: what is recognised, and that an edit changes no byte it does not name."""

from __future__ import annotations

import pytest

from oci_ns.distribution import (
    Operation,
    escape_namespace,
    namespaces_in,
    parse,
    with_first_namespace_only,
    with_namespace,
    without_namespace,
)

SHA = "sha256:" + "9f" * 32
O = Operation  # noqa: E741


@pytest.mark.parametrize(
    ("target", "operation", "scope", "suffix"),
    [
        ("/v2", O.PING, "", ""),
        ("/v2/", O.PING, "", ""),
        ("/v2/?ns=a", O.PING, "", ""),
        ("/v2?ns=a", O.PING, "", ""),
        ("/%76%32/", O.PING, "", ""),
        ("/v2/_catalog?n=1", O.CATALOG, "", ""),
        ("/v2/a/tags/list", O.TAGS, "a", ""),
        ("/v2/a/b/manifests/latest", O.MANIFEST, "a/b", ":latest"),
        (f"/v2/a/b/manifests/{SHA}", O.MANIFEST, "a/b", f"@{SHA}"),
        (f"/v2/a/b/blobs/{SHA}", O.BLOB, "a/b", f"@{SHA}"),
        (f"/v2/a/b/blobs/{SHA.replace(':', '%3a')}", O.BLOB, "a/b", f"@{SHA}"),
        (f"/v2/a/b/referrers/{SHA}", O.REFERRERS, "a/b", f"@{SHA}"),
        ("/v2/a/b/blobs/uploads/", O.UPLOAD, "a/b", ""),
        ("/v2/a/b/blobs/uploads", O.UPLOAD, "a/b", ""),
        ("/v2/a/b/blobs/uploads/1-2_3?_state=x", O.UPLOAD, "a/b", ""),
        ("/v2/a%2Fb/manifests/1", O.MANIFEST, "a/b", ":1"),
        ("/v2/a/manifests/manifests/manifests/1", O.MANIFEST, "a/manifests/manifests", ":1"),
        ("/v2/a/blobs/manifests/1", O.MANIFEST, "a/blobs", ":1"),
        ("/v2/a/x/uploads/1", O.OTHER, "a/x/uploads/1", ""),
        ("/v2/blobs/uploads/manifests/1", O.MANIFEST, "blobs/uploads", ":1"),
        ("/v2/tags/list/tags/list", O.TAGS, "tags/list", ""),
        ("/v2/auth", O.OTHER, "auth", ""),
        ("/v2//", O.OTHER, "/", ""),
        ("/v2/A/manifests/1", O.OTHER, "A/manifests/1", ""),
        ("/v2/a/manifests/", O.OTHER, "a/manifests/", ""),
        ("/v2/a/manifests/.x", O.OTHER, "a/manifests/.x", ""),
        ("/v2/a/blobs/notadigest", O.OTHER, "a/blobs/notadigest", ""),
        ("/v2/manifests/1", O.OTHER, "manifests/1", ""),
        ("/v2/a/../b/manifests/1", O.OTHER, "a/../b/manifests/1", ""),
        ("/v2/a/referrers/x", O.OTHER, "a/referrers/x", ""),
        ("/v2/a/tags/other", O.OTHER, "a/tags/other", ""),
        ("/v2/A/blobs/uploads/", O.OTHER, "A/blobs/uploads/", ""),
        ("/v2/%zz/%", O.OTHER, "%zz/%", ""),
        ("/v2/%5Fcatalog?n=1", O.CATALOG, "", ""),
        ("/v2/%5fcatalog", O.CATALOG, "", ""),
        ("/%76%32/?ns=a", O.PING, "", ""),
        ("/v2/%61/tags/list?n=%31", O.TAGS, "a", ""),
        ("/v2/%z1/x", O.OTHER, "%z1/x", ""),
        ("/v2/%1z/x", O.OTHER, "%1z/x", ""),
        ("/v%32", O.PING, "", ""),
        ("/v2%2F", O.PING, "", ""),
        ("/v2/%61/manifests/%31", O.MANIFEST, "a", ":1"),
    ],
)
def test_a_target_is_parsed(target: str, operation: Operation, scope: str, suffix: str) -> None:
    parsed = parse(target)
    assert parsed is not None
    assert (parsed.operation, parsed.scope, parsed.suffix) == (operation, scope, suffix)
    path, _, query = target.partition("?")
    assert (parsed.path, parsed.query) == (path, query or None)
    repository = f"/{parsed.raw_repository}" if parsed.raw_repository else ""
    assert scope or parsed.raw_repository == ""
    assert f"{parsed.base}{repository}{parsed.tail}" == path


@pytest.mark.parametrize(
    "target",
    ["/", "", "*", "/v1/", "/v22/", "/v2x", "v2/", "//v2/", "/V2/", "/ui?x=/v2/"]
    + ["/%76%31/", "/v2%78/", "/v2%32", "/%2", "/%"],
)
def test_what_is_not_below_v2_is_no_registry_request(target: str) -> None:
    assert parse(target) is None


@pytest.mark.parametrize(
    ("target", "strip", "path", "reference", "moved"),
    [
        ("/v2/a/b/manifests/1", 0, "", "", "/v2/a/b/manifests/1"),
        ("/v2/a/b/manifests/1", 0, "p/q", "", "/v2/p/q/a/b/manifests/1"),
        ("/v2/a/b/manifests/1", 1, "", "", "/v2/b/manifests/1"),
        ("/v2/a/b/manifests/1", 3, "p", "", "/v2/p/manifests/1"),
        ("/v2/a/b/manifests/1", 3, "p", "2", "/v2/p/manifests/2"),
        ("/v2/a/b/manifests/1", 3, "", "", ""),
        ("/v2/%61%2Fb/manifests/1", 1, "p", "", "/v2/p/b/manifests/1"),
        ("/v2/a%2Fb%2fc/tags/list", 3, "p", "", "/v2/p/c/tags/list"),
        ("/v2/%61/b/manifests/1", 3, "p", "", "/v2/p/manifests/1"),
        ("/v2/%61/b/manifests/1", 3, "", "", ""),
    ],
)
def test_a_repository_is_moved_and_nothing_else(target: str, strip: int, path: str, reference: str, moved: str) -> None:
    parsed = parse(target)
    assert parsed is not None
    assert parsed.moved(strip, path, reference) == moved


@pytest.mark.parametrize(
    ("query", "namespaces"),
    [
        (None, []),
        ("", []),
        ("n=1&last=ns", []),
        ("ns=docker.io", ["docker.io"]),
        ("ns", [""]),
        ("ns=", [""]),
        ("ns=a&ns=b", ["a", "b"]),
        ("n%73=a", ["a"]),
        ("ns=h%3A5000", ["h:5000"]),
        ("ns=a+b", ["a b"]),
        ("NS=a&xns=b&ns[]=c", []),
        ("ns=%00%0d%0a", ["\0\r\n"]),
        ("ns=%ff", ["\udcff"]),
        ("x%20=1&%6E%73=a", ["a"]),
    ],
)
def test_every_ns_of_a_query_is_found(query: str | None, namespaces: list[str]) -> None:
    assert namespaces_in(query) == namespaces


@pytest.mark.parametrize(
    ("query", "namespace", "expected"),
    [
        (None, "docker.io", "ns=docker.io"),
        ("", "docker.io", "ns=docker.io"),
        ("n=5", "docker.io", "n=5&ns=docker.io"),
        ("ns=&n=5", "docker.io", "n=5&ns=docker.io"),
        ("ns=x", "docker.io", "ns=docker.io"),
        ("ns=docker.io&n=5", "docker.io", "ns=docker.io&n=5"),
        ("n=5&ns=docker.io&m=1", "docker.io", "n=5&ns=docker.io&m=1"),
        ("n=5&xns=1&n%73=docker.io&m=1", "docker.io", "n=5&xns=1&m=1&ns=docker.io"),
        ("ns=docker%2Eio", "docker.io", "ns=docker%2Eio"),
        ("ns=docker.io&ns=docker.io", "docker.io", "ns=docker.io"),
        ("a=%2F+&&b", "h:5000", "a=%2F+&&b&ns=h%3A5000"),
        ("ns=a%zz", "a%zz", "ns=a%25zz"),
        ("ns=a;b", "a;b", "ns=a%3Bb"),
        ("n%73=x&y=1", "z", "y=1&ns=z"),
        ("n%73=z&y=1", "z", "y=1&ns=z"),
        ("x=1", "a&b=c#d\r\n é", "x=1&ns=a%26b%3Dc%23d%0D%0A+%C3%A9"),
    ],
)
def test_setting_ns_leaves_exactly_one_and_the_rest_as_it_was(query: str | None, namespace: str, expected: str) -> None:
    assert with_namespace(query, namespace) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [(None, None), ("", ""), ("n=1", "n=1"), ("ns=a", None), ("ns=a&n=1", "n=1"), ("a=%&ns=b&c=+", "a=%&c=+")],
)
def test_dropping_ns_leaves_the_rest_as_it_was(query: str | None, expected: str | None) -> None:
    assert without_namespace(query) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (None, None),
        ("ns=a", "ns=a"),
        ("x=1&ns=a&y=2&ns=b", "x=1&ns=a&y=2"),
        ("ns=&x=1&ns=b", "x=1&ns=b"),
        ("ns=&ns=", "ns="),
        ("ns&ns=", "ns"),
        ("ns&x=1&ns=b", "x=1&ns=b"),
        ("x%20=1&ns=a", "x%20=1&ns=a"),
        ("ns=a&ns=a", "ns=a"),
    ],
)
def test_of_several_ns_the_first_that_says_something_stays(query: str | None, expected: str | None) -> None:
    assert with_first_namespace_only(query) == expected


def test_a_namespace_is_escaped_as_go_does() -> None:
    assert escape_namespace("AZaz09-_.~ :/?#[]@!$&'()*+,;=%\udcff") == (
        "AZaz09-_.~+%3A%2F%3F%23%5B%5D%40%21%24%26%27%28%29%2A%2B%2C%3B%3D%25%FF"
    )
