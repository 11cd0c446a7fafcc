"""Uploads that do not go as planned, and clients that go away: both ends learn of it, and nothing is left behind."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pytest

from lab.asking import ask
from lab.http2 import cancel, tls
from lab.leaks import assert_nothing_is_kept, open_files
from lab.mitmdump import Mitmdump
from lab.network import PrivateNetwork
from lab.process import rss_kib, wait_until
from lab.serve import Serve
from lab.wire import (
    BLOB,
    DIGEST,
    HALF,
    MANIFEST,
    NAMESPACE,
    Play,
    Talk,
    Wire,
    answer,
    failing,
    head,
    healthy,
    length,
    wire,
)
from oci_ns.http1_heads import LINES_MAX

UPLOAD = "/v2/team/app/blobs/uploads/1"
TIMES = 25
FEW_TIMES = 3
HUGE = 1_000_000
STREAMED = 17_000_000
"""In bytes: more than `stream_large_bodies`."""
AHEAD_MB = 80
PATIENCE_SECONDS = 20
CONNECTIONS = 1000
REFUSED = {417: ["127.0.0.1: 417"]}
SILENT = {"ns_upstream_timeout": "60"}


@dataclass
class World:
    """A runner whose one registry is `server`, which does what the test says."""

    runner: Mitmdump
    server: Wire

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.runner.port), timeout=20)

    def told(self, mark: int) -> list[str]:
        log = self.runner.log()[mark:]
        usual = re.compile(r" -> http|server (dis)?connect |\] pull ")
        return [line for line in log.splitlines() if " 127.0.0.1: " in line and not usual.search(line)]

    def has_asked(self, times: int, mark: int) -> bool:
        return self.runner.log()[mark:].count(" -> http") >= times

    def goes_on(self) -> None:
        self.server.play = healthy
        served = ask(self.runner.port, f"http://quay.test/v2/team/app/blobs/{DIGEST}")
        assert (served.status, served.body) == (200, BLOB)
        assert "Traceback" not in self.runner.log()
        assert "crashed" not in self.runner.log()


@pytest.fixture(scope="module", params=["mitmdump", "serve"])
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, network: PrivateNetwork
) -> Iterator[World]:
    assert network
    directory = tmp_path_factory.mktemp("clients")
    conf = directory / "registries.conf"
    with wire(healthy) as server:
        conf.write_text(
            f'[[registry]]\nprefix = "quay.test"\nlocation = "{server.authority}"\n'
            f'plain-http = true\nnamespace-proxy = "{NAMESPACE}"\n'
            f'[[registry]]\nprefix = "two.test"\nlocation = "{server.authority}/second"\nplain-http = true\n'
            f'[[registry.mirror]]\nlocation = "{server.authority}/first"\nplain-http = true\n'
        )
        # An upload is addressed to the registry proxy itself.
        modes = [f"reverse:http://{server.authority}", "regular"]
        program: Callable[..., Mitmdump] = Mitmdump if request.param == "mitmdump" else Serve
        options = SILENT | ({"flow_detail": "0"} if request.param == "mitmdump" else {})
        with program(directory, conf=conf, modes=modes[::-1], options=options) as runner:
            yield World(runner, server)


def upload_head(authority: str, size: int, *fields: str) -> bytes:
    lines = [f"PATCH http://{authority}{UPLOAD} HTTP/1.1", f"Host: {authority}", f"Content-Length: {size}", *fields]
    return "\r\n".join([*lines, "", ""]).encode()


def read_all(connection: socket.socket) -> bytes:
    """All that comes, to the end of the connection, however that ends."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while more := connection.recv(65536):
            data += more
    return data


def statuses(data: bytes) -> list[int]:
    return [int(each) for each in re.findall(rb"HTTP/1\.1 (\d{3})", data)]


def takes(talk: Talk) -> None:
    """Say 100, take all, and have it."""
    talk.say(b"HTTP/1.1 100 Continue\r\n\r\n")
    ok = talk.body(len(BLOB)) == BLOB
    answer(talk, b"", status=b"202 Accepted" if ok else b"400 Bad Request")


def takes_silently(talk: Talk) -> None:
    ok = talk.body(len(BLOB)) == BLOB
    answer(talk, b"", status=b"202 Accepted" if ok else b"400 Bad Request")


