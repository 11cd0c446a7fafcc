"""What nobody should send, and configurations that do not load, against a real mitmdump."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lab.fixtures import MitmdumpFactory
from lab.mitmdump import ADDON, Mitmdump
from lab.network import PROXY_NAME, PrivateNetwork
from lab.nsproxy import NamespaceProxy
from lab.process import clean_env
from tests.unit.test_registries_conf import BROKEN

CONFIG = Path(__file__).parents[2] / "config"
GET = b"GET /v2/library/hello/tags/list%s HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n"


@pytest.fixture
def mirror(mitmdump_factory: MitmdumpFactory, nsproxy: NamespaceProxy) -> Mitmdump:
    assert nsproxy
    return mitmdump_factory(
        conf=CONFIG / "docker-mirror.conf",
        modes=[f"reverse:http://{PROXY_NAME}:5000"],
        options={"ns_default": "docker.io"},
    )


def send(port: int, data: bytes) -> bytes:
    """Send bytes as they are and return the answer, to the end of the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(data)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
        return answer


def status(answer: bytes) -> int | None:
    """The status of the answer; None where the connection was closed without one."""
    match = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    return int(match[1]) if match else None


CLOSE = b" HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n"
MALFORMED: dict[str, tuple[bytes, set[int | None]]] = {
    "no version": (b"GET /v2/\r\n\r\n", {400, None}),
    "no method": (b" /v2/ HTTP/1.1\r\nHost: proxy\r\n\r\n", {400, None}),
    "binary": (b"\x00\x01\x02\x03\xff\xfe\r\n\r\n", {400, None}),
    "no host": (b"GET /v2/ HTTP/1.1\r\nConnection: close\r\n\r\n", {200}),
    "a host that is none": (b"GET /v2/ HTTP/1.1\r\nHost: a b\xff/\r\nConnection: close\r\n\r\n", {200, 400}),
    "path of 60,000 bytes": (b"GET /v2/" + b"a/" * 30_000 + b"tags/list" + CLOSE, {404, 414, 400, 502}),
    "path not UTF-8": (b"GET /v2/\xff\xfe/tags/list" + CLOSE, {404}),
    "percent-encoded path not UTF-8": (b"GET /v2/%ff%fe/tags/list" + CLOSE, {404}),
    "name not in the grammar": (b"GET /v2/UPPER/tags/list" + CLOSE, {404}),
    "half an escape": (b"GET /v2/%/%2/tags/list" + CLOSE, {400, 404}),
    "dot segments": (b"GET /v2/a/../../x" + CLOSE, {404}),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_gets_a_sane_answer_and_the_next_one_is_served(
    name: str, mirror: Mitmdump, nsproxy: NamespaceProxy
) -> None:
    data, expected = MALFORMED[name]
    answer = send(mirror.port, data)
    assert status(answer) in expected, answer[:500]
    assert mirror.alive()
    nsproxy.mark()
    assert status(send(mirror.port, GET % b"")) == 200
    assert [request.target for request in nsproxy.requests()] == ["/v2/library/hello/tags/list?ns=docker.io"]
    assert "Traceback" not in mirror.log()


@pytest.mark.parametrize(
    ("sent", "arrived", "expected"),
    [
        (b"?ns=docker.io", "?ns=docker.io", 200),
        (b"?ns=", "?ns=docker.io", 200),
        (b"?ns", "?ns=docker.io", 200),
        (b"?ns=docker.io&ns=docker.io", "?ns=docker.io", 200),
        (b"?ns=elsewhere.net&ns=docker.io", "?ns=elsewhere.net", 404),
        (b"?n%73=docker.io", "?ns=docker.io", 200),
        (b"?ns=%0d%0aX-Evil:%201", "?ns=%0d%0aX-Evil:%201", 404),
        (b"?ns=\xff\xfe", "?ns=\udcff\udcfe", 404),
        (b"?ns=docker.io%00", "?ns=docker.io%00", 404),
        (b"?NS=docker.io", "?NS=docker.io&ns=docker.io", 200),
    ],
)
def test_an_ns_in_any_form_arrives_once_and_changes_nothing_else(
    sent: bytes, arrived: str, expected: int, mirror: Mitmdump, nsproxy: NamespaceProxy
) -> None:
    answer = send(mirror.port, GET % sent)
    assert status(answer) == expected
    assert mirror.alive()
    (request,) = nsproxy.requests()
    assert request.target == f"/v2/library/hello/tags/list{arrived}"


@pytest.mark.parametrize("text", list(BROKEN)[:6] + ["\xff"])
def test_a_configuration_that_does_not_load_ends_the_start_with_status_1_and_one_message(
    text: str, tmp_path: Path, network: PrivateNetwork
) -> None:
    assert network
    conf = tmp_path / "r.conf"
    conf.write_bytes(text.encode("latin-1"))
    message = BROKEN.get(text, "r.conf:1: is not UTF-8").replace("r.conf", str(conf))
    command = [str(Path(sys.executable).parent / "mitmdump"), "-s", str(ADDON), "--listen-port", "0"]
    options = ["--set", f"confdir={tmp_path}", "--set", f"ns_registries_conf={conf}"]
    ended = subprocess.run(
        [*command, *options], capture_output=True, text=True, timeout=60, env=clean_env(tmp_path), check=False
    )
    output = ended.stdout + ended.stderr
    assert ended.returncode == 1, output
    assert output.count(message) == 1
    assert "Traceback" not in output


def test_a_missing_configuration_ends_the_start_with_its_name(tmp_path: Path, network: PrivateNetwork) -> None:
    assert network
    command = [str(Path(sys.executable).parent / "mitmdump"), "-s", str(ADDON), "--listen-port", "0"]
    options = ["--set", f"confdir={tmp_path}", "--set", "ns_registries_conf=/does/not/exist.conf"]
    ended = subprocess.run(
        [*command, *options], capture_output=True, text=True, timeout=60, env=clean_env(tmp_path), check=False
    )
    assert ended.returncode == 1
    assert "/does/not/exist.conf: cannot be read: No such file or directory" in ended.stdout + ended.stderr
