"""The demonstration registry: a namespace-aware registry proxy as the distribution-spec describes one."""

from __future__ import annotations

import hashlib
import json

import pytest
from mitmproxy import http

from oci_ns.demo import INDEX, MANIFEST, REPOSITORIES, DemoRegistry

REGISTRY = DemoRegistry()
M = "/v2/demo/hello/manifests/latest?ns=quay.io"


def get(path: str, method: str = "GET", **headers: str) -> http.Response:
    return REGISTRY.answer(method, path, headers)


def code(response: http.Response) -> str:
    return str(json.loads(response.get_text() or "")["errors"][0]["code"])


def test_the_ping_needs_no_ns() -> None:
    assert get("/v2/").status_code == 200


@pytest.mark.parametrize(
    ("path", "status", "expected"),
    [
        ("/v2/demo/hello/manifests/latest", 404, "NAME_UNKNOWN"),
        ("/v2/demo/hello/manifests/latest?ns=", 404, "NAME_UNKNOWN"),
        ("/v2/demo/hello/manifests/latest?ns=quay.io&ns=quay.io", 404, "NAME_UNKNOWN"),
        ("/v2/demo/hello/manifests/latest?ns=elsewhere.net", 404, "NAME_UNKNOWN"),
        ("/v2/demo/other/manifests/latest?ns=quay.io", 404, "NAME_UNKNOWN"),
        ("/v2/demo/hello/manifests/2.0?ns=quay.io", 404, "MANIFEST_UNKNOWN"),
        (f"/v2/demo/hello/blobs/sha256:{'0' * 64}?ns=quay.io", 404, "BLOB_UNKNOWN"),
        ("/v2/DEMO?ns=quay.io", 404, "UNSUPPORTED"),
        ("/ui", 404, "UNSUPPORTED"),
    ],
)
def test_what_cannot_be_served_is_an_error_of_the_spec(path: str, status: int, expected: str) -> None:
    response = get(path)
    assert (response.status_code, code(response)) == (status, expected)


def test_a_push_is_refused() -> None:
    response = get("/v2/demo/hello/blobs/uploads/?ns=quay.io", "POST")
    assert (response.status_code, code(response)) == (405, "UNSUPPORTED")


@pytest.mark.parametrize("namespace", REPOSITORIES)
def test_an_image_is_complete_and_every_digest_is_true(namespace: str) -> None:
    index_response = get(f"/v2/demo/hello/manifests/latest?ns={namespace}")
    assert index_response.headers["OCI-Namespace"] == namespace
    assert index_response.headers["Content-Type"] == INDEX
    index = json.loads(index_response.get_text() or "")
    assert {entry["platform"]["architecture"] for entry in index["manifests"]} == {"amd64", "arm64"}
    for entry in index["manifests"]:
        manifest = get(f"/v2/demo/hello/manifests/{entry['digest']}?ns={namespace}")
        assert manifest.headers["Content-Type"] == MANIFEST
        document = json.loads(manifest.get_text() or "")
        for descriptor in [document["config"], *document["layers"]]:
            data = get(f"/v2/demo/hello/blobs/{descriptor['digest']}?ns={namespace}").content or b""
            assert f"sha256:{hashlib.sha256(data).hexdigest()}" == descriptor["digest"]
            assert len(data) == descriptor["size"]


def test_the_image_is_the_same_everywhere() -> None:
    """Its digest may be quoted in documentation."""
    expected = "sha256:cba8c881a29f8ce984d0e2361cbb439633ee5ee7446384e3878e34416ebebda1"
    assert get(M).headers["Docker-Content-Digest"] == expected


def test_registries_have_images_of_their_own() -> None:
    digests = {get(f"/v2/demo/hello/manifests/1.0?ns={n}").headers["Docker-Content-Digest"] for n in REPOSITORIES}
    assert len(digests) == len(REPOSITORIES)


def test_head_is_get_without_the_body() -> None:
    whole, head = get(M), get(M, "HEAD")
    assert head.content == b""
    assert head.headers["Content-Length"] == str(len(whole.content or b""))
    assert head.headers["Docker-Content-Digest"] == whole.headers["Docker-Content-Digest"]


@pytest.mark.parametrize(
    ("wanted", "status", "start", "stop"),
    [
        ("bytes=0-9", 206, 0, 10),
        ("bytes=5-", 206, 5, None),
        ("bytes=-7", 206, -7, None),
        ("bytes=0-999999", 206, 0, None),
        ("bytes=999999-", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
        ("bytes=9-5", 416, 0, 0),
        ("bytes=-", 200, 0, None),
        ("lines=1-2", 200, 0, None),
    ],
)
def test_ranges(wanted: str, status: int, start: int, stop: int | None) -> None:
    whole = get(M).content or b""
    part = get(M, range=wanted)
    assert part.status_code == status
    assert part.content == whole[start:stop]


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("/v2/demo/hello/tags/list?ns=quay.io", {"name": "demo/hello", "tags": ["1.0", "latest"]}),
        ("/v2/_catalog?ns=docker.io", {"repositories": ["demo/hello", "library/hello"]}),
    ],
)
def test_lists(path: str, document: dict[str, object]) -> None:
    assert json.loads(get(path).get_text() or "") == document


def test_there_are_no_referrers() -> None:
    digest = get(M).headers["Docker-Content-Digest"]
    response = get(f"/v2/demo/hello/referrers/{digest}?ns=quay.io")
    assert response.headers["Content-Type"] == INDEX
    assert json.loads(response.get_text() or "")["manifests"] == []
