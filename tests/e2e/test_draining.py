"""How `ns-inject serve` begins and ends as a service: what its manager and probes are told, and what is under way."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lab.certificates import CertificateAuthority
from lab.network import PrivateNetwork
from lab.process import free_port, listens, wait_until
from lab.registries import fetch
from lab.serve import Serve

BLOB = "/v2/coreos/etcd/blobs/sha256:" + "a" * 64
HALF = 100_000


class Held:
    """A registry that sends half of a blob, and the rest when it is let."""

    def __init__(self) -> None:
        self.half_sent = threading.Event()
        self.go_on = threading.Event()
        held = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(2 * HALF))
                self.end_headers()
                self.wfile.write(bytes(HALF))
                held.half_sent.set()
                assert held.go_on.wait(60)
                with contextlib.suppress(OSError):
                    self.wfile.write(bytes(HALF))

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def held(network: PrivateNetwork) -> Iterator[Held]:
    assert network
    held = Held()
    thread = threading.Thread(target=held.server.serve_forever)
    thread.start()
    yield held
    held.go_on.set()
    held.server.shutdown()
    held.server.server_close()
    thread.join()


def length_of(port: int) -> int:
    """How much of the blob comes."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", BLOB)
        try:
            return len(connection.getresponse().read())
        except http.client.IncompleteRead as error:
            return len(error.partial)


def told(listener: socket.socket) -> str:
    return listener.recv(100).decode()


class Service:
    """A service with a blob under way, and those who watch it."""

    def __init__(self, serve: Serve, probes: int, manager: socket.socket, blob: Future[int]) -> None:
        self.serve = serve
        self.blob = blob
        self.manager = manager
        self._probes = f"http://127.0.0.1:{probes}"

    def probe(self, path: str) -> int:
        return fetch(f"{self._probes}{path}").status

    def has_stopped_listening(self) -> bool:
        return not listens(self.serve.port)

    def has_ended(self) -> bool:
        return not self.serve.alive()


StartService = Callable[[int, int], Service]


@pytest.fixture
def start(tmp_path: Path, held: Held, lab_ca: CertificateAuthority) -> Iterator[StartService]:
    conf = tmp_path / "registries.conf"
    location = f"127.0.0.1:{held.server.server_port}"
    conf.write_text(f'[[registry]]\nlocation = "{location}"\nplain-http = true\nnamespace-proxy = "quay.io"\n')
    # The address of a socket is short.
    address = f"@ns-inject-{os.getpid()}-{id(conf)}"
    with contextlib.ExitStack() as stack:
        manager = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        manager.bind(f"\0{address[1:]}")
        manager.settimeout(60)
        pool = stack.enter_context(ThreadPoolExecutor())

        def start(workers: int, drain: int) -> Service:
            probes = free_port()
            serve = Serve(
                tmp_path,
                workers=workers,
                drain=drain,
                conf=conf,
                modes=[f"reverse:http://{location}"],
                options={"ns_metrics": f"127.0.0.1:{probes}"},
                trusted_ca=lab_ca.pem,
                env={"NOTIFY_SOCKET": address},
            )
            stack.enter_context(serve)
            assert told(manager) == "READY=1"
            blob = pool.submit(length_of, serve.port)
            assert held.half_sent.wait(60)
            return Service(serve, probes, manager, blob)

        yield start
        held.go_on.set()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_blob_under_way_is_served_to_its_end_and_nothing_new_is_taken(
    workers: int, start: StartService, held: Held
) -> None:
    service = start(workers, 60)
    assert [service.probe(path) for path in ("/healthz", "/readyz", "/metrics")] == [200, 200, 200]
    os.kill(service.serve.pid, signal.SIGTERM)
    assert told(service.manager) == "STOPPING=1"
    wait_until(service.has_stopped_listening, "it listens no more")
    assert [service.probe(path) for path in ("/healthz", "/readyz", "/metrics")] == [200, 503, 200]
    assert not service.blob.done()
    held.go_on.set()
    assert service.blob.result(60) == 2 * HALF
    wait_until(service.has_ended, "it ends")
    assert service.serve.status() == 0


@pytest.mark.parametrize(
    ("workers", "drain", "signals"),
    [
        (1, 0, [signal.SIGTERM]),
        (1, 1, [signal.SIGTERM]),
        (2, 60, [signal.SIGINT]),
        (1, 60, [signal.SIGTERM, signal.SIGTERM]),
        (2, 60, [signal.SIGTERM, signal.SIGINT]),
    ],
)
def test_what_takes_too_long_is_cut_off_and_so_is_all_when_it_is_to_end_at_once(
    workers: int, drain: int, signals: list[signal.Signals], start: StartService
) -> None:
    service = start(workers, drain)
    os.kill(service.serve.pid, signals[0])
    assert told(service.manager) == "STOPPING=1"
    for number in signals[1:]:
        wait_until(service.has_stopped_listening, "it listens no more")
        os.kill(service.serve.pid, number)
    assert service.blob.result(60) == HALF
    wait_until(service.has_ended, "it ends")
    assert service.serve.status() == 0


def test_nothing_under_way_is_nothing_to_wait_for(start: StartService, held: Held) -> None:
    service = start(1, 600)
    held.go_on.set()
    assert service.blob.result(60) == 2 * HALF
    os.kill(service.serve.pid, signal.SIGTERM)
    wait_until(service.has_ended, "it ends")
    assert "waiting for" not in service.serve.log()
