"""Hosts, repositories, tags, digests and image names: good rows and bad rows."""

from __future__ import annotations

import pytest

from oci_ns.reference import (
    canonical_registry,
    is_digest,
    is_repository,
    is_tag,
    looks_like_host,
    parse_image,
    registry_name,
    split_host,
)

SHA = "sha256:" + "9f" * 32


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("a", True),
        ("library/nginx", True),
        ("a" * 300, True),
        ("A" * 300, False),
        ("a/b/c/d", True),
        ("foo_bar/foo__bar/foo-bar/foo---bar/foo.bar", True),
        ("v2/manifests/blobs", True),
        ("", False),
        ("A", False),
        ("a//b", False),
        ("/a", False),
        ("a/", False),
        ("a..b", False),
        ("a___b", False),
        ("-a", False),
        ("a-", False),
        ("a/../b", False),
        ("a b", False),
        ("a\n", False),
        ("é", False),
    ],
)
def test_a_repository_obeys_the_grammar(text: str, valid: bool) -> None:
    assert is_repository(text) is valid


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("latest", True),
        ("_x", True),
        ("V1.0-rc_1", True),
        ("a" * 128, True),
        ("a" * 129, False),
        ("", False),
        (".a", False),
        ("-a", False),
        ("a:b", False),
        ("a\n", False),
    ],
)
def test_a_tag_obeys_the_grammar(text: str, valid: bool) -> None:
    assert is_tag(text) is valid


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        (SHA, True),
        ("sha512:abc", True),
        ("multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8", True),
        ("sha256", False),
        ("sha256:", False),
        (":abc", False),
        ("SHA256:abc", False),
        ("sha256:a/b", False),
        ("sha256:/b", False),
        ("sha256:é", False),
    ],
)
def test_a_digest_obeys_the_grammar(text: str, valid: bool) -> None:
    assert is_digest(text) is valid


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("quay.io", ("quay.io", None)),
        ("quay.io:5000", ("quay.io", 5000)),
        ("[::1]:5001", ("::1", 5001)),
        ("[::1]", ("::1", None)),
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("localhost", ("localhost", None)),
        ("quay.io:", ("quay.io", None)),
        ("quay.io:1", ("quay.io", 1)),
        ("quay.io:65535", ("quay.io", 65535)),
    ],
)
def test_a_host_is_split_from_its_port(text: str, expected: tuple[str, int | None]) -> None:
    assert split_host(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":80",
        "a b",
        "quay.io:x",
        "quay.io:0",
        "quay.io:65536",
        "quay.io:²",
        "[::1",
        "[::1]x",
        "::1",
        "[a1]",
        "[.a1]",
        "[:]",
    ]
    + ["a/b", "a@b", "a\r\nb", "[]", "[g::]:1", "quay.io:80:90", "-a.example.com"],
)
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a host|valid port"):
        split_host(text)


@pytest.mark.parametrize(
    ("scheme", "host", "port", "name"),
    [
        ("https", "quay.io", 443, "quay.io"),
        ("https", "quay.io", None, "quay.io"),
        ("http", "quay.io", 80, "quay.io"),
        ("http", "quay.io", 443, "quay.io:443"),
        ("https", "QUAY.IO.", 443, "quay.io"),
        ("https", "quay.io", 8443, "quay.io:8443"),
        ("https", "registry-1.docker.io", 443, "docker.io"),
        ("https", "index.docker.io", 443, "docker.io"),
        ("https", "registry-1.docker.io", 8443, "registry-1.docker.io:8443"),
        ("https", "::1", 443, "[::1]"),
        ("https", "[::1]", 5000, "[::1]:5000"),
    ],
)
def test_a_registry_has_one_name(scheme: str, host: str, port: int | None, name: str) -> None:
    assert registry_name(scheme, host, port) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Index.Docker.IO", "docker.io"),
        ("quay.io:443", "quay.io"),
        ("quay.io:80", "quay.io"),
        ("localhost:5000", "localhost:5000"),
        ("Not a Host", "not a host"),
    ],
)
def test_a_configured_or_sent_name_is_put_in_normal_form(text: str, name: str) -> None:
    assert canonical_registry(text) == name


@pytest.mark.parametrize(("text", "host"), [("quay.io", True), ("localhost", True), ("a:1", True), ("library", False)])
def test_the_first_component_is_a_host_by_its_looks(text: str, host: bool) -> None:
    assert looks_like_host(text) is host


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("nginx", "docker.io/library/nginx"),
        ("nginx:1", "docker.io/library/nginx:1"),
        ("grafana/loki", "docker.io/grafana/loki"),
        ("docker.io/nginx", "docker.io/library/nginx"),
        ("index.docker.io/library/nginx", "docker.io/library/nginx"),
        ("registry-1.docker.io/library/nginx", "docker.io/library/nginx"),
        ("localhost/a", "localhost/a"),
        ("localhost:5000/a:1", "localhost:5000/a:1"),
        ("[::1]:5000/a", "[::1]:5000/a"),
        (f"quay.io/a/b:1@{SHA}", f"quay.io/a/b:1@{SHA}"),
        ("Quay.io/a", "Quay.io/a"),
        ("quay.io/" + "a" * 255, "quay.io/" + "a" * 255),
    ],
)
def test_an_image_name_is_read_as_docker_reads_it(text: str, full: str) -> None:
    assert str(parse_image(text)) == full


@pytest.mark.parametrize(
    "text",
    ["", "Nginx", "quay.io/", "quay.io/A", "a:b:c", "a@sha256:short", "a b", "quay.io/a\n", "9f" * 32]
    + ["quay.io/" + "a" * 256, "https://quay.io/a", "-a/b"],
)
def test_what_is_no_image_name_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(ValueError, match="image name|image ID|longer than 255"):
        parse_image(text)
