"""What is found in an answer, one row each: the request, the answer, the findings; and how a flow is marked for them."""

# The rows below are tables: one line each reads better than wrapped ones.
# ruff: noqa: E501

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci_ns.annotation import comment_on
from oci_ns.answer_check import Answered, check, decided
from oci_ns.findings import Finding, Kind, finding_in, marker_for
from oci_ns.logins.bearer import expiry_in, token_in
from oci_ns.manifests import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from oci_ns.meter import DOCUMENT_MAX, Meter, digest_of
from oci_ns.record import PREFIX, Record, read, write
from tests.unit.traffic import LAYERS, MANIFEST, digest, record
from tests.unit.view_documents import jwt

NOW = 1_700_000_000.0
SAID = {"OCI-Namespace": "quay.io"}
TYPED = SAID | {"Content-Type": OCI_MANIFEST}
RIGHT = TYPED | {"Docker-Content-Digest": digest(MANIFEST)}
OTHER = "sha256:" + "0" * 64
BLOB = f"@{digest(LAYERS[0])}"


def lookup(fields: dict[str, str]) -> Callable[[str], str | None]:
    folded = {name.lower(): value for name, value in fields.items()}
    return lambda name: folded.get(name.lower())


def answered(
    status: int,
    fields: dict[str, str],
    body: bytes | None = None,
    method: str = "GET",
    request: dict[str, str] | None = None,
    **more: Any,
) -> Answered:
    return Answered(method, status, lookup(fields), lookup(request or {}), body, now=NOW, **more)


def error(code: str, message: str) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()


def bearer(expires: float) -> dict[str, str]:
    return {"Authorization": f"Bearer {jwt({'alg': 'RS256'}, {'exp': expires})}"}


MANIFEST_BY_TAG = record("manifest", ":v1")
MANIFEST_BY_DIGEST = record("manifest", f"@{digest(MANIFEST)}")
BLOB_OF_LAYER = record("blob", BLOB)
WITHOUT_NAMESPACE = record("manifest", ":v1", namespace="")
TAGS = record("tags", "", image="quay.io/coreos/etcd")

