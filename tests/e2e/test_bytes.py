"""Blob bytes on their way: constant memory, and the first byte at once, in both directions."""

from __future__ import annotations

import hashlib
import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from lab.clients import Surroundings
from lab.fixtures import CurlFactory, MitmdumpFactory
from lab.mitmdump import Mitmdump
from lab.network import PROXY_NAME
from lab.nsproxy import NamespaceProxy, assert_namespaced
from lab.process import peak_rss_kib
from lab.registries import Registry

GIB = 2**30
GROWTH_MAX_KIB = 64 * 1024
CONFIG = Path(__file__).parents[2] / "config"
HALF = b"x" * 100_000
DIGEST = f"sha256:{'9f' * 32}"


def digest_of(proxy: Mitmdump, url: str) -> str:
    """Read what is at the URL, through the proxy, without keeping it."""
    client = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)
    client.request("GET", url)
    response = client.getresponse()
    hashed = hashlib.sha256()
    while chunk := response.read(1 << 20):
        hashed.update(chunk)
    return f"sha256:{hashed.hexdigest()}"


def test_a_blob_of_a_gibibyte_is_pushed_and_pulled_in_constant_memory(
    mitmdump_factory: MitmdumpFactory,
    curl_factory: CurlFactory,
    hub: Registry,
    nsproxy: NamespaceProxy,
    tmp_path: Path,
) -> None:
    mitmdump = mitmdump_factory(conf=CONFIG / "docker-mirror.conf", options={"ns_default": "docker.io"})
    curl = curl_factory(Surroundings(proxy=mitmdump.url))
    url = f"http://{PROXY_NAME}:5000/v2/library/big"
    blob = tmp_path / "blob"
    with blob.open("wb") as file:
        file.truncate(GIB)
    with blob.open("rb") as file:
        digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    # One small blob first, so that what is loaded once is not taken for growth.
    curl(f"{url}/blobs/{DIGEST}")
    idle = peak_rss_kib(mitmdump.pid)

    started = curl(f"{url}/blobs/uploads/", method="POST")
    assert started.status == 202
    upload = started.headers["location"]
    assert urlsplit(upload).hostname == PROXY_NAME
    options = ["--upload-file", str(blob)]
    pushed = curl(f"{upload}&digest={digest}", method="PUT", options=options, http2=False, timeout=120)
    assert (pushed.status, pushed.headers["docker-content-digest"]) == (201, digest)
    after_push = peak_rss_kib(mitmdump.pid)

    assert digest_of(mitmdump, f"{url}/blobs/{digest}") == digest
    after_pull = peak_rss_kib(mitmdump.pid)

    print(f"peak RSS in MiB: idle {idle // 1024}, after push {after_push // 1024}, after pull {after_pull // 1024}")
    assert after_push - idle < GROWTH_MAX_KIB
    assert after_pull - idle < GROWTH_MAX_KIB
    assert_namespaced(nsproxy.requests(), "docker.io")
    assert hub.get(f"/v2/library/big/blobs/{DIGEST}").status == 404


class HalfServer:
    """An endpoint that stops in the middle: it sends or takes half a body, and the rest when it is told to."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.release = threading.Event()
        self.received_half = threading.Event()
        self.request = b""
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        while not self.request:
            connection, _ = self.listener.accept()
            with connection:
                self.request = connection.recv(65536)
                # Who only looks whether somebody is there says nothing.
                if self.request:
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        while b"\r\n\r\n" not in self.request:
            self.request += connection.recv(65536)
        if self.request.startswith(b"GET"):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2 * len(HALF)) + HALF)
            self.release.wait(30)
            connection.sendall(HALF)
            return
        body = self.request.partition(b"\r\n\r\n")[2]
        while len(body) < len(HALF):
            body += connection.recv(65536)
        self.received_half.set()
        while len(body) < 2 * len(HALF):
            body += connection.recv(65536)
        connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")


@contextmanager
def half_server() -> Iterator[HalfServer]:
    server = HalfServer()
    server.thread.start()
    with server.listener:
        yield server
        server.release.set()
        server.thread.join(30)


@pytest.fixture
def halves(tmp_path: Path, mitmdump_factory: MitmdumpFactory) -> Iterator[tuple[HalfServer, Mitmdump]]:
    with half_server() as server:
        conf = tmp_path / "half.conf"
        location = f"127.0.0.1:{server.port}"
        conf.write_text(
            '[[registry]]\nprefix = "quay.io"\nlocation = "quay.io"\n[[registry.mirror]]\n'
            f'location = "{location}"\nplain-http = true\nnamespace-proxy = "quay.io"\n'
        )
        yield server, mitmdump_factory(conf=conf, modes=[f"reverse:http://{location}"])


def test_the_first_byte_of_a_blob_arrives_before_the_endpoint_has_sent_the_last(
    halves: tuple[HalfServer, Mitmdump],
) -> None:
    server, mitmdump = halves
    client = http.client.HTTPConnection("127.0.0.1", mitmdump.port, timeout=20)
    client.request("GET", f"/v2/a/blobs/{DIGEST}")
    response = client.getresponse()
    assert response.read(len(HALF)) == HALF
    assert not server.release.is_set()
    server.release.set()
    assert response.read() == HALF
    assert server.request.startswith(f"GET /v2/a/blobs/{DIGEST}?ns=quay.io HTTP/1.1\r\n".encode())


def test_the_first_byte_of_an_upload_leaves_before_the_client_has_sent_the_last(
    halves: tuple[HalfServer, Mitmdump],
) -> None:
    server, mitmdump = halves
    client = http.client.HTTPConnection("127.0.0.1", mitmdump.port, timeout=20)
    client.putrequest("PATCH", "/v2/a/blobs/uploads/1?_state=x%2F")
    client.putheader("Content-Length", str(2 * len(HALF)))
    client.endheaders(HALF)
    assert server.received_half.wait(20)
    client.send(HALF)
    assert client.getresponse().status == 202
    assert server.request.startswith(b"PATCH /v2/a/blobs/uploads/1?_state=x%2F&ns=quay.io HTTP/1.1\r\n")