def refuses(status: bytes) -> Play:
    """Answer at once, and have no use for the rest."""

    def play(talk: Talk) -> None:
        talk.say(head(status, b"Content-Length: 0", b"Connection: close"))
        # As servers do: data that nobody reads would be answered by RST, and the answer be lost.
        talk.connection.shutdown(socket.SHUT_WR)
        talk.body(len(BLOB))

    return play


def closes_in_the_middle(talk: Talk) -> None:
    talk.body(len(HALF))


def resets_in_the_middle(talk: Talk) -> None:
    talk.body(len(HALF))
    talk.reset()


@pytest.mark.parametrize("expects", [True, False], ids=["100-continue", "at once"])
@pytest.mark.parametrize(
    ("play", "status"),
    [
        (takes, 202),
        (takes_silently, 202),
        (refuses(b"417 Expectation Failed"), 417),
        (refuses(b"401 Unauthorized"), 401),
        (closes_in_the_middle, None),
        (resets_in_the_middle, None),
        (lambda _: None, None),
    ],
    ids=["taken", "taken silently", "417", "401", "closed in the middle", "reset in the middle", "closed at once"],
)
def test_a_client_that_uploads_learns_what_came_of_it(
    play: Play, status: int | None, expects: bool, world: World
) -> None:
    world.server.play = play
    mark = len(world.runner.log())
    with world.connect() as client:
        fields = ["Expect: 100-continue"] if expects else []
        client.sendall(upload_head(world.server.authority, len(BLOB), *fields, "Connection: close"))
        first = client.recv(65536) if expects else b""
        with contextlib.suppress(ConnectionError):
            client.sendall(HALF)
            client.sendall(BLOB[len(HALF) :])
        got = statuses(first + read_all(client))
    if expects:
        assert got.pop(0) == 100
    if status is not None:
        assert got == [status]
        assert [line.partition("refused: ")[2] for line in world.told(mark)] == REFUSED.get(status, [])
    else:
        assert got in ([502], [])
        (line,) = world.told(mark)
        assert "the connection is closed before the answer is complete" in line
    world.goes_on()
    wait_until(lambda: world.server.open == 0, "no connection to the endpoint is left")


def test_an_endpoint_learns_that_the_client_is_gone_in_the_middle_of_an_upload(world: World) -> None:
    received, ended = threading.Semaphore(0), threading.Semaphore(0)

    def play(talk: Talk) -> None:
        talk.body(len(HALF))
        received.release()
        assert talk.body(len(BLOB)) == HALF
        ended.release()

    world.server.play = play

    def leave() -> None:
        for _ in range(TIMES):
            with world.connect() as client:
                client.sendall(upload_head(world.server.authority, len(BLOB)) + HALF)
                assert received.acquire(timeout=20)
            assert ended.acquire(timeout=20)

    mark = len(world.runner.log())
    assert_nothing_is_kept(world.runner.pid, leave)
    world.goes_on()
    assert "failed: " not in world.runner.log()[mark:]


def test_an_endpoint_learns_that_the_client_is_gone_in_the_middle_of_a_blob(world: World) -> None:
    ended = threading.Semaphore(0)

    def play(talk: Talk) -> None:
        if talk.method == "HEAD":
            healthy(talk)
            return
        talk.say(head(b"200 OK", length(BLOB)), HALF)
        talk.stall()
        ended.release()

    world.server.play = play

    def leave() -> None:
        for _ in range(TIMES):
            with world.connect() as client:
                client.sendall(
                    f"GET http://quay.test/v2/team/app/blobs/{DIGEST} HTTP/1.1\r\nHost: quay.test\r\n\r\n".encode()
                )
                data = b""
                while len(data) < len(HALF):
                    data += client.recv(65536)
            assert ended.acquire(timeout=20)

    assert_nothing_is_kept(world.runner.pid, leave)
    world.goes_on()


def test_a_client_that_cancels_a_blob_says_nothing_of_the_endpoint(world: World) -> None:
    ended = threading.Semaphore(0)

    def play(talk: Talk) -> None:
        talk.say(head(b"200 OK", length(BLOB)), HALF)
        talk.stall()
        ended.release()

    world.server.play = failing(play, manifests=False)
    mark = len(world.runner.log())
    with tls(world.runner.port, "quay.test:443", world.runner.ca_pem) as connection:
        cancel(connection, "quay.test", f"/v2/team/app/blobs/{DIGEST}", len(HALF))
        assert ended.acquire(timeout=20)
    world.goes_on()
    assert not re.search(r"no endpoint|truncated|failed: |passed over", world.runner.log()[mark:])


