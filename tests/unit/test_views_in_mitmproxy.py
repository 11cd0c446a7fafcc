"""Content views in mitmproxy 11 and 12: both list them, and choose them by themselves where they fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from mitmproxy import contentviews, http
from mitmproxy.test import taddons, tflow

from oci_ns.manifests import OCI_INDEX, OCI_MANIFEST
from oci_ns.views import adapters
from oci_ns.views.kinds import KINDS
from tests.unit.view_documents import (
    BLOBS_AT,
    CONFIG,
    ERRORS,
    INDEX,
    JWT,
    JWT_LINES,
    MANIFEST,
    MANIFEST_LINES,
    MANIFESTS_AT,
    NOW,
    REFERRERS,
    REFERRERS_AT,
    TAGS,
    TAGS_AT,
    TOKEN_AT,
    body,
)

IS_12 = hasattr(contentviews, "Contentview")
API: Any = contentviews


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    with taddons.context() as context:
        if "protobuf_definitions" not in context.options:
            context.options.add_option("protobuf_definitions", str | None, None, "")
        adapters.register()
        yield
        adapters.unregister()


def names() -> list[str]:
    found = API.registry.available_views() if IS_12 else [view.name for view in API.views]
    return [name.lower() for name in found]


def exchanged(document: object, target: str, content_type: str, authorization: str = "") -> http.HTTPFlow:
    flow = tflow.tflow(resp=True)
    flow.request.path = target
    flow.request.content = b""
    flow.request.headers = http.Headers(authorization=authorization)
    flow.request.timestamp_start = NOW + 10
    assert flow.response is not None
    flow.response.headers = http.Headers(content_type=content_type)
    flow.response.content = document if isinstance(document, bytes) else body(document)
    flow.response.timestamp_start = NOW + 10
    return flow


def seen(flow: http.HTTPFlow, message: http.Message | None, view: str = "auto") -> tuple[str, list[str]]:
    """The name of the view that mitmproxy chooses and its lines, without blanks at their ends."""
    if IS_12:
        result = API.prettify_message(message, flow, view)
        return result.view_name, [line.rstrip() for line in result.text.split("\n")]
    description, lines, error = API.get_message_content_view(view, message, flow)
    assert error is None
    return description, ["".join(text for _, text in line).rstrip() for line in lines]


@pytest.mark.parametrize(
    ("document", "target", "content_type", "name"),
    [
        (MANIFEST, MANIFESTS_AT, OCI_MANIFEST, "OCI manifest"),
        (MANIFEST, MANIFESTS_AT, "application/json; charset=utf-8", "OCI manifest"),
        (INDEX, MANIFESTS_AT, OCI_INDEX, "OCI index"),
        (REFERRERS, REFERRERS_AT, OCI_INDEX, "OCI referrers"),
        (CONFIG, BLOBS_AT, "application/octet-stream", "OCI config"),
        (TAGS, TAGS_AT, "application/json", "OCI tags"),
        (ERRORS, MANIFESTS_AT, "application/json", "OCI error"),
        ({"token": JWT}, TOKEN_AT, "application/json", "Bearer token"),
        (b"{", MANIFESTS_AT, OCI_MANIFEST, "OCI manifest"),
        (TAGS, "/api/tags", "application/json", "JSON"),
        (ERRORS, "/graph", "application/json", "JSON"),
        ({"token": JWT}, "/api", "application/json", "JSON"),
    ],
)
def test_mitmproxy_chooses_the_view(document: object, target: str, content_type: str, name: str) -> None:
    flow = exchanged(document, target, content_type)
    view, lines = seen(flow, flow.response)
    assert view == name
    assert lines


def test_mitmproxy_shows_every_line() -> None:
    flow = exchanged(MANIFEST, MANIFESTS_AT, OCI_MANIFEST)
    assert seen(flow, flow.response) == ("OCI manifest", MANIFEST_LINES)


def test_mitmweb_shows_a_line_that_is_blank() -> None:
    flow = exchanged(MANIFEST, MANIFESTS_AT, OCI_MANIFEST)
    assert "" in MANIFEST_LINES
    if IS_12:
        assert "" not in API.prettify_message(flow.response, flow, "auto").text.split("\n")
    else:
        assert [("text", "")] not in API.get_message_content_view("auto", flow.response, flow)[1]


def test_a_manifest_that_is_pushed_is_shown() -> None:
    flow = exchanged(b"", MANIFESTS_AT, "", authorization=f"Bearer {JWT}")
    flow.request.headers["content-type"] = OCI_MANIFEST
    flow.request.content = body(MANIFEST)
    assert seen(flow, flow.request) == ("OCI manifest", MANIFEST_LINES)
    assert seen(flow, flow.request, "Bearer token") == ("Bearer token", JWT_LINES)


def test_a_request_without_a_body_shows_its_token() -> None:
    flow = exchanged(b"", MANIFESTS_AT, "", authorization=f"bearer  {JWT}")
    assert seen(flow, flow.request) == ("Bearer token", JWT_LINES)


def test_the_query_of_a_request_is_more_telling_than_its_token() -> None:
    flow = exchanged(b"", f"{MANIFESTS_AT}?ns=docker.io", "", authorization=f"Bearer {JWT}")
    assert seen(flow, flow.request)[0] == "Query"


def test_an_answer_to_a_posted_form_is_a_token() -> None:
    flow = exchanged({"access_token": JWT}, "/oauth2/token", "application/json")
    flow.request.headers["content-type"] = "application/x-www-form-urlencoded"
    flow.request.content = b"service=registry.example.com"
    assert seen(flow, flow.response)[0] == "Bearer token"


def test_a_view_is_chosen_by_its_name() -> None:
    flow = exchanged(MANIFEST, "/", "text/plain")
    assert seen(flow, flow.response, "oci manifest")[1][0] == "image manifest"


def test_to_register_again_adds_nothing() -> None:
    before = names()
    adapters.register()
    assert sorted(names()) == sorted(before)
    assert {kind.name.lower() for kind in KINDS} <= set(before)


def test_to_unregister_leaves_mitmproxy_as_it_was() -> None:
    adapters.unregister()
    adapters.unregister()
    assert not {kind.name.lower() for kind in KINDS} & set(names())
    flow = exchanged(MANIFEST, MANIFESTS_AT, OCI_MANIFEST)
    assert seen(flow, flow.response)[0] == "JSON"


def test_what_is_no_http_is_left_alone() -> None:
    flow = tflow.ttcpflow()
    flow.messages[0].content = body(CONFIG)
    message: Any = flow.messages[0]
    assert not seen(flow, message)[0].startswith("OCI")  # type: ignore[arg-type]