CASES: dict[str, tuple[Record, Answered, list[str]]] = {
    "all is right": (MANIFEST_BY_DIGEST, answered(200, RIGHT, MANIFEST), []),
    "a HEAD has no body to check": (MANIFEST_BY_DIGEST, answered(200, RIGHT, None, "HEAD"), []),
    "the namespace in another form": (TAGS, answered(200, {"oci-namespace": "QUAY.IO:443"}), []),
    "another registry": (
        TAGS,
        answered(200, {"OCI-Namespace": "docker.io"}),
        ["wrong-namespace: proxy.example.com served docker.io, and was asked for ns=quay.io"],
    ),
    "no registry": (
        TAGS,
        answered(200, {}),
        [
            "namespace-unconfirmed: proxy.example.com does not say which registry it served (no OCI-Namespace): it may ignore ns"
        ],
    ),
    "no registry, and none was named": (WITHOUT_NAMESPACE, answered(200, TYPED, MANIFEST), []),
    "no registry in a redirect": (BLOB_OF_LAYER, answered(307, {}), []),
    "another digest than asked for": (
        MANIFEST_BY_DIGEST,
        answered(200, TYPED | {"Docker-Content-Digest": OTHER}, MANIFEST),
        [f"wrong-digest: proxy.example.com answers with {OTHER} for {digest(MANIFEST)}"],
    ),
    "another digest of another kind says nothing": (
        MANIFEST_BY_DIGEST,
        answered(200, TYPED | {"Docker-Content-Digest": "sha512:00"}, MANIFEST),
        [],
    ),
    "another manifest than asked for": (
        MANIFEST_BY_DIGEST,
        answered(200, TYPED, MANIFEST + b" "),
        [f"wrong-digest: the content is {digest(MANIFEST + b' ')}, and {digest(MANIFEST)} was asked for"],
    ),
    "another manifest than the endpoint says": (
        MANIFEST_BY_TAG,
        answered(200, RIGHT, MANIFEST + b" "),
        [
            f"wrong-digest: the content is {digest(MANIFEST + b' ')}, and {digest(MANIFEST)} is what the endpoint calls it"
        ],
    ),
    "a manifest with its signatures": (
        MANIFEST_BY_TAG,
        answered(
            200,
            SAID
            | {
                "Content-Type": "application/vnd.docker.distribution.manifest.v1+prettyjws",
                "Docker-Content-Digest": OTHER,
            },
            b'{"schemaVersion": 1}',
        ),
        [],
    ),
    "a blob that was seen passing": (BLOB_OF_LAYER, answered(200, SAID, digest=digest(LAYERS[0])), []),
    "another blob": (
        BLOB_OF_LAYER,
        answered(200, SAID, digest=OTHER),
        [f"wrong-digest: the content is {OTHER}, and {digest(LAYERS[0])} was asked for"],
    ),
    "a part of a blob": (
        BLOB_OF_LAYER,
        answered(206, SAID | {"Content-Length": "3"}, digest=OTHER, expected_size=9),
        [],
    ),
    "a short blob": (
        BLOB_OF_LAYER,
        answered(200, SAID | {"Content-Length": "4"}, expected_size=9),
        ["wrong-size: proxy.example.com has 4 bytes of a blob that has 9 by its manifest"],
    ),
    "a blob of the right length": (BLOB_OF_LAYER, answered(200, SAID | {"Content-Length": "9"}, expected_size=9), []),
    "another media type": (
        MANIFEST_BY_TAG,
        answered(200, SAID | {"Content-Type": f"{DOCKER_MANIFEST}; charset=utf-8"}, MANIFEST),
        [f"wrong-media-type: Content-Type is {DOCKER_MANIFEST}, the manifest calls itself {OCI_MANIFEST}"],
    ),
    "no media type": (
        MANIFEST_BY_TAG,
        answered(200, SAID, MANIFEST),
        [f"wrong-media-type: Content-Type is missing, the manifest calls itself {OCI_MANIFEST}"],
    ),
    "a manifest that does not name its type": (
        MANIFEST_BY_TAG,
        answered(200, SAID | {"Content-Type": OCI_INDEX}, b'{"manifests": []}'),
        [],
    ),
    "a page that somebody put in between": (
        MANIFEST_BY_TAG,
        answered(200, SAID | {"Content-Type": "text/html"}, b"<html>Please log in"),
        ["not-a-manifest: proxy.example.com answers 200 and no manifest, but text/html"],
    ),
    "a manifest cut short": (
        MANIFEST_BY_TAG,
        answered(200, TYPED, MANIFEST[:-9]),
        ["not-a-manifest: proxy.example.com answers 200 and no manifest"],
    ),
    "too many requests": (
        MANIFEST_BY_TAG,
        answered(429, {"Retry-After": "30"}, error("TOOMANYREQUESTS", "slow down")),
        ["rate-limited: proxy.example.com: 429 TOOMANYREQUESTS: slow down; retry after 30 s"],
    ),
    "too many requests until a date": (
        MANIFEST_BY_TAG,
        answered(429, {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}),
        ["rate-limited: proxy.example.com: 429; retry after Fri, 31 Dec 1999 23:59:59 GMT"],
    ),
    "a challenge": (MANIFEST_BY_TAG, answered(401, {"WWW-Authenticate": "Bearer"}), []),
    "an expired token": (
        MANIFEST_BY_TAG,
        answered(401, {}, error("UNAUTHORIZED", "authentication required"), request=bearer(NOW - 312)),
        [
            "token-expired: the client's token expired at 2023-11-14T22:08:08Z, 312 s ago; proxy.example.com: 401 UNAUTHORIZED: authentication required"
        ],
    ),
    "a token for something else": (
        MANIFEST_BY_TAG,
        answered(401, {}, request=bearer(NOW + 60)),
        ["unauthorized: proxy.example.com: 401; a login was sent"],
    ),
    "a login that may not": (
        MANIFEST_BY_TAG,
        answered(403, {}, error("DENIED", "no access"), request={"Authorization": "Basic eA=="}),
        ["unauthorized: proxy.example.com: 403 DENIED: no access; a login was sent"],
    ),
    "not there": (
        MANIFEST_BY_TAG,
        answered(404, {}, error("MANIFEST_UNKNOWN", "manifest\nunknown")),
        ["refused: proxy.example.com: 404 MANIFEST_UNKNOWN: manifest unknown"],
    ),
    "whether it is there": (MANIFEST_BY_TAG, answered(404, {}, None, "HEAD"), []),
    "broken": (MANIFEST_BY_TAG, answered(503, {}, b"<html>"), ["failed: proxy.example.com: 503"]),
}


