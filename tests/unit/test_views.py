"""Content views: what each shows, and which bodies each takes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oci_ns.manifests import DOCKER_LIST, DOCKER_MANIFEST, DOCKER_SCHEMA_1, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from oci_ns.media_names import short_name
from oci_ns.views.envelope import DOCUMENT_MAX, Envelope
from oci_ns.views.kinds import KINDS
from oci_ns.views.text import human_size, raw_lines, table, utc
from oci_ns.views.token import token_lines
from tests.unit.view_documents import (
    BLOBS_AT,
    CONFIG,
    ERRORS,
    FOREIGN,
    INDEX,
    JWT,
    JWT_LINES,
    LAYER,
    MANIFEST,
    MANIFEST_LINES,
    MANIFESTS_AT,
    NO_HISTORY,
    NOW,
    ONE_STEP,
    OPAQUE,
    REFERRERS,
    REFERRERS_AT,
    SBOM,
    SCHEMA_1,
    SETTINGS_LINES,
    TAGS,
    TAGS_AT,
    TOKEN_AT,
    A,
    B,
    C,
    body,
    jwt,
)


def answer(target: str, content_type: str = "application/json", **more: Any) -> Envelope:
    return Envelope(content_type, target, is_response=True, **more)


def shown(document: object, envelope: Envelope) -> tuple[str, list[str]]:
    """The name of the one view that takes the document, and what it shows; ("", []) for none."""
    data = document if isinstance(document, bytes) else body(document)
    takers = [kind for kind in KINDS if kind.takes(data, envelope)]
    assert len(takers) <= 1
    return (takers[0].name, takers[0].shown(data, envelope)) if takers else ("", [])


@pytest.mark.parametrize(
    ("document", "envelope", "name", "lines"),
    [
        (MANIFEST, Envelope(OCI_MANIFEST), "OCI manifest", MANIFEST_LINES),
        (
            {"layers": []},
            Envelope(f"{DOCKER_MANIFEST}; charset=utf-8"),
            "OCI manifest",
            [
                "image manifest",
                "media type  not in the document",
                f"sent as     {DOCKER_MANIFEST}",
                "config      (none)",
                "",
                "0 layers, 0 bytes",
            ],
        ),
        (
            {"layers": [{"digest": A}, {"size": 1}]},
            answer(MANIFESTS_AT),
            "OCI manifest",
            [
                "image manifest",
                "media type  not in the document",
                "sent as     application/json",
                "config      (none)",
                "",
                "1 layer, 0 bytes and 1 of unknown size",
                "left out, for they have no digest: 1 of 2",
                "#  size  bytes  type    digest",
                f"1     ?      ?  (none)  {A}",
            ],
        ),
        (
            SCHEMA_1,
            Envelope(min(DOCKER_SCHEMA_1)),
            "OCI manifest",
            [
                "docker manifest, schema 1",
                "name  library/alpine",
                "tag   3.2",
                "",
                "2 layers, the newest first",
                f"1  {A}",
                f"2  {B}",
            ],
        ),
        (
            INDEX,
            Envelope(OCI_INDEX),
            "OCI index",
            [
                "image index",
                f"media type  {OCI_INDEX}",
                "",
                "2 manifests",
                "platform                         size  bytes  type            digest",
                f"linux/arm64/v8                 1.0 kB  1,022  image manifest  {A}",
                f"attestation of linux/arm64/v8   566 B    566  image manifest  {B}",
                "    vnd.docker.reference.type: attestation-manifest",
                f"    vnd.docker.reference.digest: {A}",
            ],
        ),
        (
            {"manifests": [{"mediaType": "x", "digest": A, "size": 1, "artifactType": SBOM}]},
            Envelope(DOCKER_LIST),
            "OCI index",
            [
                "image index",
                "media type  not in the document",
                f"sent as     {DOCKER_LIST}",
                "",
                "1 manifest",
                "platform  size  bytes  type  digest" + " " * 67 + "artifact type",
                f"(none)     1 B      1  x     {A}  {SBOM}",
            ],
        ),
        (
            REFERRERS,
            answer(f"{REFERRERS_AT}?artifactType=x", OCI_INDEX),
            "OCI referrers",
            [
                f"2 referrers of {C}",
                "artifact type                     size  bytes  type            digest",
                f"{SBOM}   500 B    500  image manifest  {A}",
                "    by: scanner",
                f"application/vnd.z               2.0 kB  2,000  image manifest  {B}",
            ],
        ),
        (
            CONFIG,
            answer(BLOBS_AT, "application/octet-stream"),
            "OCI config",
            [
                *SETTINGS_LINES,
                "3 steps of history, 2 layers",
                "layer  created               diff_id" + " " * 66 + "step",
                f"    1  2024-04-01T00:00:00Z  {A}  ADD rootfs.tar /",
                "       2024-04-01T00:00:01Z  (no layer)" + " " * 63 + 'CMD ["nginx"]',
                f"    2  2024-05-01T00:00:00Z  {B}  RUN a && b  (buildkit)",
            ],
        ),
        (
            ONE_STEP,
            Envelope(OCI_CONFIG),
            "OCI config",
            [
                "image config",
                "platform  arm64",
                "",
                "1 step of history, 2 layers",
                "not matched: 1 of the steps say that they made a layer",
                "layer  created  diff_id  step",
                "    ?           ?        ADD x",
                "",
                "#  diff_id",
                f"1  {A}",
                f"2  {B}",
            ],
        ),
        (
            NO_HISTORY,
            Envelope(OCI_CONFIG),
            "OCI config",
            ["image config", "platform  arm64", "", "0 steps of history, 1 layer", "", "#  diff_id", f"1  {A}"],
        ),
        (TAGS, answer(TAGS_AT), "OCI tags", ["library/alpine: 2 tags", "  3.20", "  latest"]),
        ({"name": "a", "tags": None}, answer(TAGS_AT), "OCI tags", ["a: 0 tags"]),
        (
            ERRORS,
            answer(MANIFESTS_AT),
            "OCI error",
            [
                "MANIFEST_UNKNOWN: the repository has no such tag or manifest",
                "  message  manifest unknown",
                '  detail   {"Tag": "x"}',
            ],
        ),
        (
            {"errors": [{"code": "HOUSE_RULE"}, {"code": "DENIED", "message": "no"}]},
            answer(TAGS_AT, "text/plain"),
            "OCI error",
            [
                "HOUSE_RULE: not a code of the distribution-spec",
                "DENIED: this login may not do that",
                "  message  no",
            ],
        ),
        (
            {"token": JWT, "access_token": JWT, "refresh_token": OPAQUE, "issued_at": "2023-11-14T22:13:20Z"},
            answer(TOKEN_AT, time=NOW + 10),
            "Bearer token",
            [
                "token service's answer",
                f"token          JWT, {len(JWT)} characters",
                f"access_token   JWT, {len(JWT)} characters",
                "refresh_token  present",
                "expires_in     not said, which means 60 s",
                "issued_at      2023-11-14T22:13:20Z",
                "",
                *JWT_LINES,
            ],
        ),
        (
            {"access_token": OPAQUE, "expires_in": 300, "scope": "repository:a:pull"},
            answer("/oauth2/token", form=b"grant_type=refresh_token&service=registry.example.com"),
            "Bearer token",
            [
                "token service's answer",
                f"access_token  opaque, {len(OPAQUE)} characters",
                "expires_in    300 s",
                "scope         repository:a:pull",
                "",
                f"Bearer token: opaque, {len(OPAQUE)} characters",
            ],
        ),
    ],
)
def test_a_document_is_shown_by_its_view(document: object, envelope: Envelope, name: str, lines: list[str]) -> None:
    assert shown(document, envelope) == (name, lines)


@pytest.mark.parametrize(
    ("document", "envelope", "name"),
    [
        (MANIFEST, Envelope(OCI_INDEX), "OCI manifest"),
        (INDEX, Envelope(OCI_MANIFEST), "OCI index"),
        (INDEX, answer(MANIFESTS_AT, ""), "OCI index"),
        (REFERRERS, answer(REFERRERS_AT), "OCI referrers"),
        (CONFIG, answer("/some/bucket/object", "binary/octet-stream"), "OCI config"),
        (CONFIG, answer(BLOBS_AT, "application/json"), "OCI config"),
        (MANIFEST, Envelope(OCI_MANIFEST, MANIFESTS_AT), "OCI manifest"),
        ({"errors": [{"code": "UNAUTHORIZED"}]}, answer("/v2/"), "OCI error"),
        ({"errors": [{"code": "UNAUTHORIZED"}]}, answer("/v2/token"), "OCI error"),
        ({"token": OPAQUE}, answer("/v2/auth?scope=repository:a:pull"), "Bearer token"),
        ({"token": OPAQUE, "expires_in": 60}, answer("/anywhere"), "Bearer token"),
    ],
)
def test_what_is_in_a_body_counts_where_the_label_says_little(document: object, envelope: Envelope, name: str) -> None:
    assert shown(document, envelope)[0] == name


@pytest.mark.parametrize(
    ("document", "envelope"),
    [
        (MANIFEST, answer("/api/v1/manifest")),
        (MANIFEST, answer(BLOBS_AT, "application/octet-stream")),
        (MANIFEST, answer(MANIFESTS_AT, "text/html")),
        (CONFIG, answer("/api/v1/config")),
        (CONFIG, answer("/api/v1/config", "application/vnd.example+json")),
        (TAGS, answer("/api/tags/list")),
        (TAGS, Envelope("application/json", TAGS_AT)),
        (ERRORS, answer("/api/errors")),
        (ERRORS, Envelope("application/json", MANIFESTS_AT)),
        ({"errors": [{"code": "teapot"}]}, answer("/v2/other/api")),
        ({"errors": [{"message": "no code"}]}, answer(MANIFESTS_AT)),
        ({"errors": []}, answer(MANIFESTS_AT)),
        ({"errors": "none"}, answer(MANIFESTS_AT)),
        ({"token": OPAQUE}, answer("/api/session")),
        ({"token": OPAQUE}, answer("/api/token")),
        ({"token": OPAQUE, "expires_in": 1, "user": "x"}, answer("/api/login")),
        ({"access_token": OPAQUE, "expires_in": 1, "token_type": "Bearer"}, answer("/oauth2/token")),
        ({"token": 1, "expires_in": 1}, answer(TOKEN_AT)),
        ({"data": {"token": "x"}}, answer("/graphql")),
        (b"", answer(MANIFESTS_AT, OCI_MANIFEST)),
        (b"", Envelope(bearer=JWT, target="/api")),
        (b"[]", answer(MANIFESTS_AT)),
        (b"{" + b" " * DOCUMENT_MAX + b"}", answer(MANIFESTS_AT)),
    ],
)
def test_other_traffic_is_left_alone(document: object, envelope: Envelope) -> None:
    assert shown(document, envelope) == ("", [])


@pytest.mark.parametrize(
    ("media_type", "data", "first"),
    [
        (OCI_MANIFEST, body(MANIFEST)[:99], "not a readable image manifest: the JSON ends early, at line 1, column 97"),
        (
            OCI_MANIFEST,
            b"<html>",
            "not a readable image manifest: no JSON: Expecting value, line 1, column 1",
        ),
        (OCI_MANIFEST, b"[]", "not a readable image manifest: JSON, but no object"),
        (OCI_MANIFEST, b"\xff", "not a readable image manifest: no JSON: the text is not UTF-8"),
        (
            OCI_MANIFEST,
            b"{}",
            "not a readable image manifest: it has no list of layers, or its mediaType says that it is an index",
        ),
        (
            OCI_INDEX,
            b'{"manifests": 1}',
            "not a readable image index: it has no list of manifests, or its mediaType says that it is a manifest",
        ),
        (OCI_CONFIG, b"{}", "not a readable image config: it has no rootfs, or no architecture"),
        (
            OCI_INDEX,
            b"[" * 100_000,
            "not a readable image index: JSON beyond what is read: nested too deeply, or a number too long",
        ),
    ],
)
def test_a_broken_document_is_shown_with_the_reason_first(media_type: str, data: bytes, first: str) -> None:
    _, lines = shown(data, Envelope(media_type))
    assert lines[:2] == [first, ""]
    assert "".join(lines[2:]) == data.decode("utf-8", "backslashreplace")


@pytest.mark.parametrize(
    ("token", "now", "lines"),
    [
        (JWT, NOW + 10, JWT_LINES[1:]),
        (OPAQUE, NOW, []),
        ("", NOW, []),
        ("a.b.c", NOW, []),
        ("é.é.é", NOW, []),
        (
            jwt({"alg": "none"}, {"exp": NOW - 5, "nbf": NOW + 7, "iat": NOW + 9, "access": []}, ""),
            NOW,
            [
                "alg  none",
                "iat  2023-11-14T22:13:29Z (in the future, by 9 s)",
                "nbf  2023-11-14T22:13:27Z (not valid before 7 s from now)",
                "exp  2023-11-14T22:13:15Z (expired 5 s ago)",
                "access: none",
            ],
        ),
        (
            jwt({"alg": "x"}, {"exp": 10**30, "nbf": "soon", "iat": True, "access": "all"}, ""),
            NOW,
            [
                "alg  x",
                "iat  true",
                "nbf  soon",
                f"exp  {10**30}",
                "access: all",
            ],
        ),
        (
            jwt({"alg": "x"}, {"access": [1, {"type": "repository", "actions": "pull"}]}, ""),
            NOW,
            [
                "alg  x",
                "access",
                "  type        name  actions",
                "  1",
                "  repository        pull",
            ],
        ),
    ],
)
def test_a_token_says_what_it_allows_and_never_itself(token: str, now: float, lines: list[str]) -> None:
    kind = "JWT" if lines else "opaque"
    assert token_lines(token, now) == [f"Bearer token: {kind}, {len(token)} characters", *lines]


@pytest.mark.parametrize("token", [JWT, OPAQUE])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_no_view_shows_a_token(kind: Any, token: str) -> None:
    for data, envelope in (
        (body({"token": token, "refresh_token": token}), answer(TOKEN_AT, time=NOW)),
        (body(CONFIG), Envelope("application/json", MANIFESTS_AT, bearer=token)),
        (b"", Envelope(target=MANIFESTS_AT, bearer=token, time=NOW)),
    ):
        text = "\n".join(kind.shown(data, envelope))
        assert not any(part in text for part in token.split("."))
        assert token not in repr(envelope)


@pytest.mark.parametrize("envelope", [Envelope(OCI_MANIFEST), answer(TAGS_AT)])
def test_what_a_registry_sends_does_not_steer_the_terminal(envelope: Envelope) -> None:
    evil = "\x1b[2J\n\u202e\ud800"
    document = {
        "name": evil,
        "tags": [evil],
        "mediaType": evil,
        "annotations": {evil: evil},
        "layers": [{"digest": evil, "mediaType": evil, "annotations": {evil: evil}}],
    }
    name, lines = shown(document, envelope)
    assert name
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_view_chosen_for_something_else_says_so(kind: Any) -> None:
    assert kind.shown(b'{"a": 1}', answer("/api")) == [f"nothing that the view {kind.name!r} could show"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([A, OCI_MANIFEST, JWT]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(set("abc"))), inner),
    max_leaves=5,
)
KEYS = sorted(
    {*MANIFEST, *INDEX, *CONFIG, *CONFIG["config"], *SCHEMA_1, *TAGS, *ERRORS["errors"][0], "errors", "token", "digest"}
    | {"platform", "size", "urls", "diff_ids", "blobSum", "access_token", "expires_in", "created_by", "empty_layer"}
)
DOCUMENTS = st.recursive(
    JSON, lambda inner: st.dictionaries(st.sampled_from(KEYS), inner | st.lists(inner, max_size=3)), max_leaves=20
)
ENVELOPES = st.builds(
    Envelope,
    content_type=st.sampled_from(["", "application/json", "application/octet-stream", OCI_MANIFEST, OCI_INDEX])
    | st.sampled_from([OCI_CONFIG, *DOCKER_SCHEMA_1])
    | st.text(),
    target=st.sampled_from([MANIFESTS_AT, BLOBS_AT, TAGS_AT, REFERRERS_AT, TOKEN_AT, "/v2/"]) | st.text(),
    is_response=st.booleans(),
    form=st.binary(max_size=9),
    bearer=st.sampled_from(["", JWT, OPAQUE]) | st.text(),
    time=st.none() | st.floats(min_value=0, max_value=1e10),
)


@given(st.binary() | DOCUMENTS.map(body), ENVELOPES)
@example(b'{"layers": [{"digest": "a", "size": 1' + b"0" * 4000 + b"}]}", Envelope(OCI_MANIFEST))
@example(b'{"manifests": [{"digest": "a", "size": 1e999}]}', Envelope(OCI_INDEX))
@example(b'{"layers":' * 50_000, Envelope(OCI_MANIFEST))
@example(body({"architecture": "a", "rootfs": {}, "config": {"Cmd": float("nan")}}), Envelope(OCI_CONFIG))
def test_no_bytes_make_a_view_fail(data: bytes, envelope: Envelope) -> None:
    for kind in KINDS:
        kind.priority(data, envelope)
        assert all(line.isprintable() for line in kind.shown(data, envelope))


@given(JSON, JSON, JSON, JSON, st.floats(min_value=0, max_value=1e10))
def test_no_claims_make_a_token_fail(exp: object, access: object, kid: object, aud: object, now: float) -> None:
    token = jwt({"alg": "x", "kid": kid}, {"exp": exp, "nbf": exp, "access": access, "aud": aud})
    assert all(line.isprintable() for line in token_lines(token, now))


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (29_126_484, "29.1 MB"),
        (10**9, "1.0 GB"),
        (10**12, "1.0 TB"),
        (10**15, "1.0 PB"),
        (2**63 - 1, "9.2 EB"),
        (5 * 10**21, "5,000.0 EB"),
    ],
)
def test_sizes_are_decimal(size: int, text: str) -> None:
    assert human_size(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "1970-01-01T00:00:00Z"), (NOW + 0.9, "2023-11-14T22:13:20Z"), (1e20, ""), (1e999, "")]
)
def test_times_are_utc(seconds: float, text: str) -> None:
    assert utc(seconds) == text


def test_one_long_cell_does_not_widen_its_table() -> None:
    assert table([("x" * 200, "y"), ("z", "y")])[1] == "z" + " " * 79 + "  y"


def test_a_long_line_of_text_is_continued_on_the_next() -> None:
    assert raw_lines(b"a" * 2500 + b"\n\n\tb") == ["a" * 1000, "a" * 1000, "a" * 500, "", "    b"]


@pytest.mark.parametrize(
    ("media_type", "name"), [(LAYER, "layer tar+gzip"), (FOREIGN, FOREIGN), ("x/y", "x/y"), ("", "(none)")]
)
def test_well_known_media_types_have_short_names(media_type: str, name: str) -> None:
    assert short_name(media_type) == name