def test_a_client_that_leaves_before_the_endpoint_is_connected_says_nothing_of_the_endpoint(world: World) -> None:
    target = f"http://quay.test/v2/team/app/blobs/{DIGEST}"
    world.goes_on()
    start = len(world.runner.log())
    for _ in range(FEW_TIMES):
        # Either mitmproxy is connecting, or the addon, which looks first where the endpoint has not been seen just now.
        with world.server.takes_no_connections(), world.connect() as client:
            client.sendall(f"GET {target} HTTP/1.1\r\nHost: quay.test\r\n\r\n".encode())
            wait_until(world.server.is_waited_for, "somebody is connecting")
        mark = len(world.runner.log())
        served = ask(world.runner.port, target)
        assert (served.status, served.body) == (200, BLOB)
        wait_until(partial(world.has_asked, 1, mark), "it is in the log")
    assert not re.search(r"no endpoint|truncated|failed: ", world.runner.log()[start:])


def test_a_connection_that_the_endpoint_closes_when_it_is_used_again_is_no_fault(world: World) -> None:
    seen: set[socket.socket] = set()

    def play(talk: Talk) -> None:
        if talk.connection not in seen:
            seen.add(talk.connection)
            healthy(talk)

    world.server.play = play
    mark = len(world.runner.log())
    client = http.client.HTTPConnection("127.0.0.1", world.runner.port, timeout=20)
    for what, content in [("manifests/v1", MANIFEST), (f"blobs/{DIGEST}", BLOB)] * 3:
        for _ in range(2):
            client.request("GET", f"http://quay.test/v2/team/app/{what}")
            response = client.getresponse()
            body = response.read()
            if response.status != 307:
                break
        assert (response.status, body) == (200, content)
    client.close()
    assert not world.told(mark)
    world.goes_on()


LINE = "GET http://quay.test/v2/ HTTP/1.1\r\nHost: quay.test\r\n"
TOO_LONG = {
    "a target": (LINE.replace("/v2/", f"/v2/{'%61' * HUGE}"), "is larger than 128 KiB"),
    "a field": (f"{LINE}X: {'x' * HUGE}", "is larger than 128 KiB"),
    "many fields": (LINE + "X: y\r\n" * HUGE, "(is larger than 128 KiB|has more than 2000 lines)"),
    "a field that is folded often": (
        f"{LINE}X: y\r\n" + " y\r\n" * HUGE,
        "(is larger than 128 KiB|has more than 2000 lines)",
    ),
    "empty lines": ("\n" * HUGE, "has more than 2000 lines"),
    "a field behind empty lines": ("\r\n" * 1000 + f"{LINE}X: {'x' * HUGE}", "is larger than 128 KiB"),
}


@pytest.mark.parametrize("what", TOO_LONG)
def test_a_head_without_end_is_refused_and_keeps_nobody_waiting(what: str, world: World) -> None:
    text, reason = TOO_LONG[what]
    data = text.encode()
    mark = len(world.runner.log())

    def insist() -> None:
        for _ in range(FEW_TIMES):
            with world.connect() as client:
                # It is not read to its end, so that the answer may be lost to the reset.
                with contextlib.suppress(ConnectionError):
                    client.sendall(data)
                assert statuses(read_all(client)) in ([431], [])

    begin = time.monotonic()
    assert_nothing_is_kept(world.runner.pid, insist)
    world.goes_on()
    assert time.monotonic() - begin < PATIENCE_SECONDS
    told = re.findall(f"the head of the request {reason}", world.runner.log()[mark:])
    assert len(told) == 2 * FEW_TIMES


NO_END = {
    "a chunk's size": ("PATCH", UPLOAD, "Transfer-Encoding: chunked", "1;" + "x" * HUGE),
    "trailers": ("PATCH", UPLOAD, "Transfer-Encoding: chunked", "0\r\n" + "X: y\r\n" * HUGE),
    "requests behind it": ("GET", "/v2/team/app/tags/list", "X: y", LINE * HUGE),
}


@pytest.mark.parametrize("what", NO_END)
def test_what_has_no_end_behind_the_head_of_a_request_does_not_fill_the_memory(what: str, world: World) -> None:
    method, path, field, rest = NO_END[what]
    world.server.play = Talk.stall
    authority = world.server.authority
    data = f"{method} http://{authority}{path} HTTP/1.1\r\nHost: {authority}\r\n{field}\r\n\r\n{rest}".encode()

    def insist() -> None:
        for _ in range(FEW_TIMES):
            with world.connect() as client:
                with contextlib.suppress(ConnectionError):
                    client.sendall(data)
                assert read_all(client) == b""

    assert_nothing_is_kept(world.runner.pid, insist)
    world.goes_on()


