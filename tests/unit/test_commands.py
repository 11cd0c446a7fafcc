"""What the commands in mitmproxy's console answer about the flows in its view, and `ns-inject pulls` about a file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from mitmproxy import exceptions, http
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.addons.view import View
from mitmproxy.io import FlowWriter
from mitmproxy.test import taddons, tflow, tutils

from oci_ns.addon import NsInject
from oci_ns.cli.main import main
from oci_ns.commands import Commands
from oci_ns.observer import Observer
from tests.unit.test_addon import CONF, Registries, request, requestheaders
from tests.unit.traffic import CONFIG, LAYERS, MANIFEST, digest
from tests.unit.view_documents import jwt

OCI = {"Content-Type": "application/vnd.oci.image.manifest.v1+json", "OCI-Namespace": "quay.io"}


def answered(url: str, status: int, body: bytes, **headers: str) -> http.HTTPFlow:
    """A request as the client made it, with its answer."""
    sent = request("GET", url, **headers)
    sent.client_conn.peername = ("10.0.0.1", 4711)
    sent.request.headers["User-Agent"] = "podman/4"
    sent.response = tutils.tresp(
        status_code=status, content=body, headers=http.Headers([(k.encode(), v.encode()) for k, v in OCI.items()])
    )
    return sent


def a_pull() -> list[http.HTTPFlow]:
    """Of an image whose second layer is not there."""
    base = "https://quay.io/v2/coreos/etcd"
    return [
        answered(f"{base}/manifests/v1", 200, MANIFEST),
        answered(f"{base}/blobs/{digest(CONFIG)}", 200, CONFIG),
        answered(f"{base}/blobs/{digest(LAYERS[0])}", 200, LAYERS[0]),
        answered(f"{base}/blobs/{digest(LAYERS[1])}", 404, b""),
    ]


@pytest.fixture
def context(tmp_path: Path) -> Iterator[taddons.context]:
    conf = tmp_path / "registries.conf"
    conf.write_text(CONF)
    with taddons.context(Proxyserver()) as made:
        addon = NsInject(Registries())
        observer = Observer(addon.forwarding.record)
        view = View()
        made.master.addons.add(view, addon, observer, Commands(addon))
        made.options.update(ns_registries_conf=str(conf))
        for sent in a_pull():
            response, sent.response = sent.response, None
            requestheaders(addon, sent)
            observer.requestheaders(sent)
            sent.response = response
            observer.response(sent)
            view.add([sent])
        yield made


def lines(context: taddons.context, command: str) -> str:
    """What the console shows for a command."""
    answer = context.master.commands.execute(command)
    assert all(isinstance(line, str) for line in answer)
    return "\n".join(answer)


EXPLAINED = [
    ("ns.explain https://quay.io/v2/coreos/etcd/manifests/v1", ["told by: host", "=> host", "registries.conf:2"]),
    ("ns.explain https://quay.io/v2/coreos/etcd/manifests/v1 put", ["PUT https://quay.io/", "action     pass"]),
    ("ns.explain quay.io/coreos/etcd:v1", ["source 1   proxy.example.com:5000/quay/coreos/etcd:v1", "=> prefix"]),
    ("ns.explain @focus", ["quay.io/coreos/etcd:v1\nns=quay.io (host)\n", "GET https://quay.io/v2/", "=> host"]),
    ("ns.explain", ["quay.io/coreos/etcd:v1\nns=quay.io (host)\n"]),
    ("ns.explain '~c 404'", [f"quay.io/coreos/etcd@{digest(LAYERS[1])}", "refused: proxy.example.com:5000/quay: 404"]),
]


@pytest.mark.parametrize(("command", "parts"), EXPLAINED)
def test_explain_tells_why(context: taddons.context, command: str, parts: list[str]) -> None:
    shown = lines(context, command)
    assert [part for part in parts if part not in shown] == [], shown


REFUSED = [
    ("ns.explain ftp://quay.io/", "is not an http or https URL"),
    ("ns.explain QUAY.IO/A", "is not an image name"),
    ("ns.explain '~c 999'", "no registry request is selected"),
    ("ns.pulls '~~'", "Invalid filter"),
]


@pytest.mark.parametrize(("command", "reason"), REFUSED)
def test_what_makes_no_sense_is_refused_with_the_reason(context: taddons.context, command: str, reason: str) -> None:
    with pytest.raises(exceptions.CommandError, match=reason):
        context.master.commands.execute(command)


def test_explain_shows_what_a_token_says_and_never_the_token(context: taddons.context) -> None:
    token = jwt({"alg": "RS256"}, {"sub": "robot", "exp": 1})
    sent = answered("https://quay.io/v2/coreos/etcd/tags/list", 401, b"", Authorization=f"Bearer {token}")
    view = context.master.addons.get("view")
    view.add([sent])
    shown = lines(context, "ns.explain '~c 401'")
    assert "robot" in shown
    assert "expired" in shown
    assert token not in shown


def test_routes_shows_the_table_in_use(context: taddons.context) -> None:
    header, *rows = [line.split() for line in lines(context, "ns.routes").splitlines()]
    assert header == ["prefix", "endpoint", "ns", "notes", "file"]
    assert ["quay.io", "proxy.example.com:5000/quay", "quay.io", "plain", "http"] in [row[:5] for row in rows]
    assert ["bad.example.com", "bad.example.com", "blocked"] in [row[:3] for row in rows]


def test_routes_can_be_asked_for_a_part(context: taddons.context) -> None:
    assert [line.split()[0] for line in lines(context, "ns.routes trusted").splitlines()] == [
        "prefix",
        "trusted.example.com",
        "trusted.example.com",
    ]


def test_pulls_shows_pulls(context: taddons.context) -> None:
    header, row, *details = lines(context, "ns.pulls").splitlines()
    assert header.split()[:3] == ["begun", "image", "result"]
    assert row.split()[1:3] == ["quay.io/coreos/etcd:v1", "failed"]
    assert [line.strip() for line in details] == [
        "10.0.0.1 podman/4",
        digest(MANIFEST),
        "error: proxy.example.com:5000/quay: 404",
    ]
    assert {line.index(line.strip()) for line in details} == {row.index("quay.io/")}
    assert lines(context, "ns.pulls ~http").splitlines()[0] == header
    assert lines(context, "ns.pulls '~c 999'") == "no pulls"


def test_reload_reads_the_file_again(context: taddons.context) -> None:
    asked: list[bool] = []
    addon = context.master.addons.get("nsinject")
    addon.reload = lambda: asked.append(True)
    assert "event log" in context.master.commands.execute("ns.reload")
    assert asked == [True]


def test_every_command_has_a_help_text(context: taddons.context) -> None:
    for name in ("ns.explain", "ns.routes", "ns.pulls", "ns.reload"):
        assert context.master.commands.commands[name].help


# --- ns-inject pulls


def file_of(path: Path, flows: list[http.HTTPFlow]) -> Path:
    with path.open("wb") as stream:
        writer = FlowWriter(stream)
        for each in flows:
            writer.add(each)
    return path


def pulls(*arguments: str, standard_input: bytes = b"") -> Result:
    return CliRunner().invoke(main, ["pulls", *arguments], input=standard_input)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """As plain mitmproxy saves it."""
    return file_of(tmp_path / "flows", [tflow.tflow(resp=True), tflow.tdnsflow(), *a_pull()])  # type: ignore[list-item]


def test_a_file_that_plain_mitmproxy_saved_is_told_in_pulls(file: Path) -> None:
    result = pulls(str(file))
    assert result.exit_code == 0
    assert result.stdout.startswith("pull quay.io/coreos/etcd:v1: failed, ")
    assert result.stdout.count("\n") == 1


def test_json_has_one_object_for_each_pull(file: Path) -> None:
    (line,) = pulls("--json", str(file)).stdout.splitlines()
    found = json.loads(line)
    assert (found["image"], found["result"], found["errors"]) == ("quay.io/coreos/etcd:v1", "failed", ["404"])


def test_a_timeline_has_a_bar_for_each_request(file: Path) -> None:
    shown = pulls("--timeline", str(file)).stdout.splitlines()
    assert [line.split()[3] for line in shown if "|" in line] == ["manifest", "blob", "blob", "blob"]
    assert "until the answer begins" in shown[-1]


SELECTED = [
    (["--image", "etcd"], 0, 1),
    (["--image", "nginx"], 0, 0),
    (["--failed"], 1, 1),
    (["--failed", "--image", "nginx"], 0, 0),
]


@pytest.mark.parametrize(("arguments", "status", "number"), SELECTED)
def test_pulls_can_be_selected(file: Path, arguments: list[str], status: int, number: int) -> None:
    result = pulls(*arguments, str(file))
    assert (result.exit_code, result.stdout.count("pull ")) == (status, number)
    assert ("no pulls" in result.stderr) == (number == 0)


def test_standard_input_is_a_file_too(file: Path) -> None:
    command = "import sys; from oci_ns.cli.main import main; main()"
    with file.open("rb") as stream:
        done = subprocess.run(
            [sys.executable, "-c", command, "pulls", "-"], stdin=stream, capture_output=True, check=True
        )
    assert done.stdout.decode().startswith("pull quay.io/coreos/etcd:v1: failed")


UNREADABLE = [
    (b"x", "Invalid data format"),
    (b"", "no pulls"),
]


@pytest.mark.parametrize(("content", "reason"), UNREADABLE)
def test_a_file_that_is_none_is_told(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "flows"
    path.write_bytes(content)
    result = pulls(str(path))
    assert result.exit_code == (2 if content else 0)
    assert reason in result.stderr
    assert str(path) in result.stderr


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    result = pulls(str(tmp_path / "none"))
    assert result.exit_code == 2
    assert result.stderr.endswith("none: No such file or directory\n")


def test_a_file_that_ends_in_the_middle_of_a_flow_is_read_up_to_there(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])
    result = pulls(str(file))
    assert result.exit_code == 2
    assert result.stdout.startswith("pull quay.io/coreos/etcd:v1: partial")
    assert str(file) in result.stderr
