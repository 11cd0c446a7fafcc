"""What a person sees in mitmproxy's console after real pulls, in a real terminal of 160 columns and 40 rows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.certificates import CertificateAuthority
from lab.network import PROXY_NAME
from lab.showcase import BLOCKED, DEAD_MIRROR, Showcase
from lab.terminal import COLUMNS, ROWS, Terminal
from lab.tripwire import Tripwire

ETCD, APP, NGINX = "quay.io/coreos/etcd:v3.5.9", "quay.io/team/app:2.1", "docker.io/library/nginx:1.27"


@pytest.fixture(scope="module")
def terminal(
    tmp_path_factory: pytest.TempPathFactory,
    lab_ca: CertificateAuthority,
    showcase: Showcase,
    tripwire_server: Tripwire,
) -> Iterator[Terminal]:
    directory = tmp_path_factory.mktemp("terminal")
    with showcase.shown_in(Terminal, directory, lab_ca.pem, tripwire_server) as started:
        yield started


@pytest.fixture
def flows(terminal: Terminal) -> Iterator[Terminal]:
    """The console with its flow list, in which all flows are."""
    terminal.command("set view_filter")
    terminal.await_text("Flows", "/v2/quay/coreos/etcd/manifests/", "/v2/library/redis/manifests/7")
    yield terminal
    terminal.back_to("Flows")


def opened(flows: Terminal, image: str) -> None:
    """Select the request for this image's tag, alone in the list, and open it."""
    flows.command(f"set view_filter '~comment {image}'")
    flows.await_text("[1/1]")
    flows.keys("Enter")
    flows.await_text("Flow Details", "Request", "Response", "Detail")


MARKED = [
    ("/v2/library/nginx/manifests/1.27?ns=docker.io", "200", "↩"),
    ("/v2/untrusted/miner/manifests/latest", "403", "⛔"),
    ("/v2/library/redis/manifests/7", "404", "❔"),
    ("/v2/quay/team/app/manifests/2.1?ns=quay.io", "200", ""),
]


@pytest.mark.parametrize(("path", "status", "marker"), MARKED)
def test_the_flow_list_shows_a_marker_where_one_is_due(flows: Terminal, path: str, status: str, marker: str) -> None:
    (line,) = [line for line in flows.screen().splitlines() if f"{path} " in line]
    assert f" {status} " in line
    # Behind the time that it took.
    assert line.split("ms")[-1].strip(" \N{VARIATION SELECTOR-16}") == marker


def test_the_comment_filter_leaves_the_requests_of_an_image(flows: Terminal, showcase: Showcase) -> None:
    flows.command("set view_filter '~comment team/app'")
    # The manifest, the config and the layers.
    screen = flows.await_text(f"[1/{2 + len(showcase.app.layers)}]")
    assert [line for line in screen.splitlines() if " GET " in line and "/team/app/" not in line] == []


def test_the_details_of_a_flow_have_its_comment_and_metadata(flows: Terminal) -> None:
    opened(flows, NGINX)
    screen = flows.turn_to("Comment:", "Metadata:")
    unwrapped = " ".join(screen.split())
    assert f"{NGINX} · ns=docker.io (host) · {PROXY_NAME} · passed over {DEAD_MIRROR}: cannot connect" in unwrapped
    for name, value in (("image", NGINX), ("namespace", "docker.io"), ("endpoint", PROXY_NAME)):
        assert f"ns_{name} '{value}'" in unwrapped


def test_a_manifest_is_shown_as_one(flows: Terminal, showcase: Showcase) -> None:
    opened(flows, APP)
    screen = flows.turn_to("OCI manifest", "3 layers, 1.3 MB (1,278,722 bytes)")
    assert "1.2 MB  1,201,787  layer tar+gzip" in screen
    assert [digest for digest in showcase.app.layers if digest not in screen] == []


def test_an_index_is_shown_as_one(flows: Terminal, showcase: Showcase) -> None:
    opened(flows, ETCD)
    screen = flows.turn_to("OCI index", "2 manifests")
    for architecture, digest in showcase.etcd.platform_digests.items():
        assert f"linux/{architecture}" in screen
        assert digest in screen


COMMANDS = {
    "ns.pulls": [f"{APP} ", "complete", "1.3 MB", f"passed over {DEAD_MIRROR}", f"{BLOCKED} ", "403 DENIED"],
    "ns.routes": ["quay.io/untrusted", f"{PROXY_NAME}/quay", DEAD_MIRROR, "blocked"],
    "ns.explain @focus": ["quay.io (ping)", "action     rewrite", f"upstream   https://{PROXY_NAME}/v2/?ns=quay.io"],
    f"ns.explain {APP}": ["source 1   ", f"{PROXY_NAME}/quay/team/app:2.1  [ns=quay.io]"],
}


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_is_answered_on_the_screen(flows: Terminal, line: str) -> None:
    flows.command("view.focus.go 0")
    flows.command(line)
    flows.await_text(*COMMANDS[line])


def test_a_pull_is_on_one_line(flows: Terminal) -> None:
    flows.command("ns.pulls")
    (line,) = [line for line in flows.await_text("complete").splitlines() if f"{ETCD} " in line]
    assert line.rstrip(" │").find(f"{PROXY_NAME}/quay") > line.find("complete") > line.find(ETCD)


def test_a_command_that_makes_no_sense_is_answered_with_the_reason(flows: Terminal) -> None:
    flows.command("ns.explain ftp://quay.io/")
    flows.await_text("'ftp://quay.io/' is not an http or https URL")


def test_a_capture_has_the_size_of_the_terminal(flows: Terminal, tmp_path: Path) -> None:
    """With SCREENSHOTS=directory it is kept there."""
    capture = flows.await_text("[1/24]", "? Help")
    assert max(map(len, capture.splitlines())) <= COLUMNS
    assert len(capture.splitlines()) <= ROWS
    flows.command("ns.pulls")
    pulls = flows.await_text("complete", "403 DENIED")
    directory = Path(os.environ.get("SCREENSHOTS") or tmp_path)
    (directory / "terminal.txt").write_text(f"{_without_blank_lines(capture)}\n{_without_blank_lines(pulls)}")


def _without_blank_lines(screen: str) -> str:
    lines = [line.rstrip() for line in screen.splitlines()]
    return "".join(f"{line}\n" for line in lines if line.strip(" │"))