@pytest.mark.parametrize(("asked", "answer", "found"), CASES.values(), ids=CASES)
def test_an_answer_is_held_against_what_was_asked(asked: Record, answer: Answered, found: list[str]) -> None:
    assert [str(each) for each in check(asked, answer)] == found


@given(
    status=st.sampled_from([200, 206, 301, 401, 404, 429, 500]),
    fields=st.dictionaries(
        st.sampled_from(
            [
                "OCI-Namespace",
                "Docker-Content-Digest",
                "Content-Type",
                "Content-Length",
                "Retry-After",
                "Content-Encoding",
            ]
        ),
        st.text(),
    ),
    authorization=st.text(),
    body=st.none()
    | st.binary()
    | st.sampled_from([MANIFEST, b'{"errors": [null]}', b'{"errors": {"a": 1}}', b"[" * 99_999]),
    reference=st.sampled_from([":v1", f"@{OTHER}", "@md5:00", ""]),
    operation=st.sampled_from(["manifest", "blob", "tags", "other"]),
)
def test_no_answer_is_too_strange(
    status: int, fields: dict[str, str], authorization: str, body: bytes | None, reference: str, operation: str
) -> None:
    request = {"Authorization": authorization}
    for found in check(record(operation, reference), answered(status, fields, body, request=request, expected_size=1)):
        assert finding_in(str(found)) == found


DECISIONS = [
    (record("manifest", ":v1"), []),
    (record("manifest", ":v1", error="403 DENIED: blocked"), [Kind.BLOCKED]),
    (record("manifest", ":v1", error="502 UNAVAILABLE: down"), [Kind.UNSERVED]),
    (record("manifest", ":v1", error="404 NAME_UNKNOWN: no rule", source=""), [Kind.UNRESOLVED]),
    (record("manifest", ":v1", action="pass", source=""), [Kind.UNRESOLVED]),
    (record("other", "", action="pass", source=""), []),
    (record("manifest", ":v1", passed_over=("a.example.com: down",)), [Kind.FELL_BACK]),
]


@pytest.mark.parametrize(("asked", "kinds"), DECISIONS)
def test_a_decision_is_noted_before_there_is_an_answer(asked: Record, kinds: list[Kind]) -> None:
    assert [finding.kind for finding in decided(asked)] == kinds


MARKERS = [
    ([], ""),
    ([Kind.ABORTED], ""),
    ([Kind.FELL_BACK], ":leftwards_arrow_with_hook:"),
    ([Kind.NAMESPACE_UNCONFIRMED, Kind.WRONG_DIGEST, Kind.FELL_BACK], ":x:"),
    ([Kind.NAMESPACE_UNCONFIRMED, Kind.RATE_LIMITED], ":hourglass:"),
]


@pytest.mark.parametrize(("kinds", "marker"), MARKERS)
def test_a_flow_is_marked_for_what_matters_most(kinds: list[Kind], marker: str) -> None:
    assert marker_for([Finding(kind, "") for kind in kinds]) == marker


def test_every_kind_but_one_marks_a_flow() -> None:
    assert [kind for kind in Kind if not marker_for([Finding(kind, "")])] == [Kind.ABORTED]