def chunked(size: int) -> bytes:
    return b"%x\r\n%s\r\n0\r\n\r\n" % (size, bytes(size))


REFUSED_TARGETS = {"below /v2": ("PATCH", f"{UPLOAD}#x"), "a pull": ("GET", "/v2/team/app/manifests/v1#x")}


@pytest.mark.parametrize("what", REFUSED_TARGETS)
@pytest.mark.parametrize("field", [f"Content-Length: {STREAMED}", "Transfer-Encoding: chunked"])
def test_what_is_refused_is_answered_however_much_comes_with_it(what: str, field: str, world: World) -> None:
    method, path = REFUSED_TARGETS[what]
    authority = world.server.authority
    head = f"{method} http://{authority}{path} HTTP/1.1\r\nHost: {authority}\r\n{field}\r\n\r\n"
    before = len(world.server.asked)
    with world.connect() as client:
        client.sendall(head.encode() + (chunked(STREAMED) if "chunked" in field else bytes(STREAMED)))
        assert statuses(read_all(client)) == [400]
    assert len(world.server.asked) == before
    world.goes_on()


@pytest.mark.parametrize("registry", ["quay.test", "two.test"])
@pytest.mark.parametrize("field", [f"Content-Length: {STREAMED}", "Transfer-Encoding: chunked"])
def test_a_pull_has_no_body_to_speak_of(field: str, registry: str, world: World) -> None:
    mark = len(world.runner.log())
    head = f"GET http://{registry}/v2/team/app/manifests/v1 HTTP/1.1\r\nHost: {registry}\r\n{field}\r\n\r\n"
    with world.connect() as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(head.encode() + (chunked(STREAMED) if "chunked" in field else bytes(STREAMED)))
        # Where it is not read to its end, the answer may be lost to the reset.
        assert statuses(read_all(client)) in ([413], [])
    assert "a pull with a body of more than 1024 KiB" in world.runner.log()[mark:]
    world.goes_on()


def test_a_body_that_comes_while_endpoints_are_asked_does_not_fill_the_memory(world: World) -> None:
    world.goes_on()
    world.server.play = Talk.stall
    fields = "Host: two.test\r\nTransfer-Encoding: chunked"
    head = f"GET http://two.test/v2/team/app/manifests/v2 HTTP/1.1\r\n{fields}\r\n\r\n"
    part = bytes(HUGE)
    with world.connect() as client:
        client.sendall(f"{head}{10**11:x}\r\n".encode())
        wait_until(lambda: "/v2/first/team/app/manifests/v2" in str(world.server.asked), "the first endpoint is asked")
        before = rss_kib(world.runner.pid)
        for _ in range(AHEAD_MB):
            client.sendall(part)
        assert rss_kib(world.runner.pid) - before < AHEAD_MB * 1024 // 4
    world.goes_on()


def test_all_that_comes_on_one_connection_is_not_one_head(world: World) -> None:
    authority = world.server.authority
    fields = "".join(f"X-{number}: y\r\n" for number in range(LINES_MAX // 10))
    asked = f"GET http://{authority}/v2/team/app/tags/list HTTP/1.1\r\nHost: {authority}\r\n{fields}\r\n".encode()
    world.server.play = lambda talk: answer(talk, b"{}\n", *[b"X: y"] * (LINES_MAX // 10))
    with world.connect() as client:
        for _ in range(25):
            client.sendall(asked)
            data = b""
            while b"{}\n" not in data:
                data += client.recv(65536)
            assert statuses(data) == [200]
    world.goes_on()


def test_a_thousand_idle_connections_disturb_nobody_and_leave_nothing(world: World) -> None:
    world.goes_on()
    before = open_files(world.runner.pid)
    memory: list[int] = []
    for _ in range(2):
        with contextlib.ExitStack() as idle:
            for _ in range(CONNECTIONS):
                idle.enter_context(world.connect())
            wait_until(lambda: open_files(world.runner.pid) >= CONNECTIONS, "all are accepted")
            for _ in range(10):
                world.goes_on()
        wait_until(lambda: open_files(world.runner.pid) <= before, "all files are closed")
        memory.append(rss_kib(world.runner.pid))
    assert memory[1] - memory[0] < 24 * 1024, memory
