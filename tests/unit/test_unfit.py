"""What is never sent on, because two servers may read it differently."""

from __future__ import annotations

import pytest

from oci_ns.fetch import Fields
from oci_ns.header_fields import HeaderFields
from oci_ns.unfit import refusal

HOST = (b"Host", b"quay.io")
SECRET = b"Bearer of-the-client"


def status(target: str, fields: Fields = (HOST,), authority: str | None = None, method: str = "GET") -> int | None:
    error = refusal(method, target, fields, HeaderFields(fields), authority)
    return None if error is None else error.status


@pytest.mark.parametrize(
    "path",
    [
        "/v2/a/b/tags/list",
        "/v2",
        "/",
        "*",
        "",
        "/v2/a/%2F/b",
        "/v2/a/.hidden/x",
        "/v2/a/..b/x",
        "/x/../y",
        "//x/v2",
        "/v2x/../y",
        "/v2/\xff",
        "/v2/a?x=/../v2",
        "/v2//a",
        "/v2/a%3Bb/x",
        "/v2x;y/a",
        "/token;v2/a",
        "/v2/a?x=;y",
    ],
)
def test_a_path_that_means_what_it_says_is_sent_on(path: str) -> None:
    assert status(path) is None


@pytest.mark.parametrize(
    "path",
    [
        "//v2/a",
        "///v2",
        "/./v2/a",
        "/x/../v2/a",
        "/x/%2e%2E/v2",
        "/x%2f..%2Fv2",
        "/\\v2/a",
        "/v2/a/../b",
        "/v2/a/..",
        "/v2/./a",
        "/v2/a/%2e./b",
        "/v2/a\\..\\b",
        "/v2/../x",
        "/%2fv2/a",
        "/x/../%762/a",
        "/v2;x/a",
        "/v2;",
        "/v2/a;x/b",
        "/v2/a/manifests/latest;x",
        "/v2/a/..;/b",
        "/v2/a/%2e%2e;x=y/b",
        "/x/..;/v2/a",
        "/;x/v2/a",
        "/x;y/../v2",
    ],
)
def test_a_path_that_is_another_when_it_is_resolved_is_refused(path: str) -> None:
    assert status(path) == 404
    assert status(f"{path}?x=1") == 404


@pytest.mark.parametrize("character", ["\0", "\t", "\n", "\x0b", "\r", " ", "\x1b", "\x7f", "#"])
@pytest.mark.parametrize("target", ["/v2/a{}b", "/v2/?ns={}", "/other{}", "{}"])
def test_what_no_target_has_is_refused_whatever_the_target(target: str, character: str) -> None:
    assert status(target.format(character), ()) == 400


@pytest.mark.parametrize("target", ["x/v2/", "@ghcr.io/", "http://ghcr.io/v2/", "?ns=x", ":80/"])
def test_a_target_that_is_no_path_is_refused(target: str) -> None:
    assert status(target) == 400


@pytest.mark.parametrize("method", ["GET", "M-SEARCH", "get", "x"])
def test_any_method_is_sent_on(method: str) -> None:
    assert status("/v2/", method=method) is None


@pytest.mark.parametrize("method", ["", "GET ", "GET / HTTP/1.1\r\n\r\nGET", "G\tT", "G\u00c9T", "GET/", "\x1bGET"])
def test_what_is_no_method_is_refused(method: str) -> None:
    assert status("/v2/", method=method) == 400


@pytest.mark.parametrize("character", [b"\0", b"\n", b"\x0b", b"\x0c", b"\r", b"\r\n "])
def test_a_line_break_in_a_field_is_refused_and_the_value_is_not_quoted(character: bytes) -> None:
    fields = (HOST, (b"Authorization", SECRET + character + b"x"))
    error = refusal("GET", "/v2/", fields, HeaderFields(fields), None)
    assert error is not None
    assert error.status == 400
    assert "Authorization" in error.message
    assert SECRET.decode() not in str(error)


@pytest.mark.parametrize("value", [b"a\tb", b"\xff\xfe", b"", b"\x1b[31m", b"a b"])
def test_any_other_value_is_sent_on(value: bytes) -> None:
    assert status("/v2/", (HOST, (b"X", value))) is None


@pytest.mark.parametrize(
    ("hosts", "authority", "expected"),
    [
        ([], None, None),
        ([b"quay.io"], None, None),
        ([b"quay.io", b"quay.io"], None, 400),
        ([b"quay.io", b"ghcr.io"], None, 400),
        ([b"quay.io, ghcr.io"], None, 400),
        ([], "quay.io", None),
        ([b"Quay.io"], "quay.io", None),
        ([b"quay.io:443"], "quay.io", 400),
        ([b"ghcr.io"], "quay.io", 400),
        ([b"quay.io"], "", None),
    ],
)
def test_a_request_names_one_host(hosts: list[bytes], authority: str | None, expected: int | None) -> None:
    fields = ((b"Accept", b"*/*"), *((b"host", host) for host in hosts))
    assert status("/v2/", fields, authority) == expected