COMMENTS = [
    (
        record("manifest", ":v1", upstream="https://quay.io/v2/"),
        [],
        "quay.io/coreos/etcd:v1 · ns=quay.io (host) · proxy.example.com",
    ),
    (
        record("tags", "", image="quay.io/a", namespace="", addressed="https://quay.io/v2/a/tags/list"),
        [],
        "quay.io/a (tags) · no ns (host) · proxy.example.com · asked for https://quay.io/v2/a/tags/list",
    ),
    (
        record("manifest", ":v1", source="", namespace="", upstream="https://quay.io/v2/"),
        [Finding(Kind.UNRESOLVED, "nothing tells")],
        "quay.io/coreos/etcd:v1 · unresolved · proxy.example.com",
    ),
    (
        record("manifest", ":v1", error="403 DENIED: blocked", upstream="", namespace=""),
        [Finding(Kind.BLOCKED, "403 DENIED: blocked")],
        "quay.io/coreos/etcd:v1 · 403 DENIED: blocked · asked for https://quay.io/v2/",
    ),
    (
        record("manifest", ":v1", passed_over=("a.example.com: down",), upstream="https://quay.io/v2/"),
        [Finding(Kind.FELL_BACK, "a.example.com: down"), Finding(Kind.WRONG_SIZE, "short")],
        "quay.io/coreos/etcd:v1 · ns=quay.io (host) · proxy.example.com · passed over a.example.com: down · wrong-size: short",
    ),
]


@pytest.mark.parametrize(("asked", "findings", "comment"), COMMENTS)
def test_a_comment_says_image_decision_endpoint_and_faults(
    asked: Record, findings: list[Finding], comment: str
) -> None:
    assert comment_on(asked, findings) == comment


def test_a_comment_carries_no_control_characters() -> None:
    assert "\x1b" not in comment_on(record("manifest", ":\x1b[2J\n"), [Finding(Kind.REFUSED, "\x1b]0;\x07")])


# --- records


def test_a_record_survives_being_kept() -> None:
    kept: dict[str, Any] = {"mine": 1}
    full = record("blob", BLOB, passed_over=("a: b",), findings=("c: d",), received=0, error="e", entry="f")
    write(full, kept)
    assert read(kept) == full
    write(Record("tags"), kept)
    assert kept == {"mine": 1, f"{PREFIX}operation": "tags"}


@given(
    st.dictionaries(
        st.sampled_from([f"{PREFIX}{each.name}" for each in fields(Record)]),
        st.none() | st.integers() | st.text() | st.lists(st.integers() | st.text()),
    )
)
def test_whatever_a_flow_file_keeps_a_record_is_read_or_not(metadata: dict[str, Any]) -> None:
    found = read(metadata)
    assert found is None or all(isinstance(each, str) for each in (*found.passed_over, *found.findings, found.endpoint))


# --- tokens and meters

TOKENS = [
    ("Bearer abc", "abc"),
    ("bearer  abc ", "abc"),
    ("Basic abc", ""),
    ("Bearer", ""),
    ("", ""),
    (None, ""),
]


@pytest.mark.parametrize(("value", "token"), TOKENS)
def test_a_token_is_read_from_its_field(value: str | None, token: str) -> None:
    assert token_in(value) == token


@pytest.mark.parametrize(
    ("claims", "expires"),
    [({"exp": 12}, 12.0), ({"exp": 1.5}, 1.5), ({}, None), ({"exp": True}, None), ({"exp": 10**400}, None)],
)
def test_a_token_may_say_when_it_expires(claims: object, expires: float | None) -> None:
    assert expiry_in(jwt({"alg": "none"}, claims)) == expires
    assert expiry_in(base64.b64encode(repr(claims).encode()).decode()) is None


@given(st.lists(st.binary()), st.sampled_from(["sha256", "sha512", "md5", ""]))
def test_a_meter_changes_nothing(chunks: list[bytes], algorithm: str) -> None:
    meter, whole = Meter(algorithm), b"".join(chunks)
    assert b"".join(map(meter, [*chunks, b""])) == whole
    assert (meter.length, meter.digest) == (len(whole), digest_of(whole, f"{algorithm}:"))
    assert meter.document == (whole if whole.startswith(b"{") else None)


def test_a_meter_keeps_no_long_document() -> None:
    meter = Meter()
    for _ in range(3):
        meter(b"{" * (DOCUMENT_MAX // 2))
    assert meter.document is None
