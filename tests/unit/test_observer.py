"""What becomes of flows that are watched: comments, markers, metadata, log lines; and what the accounts are told."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from mitmproxy import flow, flowfilter, http
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.io import FlowReader, FlowWriter
from mitmproxy.test import taddons, tflow, tutils

from oci_ns import record
from oci_ns.addon import NsInject
from oci_ns.observer import Observer
from oci_ns.pull import Pull
from oci_ns.transfer import Transfer
from tests.unit.test_addon import CONF, Registries, request, requestheaders
from tests.unit.traffic import CONFIG, LAYERS, MANIFEST, digest

OCI = {"Content-Type": "application/vnd.oci.image.manifest.v1+json", "OCI-Namespace": "quay.io"}
BLOB = f"https://quay.io/v2/coreos/etcd/blobs/{digest(LAYERS[0])}"


@dataclass
class Recording:
    """Writes down what it is told."""

    decisions: list[Transfer] = field(default_factory=list)
    answers: list[Transfer] = field(default_factory=list)
    pulls: list[Pull] = field(default_factory=list)

    def decided(self, transfer: Transfer) -> None:
        self.decisions.append(transfer)

    def answered(self, transfer: Transfer) -> None:
        self.answers.append(transfer)

    def pulled(self, pull: Pull) -> None:
        self.pulls.append(pull)


@dataclass
class Watching:
    """The addon that decides, the one that watches, and the account it gives."""

    addon: NsInject
    observer: Observer
    account: Recording
    options: taddons.context

    def asked(self, url: str, method: str = "GET", **headers: str) -> http.HTTPFlow:
        """A request that was decided about, and as it is before its answer."""
        sent = request(method, url, **headers)
        requestheaders(self.addon, sent)
        self.observer.requestheaders(sent)
        return sent

    def answer(self, sent: http.HTTPFlow, status: int, headers: dict[str, str], *chunks: bytes) -> http.HTTPFlow:
        """The answer comes, as mitmproxy brings it: its body as a whole, or as it comes where it is streamed."""
        body = b"".join(chunks)
        sent.response = tutils.tresp(status_code=status, content=None, headers=http.Headers(_bytes(headers)))
        self.addon.responseheaders(sent)
        self.observer.responseheaders(sent)
        if callable(sent.response.stream):
            assert b"".join(bytes(sent.response.stream(chunk)) for chunk in [*chunks, b""]) == body  # type: ignore[arg-type]
        elif not sent.response.stream:
            sent.response.raw_content = body
        return self.ended(sent)

    def ended(self, sent: http.HTTPFlow) -> http.HTTPFlow:
        """The answer is there."""
        assert sent.response is not None
        sent.response.timestamp_end = sent.request.timestamp_start + 1
        again = self.addon.response(sent)
        if again is not None:
            asyncio.run(again)
        self.observer.response(sent)
        return sent

    def broke_off(self, sent: http.HTTPFlow, message: str) -> http.HTTPFlow:
        """There is an error, and no more of an answer."""
        sent.error = flow.Error(message, sent.request.timestamp_start + 1)
        self.addon.error(sent)
        self.observer.error(sent)
        return sent


def _bytes(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


@pytest.fixture
def watching(tmp_path: Path) -> Iterator[Watching]:
    conf = tmp_path / "registries.conf"
    conf.write_text(CONF)
    with taddons.context(Proxyserver()) as context:
        addon, account = NsInject(Registries()), Recording()
        observer = Observer(addon.forwarding.record, (account,))
        context.master.addons.add(addon, observer)
        context.options.update(ns_registries_conf=str(conf))
        yield Watching(addon, observer, account, context)


def test_a_flow_says_what_was_decided_before_there_is_an_answer(watching: Watching) -> None:
    sent = watching.asked("https://quay.io/v2/coreos/etcd/tags/list")
    assert sent.comment == (
        "quay.io/coreos/etcd (tags) · ns=quay.io (host) · proxy.example.com:5000/quay"
        " · asked for https://quay.io/v2/coreos/etcd/tags/list"
    )
    assert sent.marked == ""
    assert sent.request.url.startswith("http://proxy.example.com:5000/v2/quay/coreos/etcd/tags/list")
    assert [each.record.image for each in watching.account.decisions] == ["quay.io/coreos/etcd"]


FLOWS = [
    ("https://bad.example.com/v2/a/manifests/v1", "DENIED: pulling is blocked", ":no_entry:"),
    ("https://elsewhere.example.net/v2/a/manifests/v1", "unresolved", ":grey_question:"),
    ("https://elsewhere.example.net/index.html", "", ""),
]


@pytest.mark.parametrize(("url", "comment", "marker"), FLOWS)
def test_a_flow_that_needs_a_look_is_marked(watching: Watching, url: str, comment: str, marker: str) -> None:
    sent = watching.asked(url)
    assert comment in sent.comment
    assert sent.marked == marker


ANSWERS = [
    (200, OCI, MANIFEST, "", ""),
    (200, OCI | {"OCI-Namespace": "docker.io"}, MANIFEST, "wrong-namespace", ":x:"),
    (200, {"Content-Type": OCI["Content-Type"]}, MANIFEST, "namespace-unconfirmed", ":warning:"),
    (200, OCI | {"Docker-Content-Digest": f"sha256:{'0' * 64}"}, MANIFEST, "wrong-digest", ":x:"),
    (429, {"Retry-After": "9"}, b"", "rate-limited", ":hourglass:"),
    (503, {}, b"", "failed", ":x:"),
]


@pytest.mark.parametrize(("status", "headers", "body", "kind", "marker"), ANSWERS)
def test_what_is_wrong_with_an_answer_is_in_comment_marker_metadata_and_log(
    watching: Watching,
    status: int,
    headers: dict[str, str],
    body: bytes,
    kind: str,
    marker: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sent = watching.answer(watching.asked("https://quay.io/v2/coreos/etcd/manifests/v1"), status, headers, body)
    assert sent.marked == marker
    assert f"· {kind}: " in sent.comment or not kind
    assert [text.partition(":")[0] for text in sent.metadata.get("ns_findings", [])] == ([kind] if kind else [])
    warnings = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert [line.startswith(f"quay.io/coreos/etcd:v1: {kind}: ") for line in warnings] == ([True] if kind else [])
    assert [each.status for each in watching.account.answers] == [status]


def test_that_an_endpoint_does_not_confirm_the_namespace_is_noted_once(
    watching: Watching, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        sent = watching.answer(watching.asked(f"https://quay.io/v2/a/b{number}/tags/list"), 200, {}, b"{}")
        assert sent.marked == ("" if number else ":warning:")
    assert len([line for line in caplog.messages if "it may ignore ns" in line]) == 1


def test_what_is_noted_survives_saving_and_can_be_filtered(watching: Watching) -> None:
    headers = OCI | {"OCI-Namespace": "docker.io"}
    sent = watching.answer(watching.asked("https://quay.io/v2/coreos/etcd/manifests/v1"), 200, headers, MANIFEST)
    file = io.BytesIO()
    FlowWriter(file).add(sent)
    file.seek(0)
    (saved,) = FlowReader(file).stream()
    assert (saved.comment, saved.marked, saved.metadata) == (sent.comment, sent.marked, sent.metadata)
    assert record.read(saved.metadata) == record.read(sent.metadata)
    for expression in (
        "~comment quay.io/coreos/etcd:v1",
        '~meta "^ns_namespace: quay.io$"',
        '~meta "ns_findings: .*wrong-namespace"',
        "~marker :x:",
        "~marked",
    ):
        assert flowfilter.parse(expression)(saved), expression


# --- bodies that are passed on as they come


def test_a_blob_is_counted_and_a_short_document_kept(watching: Watching) -> None:
    url = f"https://quay.io/v2/coreos/etcd/blobs/{digest(CONFIG)}"
    sent = watching.answer(watching.asked(url), 200, {"OCI-Namespace": "quay.io"}, CONFIG[:9], CONFIG[9:])
    assert sent.metadata["ns_received"] == len(CONFIG)
    assert sent.response is not None
    assert sent.response.raw_content == CONFIG


def test_a_layer_is_counted_and_not_kept(watching: Watching) -> None:
    sent = watching.answer(watching.asked(BLOB), 200, {"OCI-Namespace": "quay.io"}, LAYERS[0])
    assert sent.metadata["ns_received"] == len(LAYERS[0])
    assert sent.response is not None
    assert sent.response.raw_content is None


@pytest.mark.parametrize(("verify", "found"), [(True, ["wrong-digest"]), (False, [])])
def test_a_blob_is_verified_where_that_is_asked_for(watching: Watching, verify: bool, found: list[str]) -> None:
    watching.options.options.update(ns_verify_blobs=verify)
    sent = watching.answer(watching.asked(BLOB), 200, {"OCI-Namespace": "quay.io"}, b"something ", b"else")
    assert [text.partition(":")[0] for text in sent.metadata.get("ns_findings", [])] == found


def test_a_right_blob_passes_the_verification(watching: Watching) -> None:
    watching.options.options.update(ns_verify_blobs=True)
    sent = watching.answer(watching.asked(BLOB), 200, {"OCI-Namespace": "quay.io"}, LAYERS[0])
    assert sent.marked == ""


def test_a_blob_that_is_not_as_long_as_its_manifest_says_is_found(watching: Watching) -> None:
    watching.answer(watching.asked("https://quay.io/v2/coreos/etcd/manifests/v1"), 200, OCI, MANIFEST)
    sent = watching.answer(watching.asked(BLOB), 200, {"OCI-Namespace": "quay.io", "Content-Length": "4"}, b"one ")
    assert "wrong-size: proxy.example.com:5000/quay has 4 bytes of a blob that has 9" in sent.comment


BROKEN_OFF = [
    (
        "server closed connection",
        "truncated: proxy.example.com:5000/quay: server closed connection after 4 of 9 bytes",
        ":x:",
    ),
    ("Client disconnected.", "aborted: the client went away after 4 bytes", ""),
]


@pytest.mark.parametrize(("message", "text", "marker"), BROKEN_OFF)
def test_a_body_that_breaks_off_is_found(watching: Watching, message: str, text: str, marker: str) -> None:
    sent = watching.asked(BLOB)
    sent.response = tutils.tresp(content=None, headers=http.Headers(_bytes({"Content-Length": "9"})))
    watching.addon.responseheaders(sent)
    watching.observer.responseheaders(sent)
    assert callable(sent.response.stream)
    sent.response.stream(b"one ")
    watching.broke_off(sent, message)
    assert text in sent.comment
    assert sent.marked == marker
    assert watching.account.answers[-1].received == 4


def test_no_answer_is_found(watching: Watching) -> None:
    sent = watching.broke_off(watching.asked(BLOB), "connection refused")
    assert "failed: proxy.example.com:5000/quay: connection refused" in sent.comment


# --- pulls


def test_a_pull_is_told_when_it_is_over(watching: Watching, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "oci_ns")
    watching.answer(watching.asked("https://quay.io/v2/coreos/etcd/manifests/v1"), 200, OCI, MANIFEST)
    for body in (CONFIG, *LAYERS):
        url = f"https://quay.io/v2/coreos/etcd/blobs/{digest(body)}"
        watching.answer(watching.asked(url), 200, {"OCI-Namespace": "quay.io"}, body)
    assert watching.account.pulls == []
    watching.observer.done()
    (pull,) = watching.account.pulls
    assert (pull.image, pull.result, pull.layers) == ("quay.io/coreos/etcd:v1", "complete", 2)
    assert [line.partition(",")[0] for line in caplog.messages if line.startswith("pull ")] == [
        "pull quay.io/coreos/etcd:v1: complete"
    ]


def test_a_failed_pull_is_a_warning(watching: Watching, caplog: pytest.LogCaptureFixture) -> None:
    watching.ended(watching.asked("https://bad.example.com/v2/a/manifests/v1"))
    watching.observer.done()
    assert "pull bad.example.com/a:v1: failed, 0 B in" in caplog.text
    assert "error: 403 DENIED: pulling is blocked" in caplog.text


def test_pulls_end_by_the_clock_while_nothing_comes(watching: Watching) -> None:
    now = 0.0
    watching.observer.now = lambda: now
    sent = watching.asked("https://quay.io/v2/coreos/etcd/manifests/v1")
    now = sent.request.timestamp_start
    watching.answer(sent, 200, OCI, MANIFEST)

    async def until_told() -> None:
        nonlocal now
        watching.observer.running()
        now += 3600
        while not watching.account.pulls:
            await asyncio.sleep(0.01)
        watching.observer.done()

    asyncio.run(asyncio.wait_for(until_told(), 10))
    assert watching.account.pulls[0].result == "resolved"


def test_a_replay_is_watched_anew(watching: Watching) -> None:
    sent = watching.answer(watching.asked("https://quay.io/v2/coreos/etcd/manifests/v1"), 503, {}, b"")
    assert sent.marked == ":x:"
    sent.response = None
    requestheaders(watching.addon, sent)
    watching.observer.requestheaders(sent)
    assert (sent.marked, "ns_findings" in sent.metadata) == ("", False)


def test_a_flow_that_is_read_from_a_file_is_left_as_it_is(watching: Watching) -> None:
    saved = tflow.tflow(resp=True)
    saved.live = False
    saved.metadata["ns_operation"] = "manifest"
    saved.comment = "mine"
    watching.observer.requestheaders(saved)
    watching.observer.responseheaders(saved)
    watching.observer.response(saved)
    assert (saved.comment, saved.metadata) == ("mine", {"ns_operation": "manifest"})
