"""What probes are answered, and what a service manager is told."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterable
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest

from oci_ns.probes import Probes, turns
from oci_ns.serving.service_manager import ServiceManager


def elsewhere(_: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
    start("418 I'm a Teapot", [])
    return [b"elsewhere"]


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/healthz", "200 OK", b"ok\n"),
        ("/readyz", "503 Service Unavailable", b"no\n"),
        ("/metrics", "418 I'm a Teapot", b"elsewhere"),
        ("/", "418 I'm a Teapot", b"elsewhere"),
    ],
)
def test_two_paths_are_answered_and_the_rest_is_left_to_who_is_there(path: str, status: str, body: bytes) -> None:
    begun: list[str] = []

    def start(status: str, *_: object) -> None:
        begun.append(status)

    application = Probes(alive=lambda: True, ready=lambda: False).beside(elsewhere)
    assert b"".join(application({"PATH_INFO": path}, start)) == body  # type: ignore[arg-type]
    assert begun == [status]


def test_a_loop_turns_until_something_keeps_it_or_it_is_closed() -> None:
    loop, stuck, go_on = asyncio.new_event_loop(), threading.Event(), threading.Event()

    def block() -> None:
        stuck.set()
        assert go_on.wait(60)

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    assert turns(loop, 60)
    loop.call_soon_threadsafe(block)
    assert stuck.wait(60)
    assert not turns(loop, 0.01)
    go_on.set()
    assert turns(loop, 60)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(60)
    loop.close()
    assert not turns(loop, 60)


@pytest.mark.parametrize("kind", ["file", "abstract"])
def test_a_service_manager_is_told_of_the_beginning_and_the_end(kind: str, tmp_path: Path) -> None:
    address = f"@{tmp_path.name}-{id(tmp_path)}" if kind == "abstract" else str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address.replace("@", "\0", 1))
        listener.settimeout(60)
        environment = {"NOTIFY_SOCKET": address, "HOME": "/"}
        manager = ServiceManager.of(environment)
        assert environment == {"HOME": "/"}
        manager.ready()
        manager.stopping()
        assert [listener.recv(100) for _ in range(2)] == [b"READY=1", b"STOPPING=1"]


@pytest.mark.parametrize("address", ["", "/nowhere/at/all"])
def test_without_a_service_manager_nobody_is_told(address: str) -> None:
    ServiceManager(address).ready()
