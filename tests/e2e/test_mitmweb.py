"""What a person sees in mitmweb after real pulls, in a real browser: comments, markers, content views, commands."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.browser import browser
from lab.certificates import CertificateAuthority
from lab.mitmweb import Mitmweb
from lab.network import PROXY_NAME
from lab.registries import Registry
from lab.showcase import BLOCKED, DEAD_MIRROR, UNRESOLVED, Showcase
from lab.tripwire import Tripwire
from lab.web_page import WebPage

SIZE = (1400, 800)

# mitmweb 11 compares the character, mitmweb 12 the name.
NO_ENTRY = "no_entry|⛔"

QUAY = f"ns=quay.io (host) · {PROXY_NAME}/quay"
HUB = f"ns=docker.io (host) · {PROXY_NAME} · passed over {DEAD_MIRROR}: cannot connect: connection refused"


@pytest.fixture(scope="module")
def mitmweb(
    tmp_path_factory: pytest.TempPathFactory,
    lab_ca: CertificateAuthority,
    showcase: Showcase,
    tripwire_server: Tripwire,
) -> Iterator[Mitmweb]:
    directory = tmp_path_factory.mktemp("mitmweb")
    with showcase.shown_in(Mitmweb, directory, lab_ca.pem, tripwire_server) as started:
        yield started


@pytest.fixture(scope="module")
def opened(mitmweb: Mitmweb) -> Iterator[WebPage]:
    with browser(*SIZE) as chromium:
        yield WebPage(chromium, mitmweb.page)


@pytest.fixture
def page(opened: WebPage) -> WebPage:
    opened.open()
    return opened


DECIDED = [
    ("quay.io/coreos/etcd:v3.5.9", QUAY, "", "200"),
    ("quay.io/team/app:2.1", QUAY, "", "200"),
    ("docker.io/library/nginx:1.27", HUB, "↩", "200"),
    (BLOCKED, "403 DENIED: pulling is blocked by registries.conf", "⛔", "403"),
    (UNRESOLVED, f"unresolved · {PROXY_NAME}", "❔", "404"),
]


@pytest.mark.parametrize(("image", "decided", "marker", "status"), DECIDED)
def test_the_flow_list_shows_what_was_decided(
    page: WebPage, image: str, decided: str, marker: str, status: str
) -> None:
    page.filter(f"~comment {image}")
    rows = page.await_rows(lambda rows: len(rows) == 1, f"only {image} is left")
    assert rows[0].comment.startswith(f"{image} · {decided}")
    assert rows[0].path.partition("http")[0].strip("\N{VARIATION SELECTOR-16}") == marker
    assert rows[0].status == status


def test_the_comment_filter_leaves_the_requests_of_an_image(page: WebPage, showcase: Showcase) -> None:
    page.filter("~comment team/app")
    rows = page.await_rows(lambda rows: all("team/app" in row.comment for row in rows), "only team/app is left")
    # The manifest, the config and the layers.
    assert len(rows) == 2 + len(showcase.app.layers)


def test_the_marker_filter_leaves_what_needs_attention(page: WebPage) -> None:
    page.filter(f"~marker {NO_ENTRY}")
    (row,) = page.await_rows(lambda rows: len(rows) == 1, "only the blocked pull is left")
    assert row.comment.startswith(BLOCKED)
    page.filter("~marked")
    rows = page.await_rows(lambda rows: 1 < len(rows) < 10, "all that are marked are left")
    assert not [row for row in rows if row.path.startswith("http")]


def test_a_flow_has_its_whole_comment_on_a_pane(page: WebPage) -> None:
    page.filter("~comment library/nginx:1.27")
    page.await_rows(lambda rows: len(rows) == 1, "only nginx is left")
    assert f"docker.io/library/nginx:1.27 · {HUB}" in page.select("library/nginx:1.27", "Comment")


def test_an_index_is_shown_as_one(page: WebPage, showcase: Showcase) -> None:
    page.select("quay.io/coreos/etcd:v3.5.9", "Response")
    text = page.await_pane("OCI index")
    assert "2 manifests" in text
    for architecture, digest in showcase.etcd.platform_digests.items():
        assert f"linux/{architecture}" in text
        assert digest in text


def test_a_manifest_is_shown_as_one(page: WebPage, showcase: Showcase) -> None:
    page.select("quay.io/team/app:2.1", "Response")
    text = page.await_pane("OCI manifest")
    assert "3 layers, 1.3 MB" in text
    assert "1.2 MB  1,201,787  layer tar+gzip" in text
    assert [digest for digest in showcase.app.layers if digest not in text] == []


def test_a_config_is_shown_as_one(page: WebPage, showcase: Showcase, quay: Registry) -> None:
    manifest = json.loads(quay.get(f"/v2/{showcase.app.repository}/manifests/{showcase.app.tag}").body)
    page.select(manifest["config"]["digest"], "Response")
    text = page.await_pane("OCI config")
    assert "linux/" in text
    assert "/hello.txt" in text


def test_a_blocked_pull_is_shown_with_its_reason(page: WebPage) -> None:
    page.filter(f"~marker {NO_ENTRY}")
    page.await_rows(lambda rows: len(rows) == 1, "only the blocked pull is left")
    page.select(BLOCKED, "Response")
    text = page.await_pane("OCI error")
    assert "DENIED" in text
    assert "pulling is blocked by registries.conf: prefix quay.io/untrusted" in text


COMMANDS = {
    "ns.pulls": ["quay.io/team/app:2.1", "complete", "linux/", "1.3 MB", f"passed over {DEAD_MIRROR}"],
    "ns.routes": ["quay.io/untrusted", f"{PROXY_NAME}/quay", DEAD_MIRROR, "blocked"],
    "ns.routes untrusted": ["quay.io/untrusted"],
    "ns.explain quay.io/team/app:2.1": ["source 1", f"{PROXY_NAME}/quay/team/app:2.1  [ns=quay.io]"],
    "ns.explain https://quay.io/v2/": ["rewrite", f"https://{PROXY_NAME}/v2/?ns=quay.io"],
    f"ns.explain '~comment {BLOCKED}'": ["action     block", "403 DENIED"],
}


@pytest.mark.parametrize("line", COMMANDS)
def test_the_command_bar_answers_with_the_lines_as_a_json_array(page: WebPage, line: str) -> None:
    lines = json.loads(page.command(line))
    assert all(isinstance(each, str) for each in lines)
    text = "\n".join(lines)
    assert [expected for expected in COMMANDS[line] if expected not in text] == []


def test_the_command_bar_answers_with_what_is_wrong(page: WebPage) -> None:
    assert "no registry request is selected" in json.loads(page.command("ns.explain '~u nowhere'"))


def test_screenshots_show_the_list_a_manifest_and_an_index(page: WebPage, tmp_path: Path) -> None:
    """With SCREENSHOTS=directory they are kept there."""
    directory = Path(os.environ.get("SCREENSHOTS") or tmp_path)
    page.scroll_to_end()
    page.select("docker.io/library/nginx:1.27", "Comment")
    page.await_pane(DEAD_MIRROR)
    page.screenshot(directory / "mitmweb-list.png")
    with page.columns("path", "status", "comment"):
        page.open()
        page.select("quay.io/team/app:2.1", "Response")
        page.widen_pane(250)
        for name, flow in (("manifest", "quay.io/team/app:2.1"), ("index", "quay.io/coreos/etcd:v3.5.9")):
            page.select(flow, "Response")
            page.await_pane(f"OCI {name}")
            page.screenshot(directory / f"mitmweb-{name}.png")
    for name in ("list", "manifest", "index"):
        head = (directory / f"mitmweb-{name}.png").read_bytes()[:24]
        assert struct.unpack(">8xII", head[8:]) == SIZE
