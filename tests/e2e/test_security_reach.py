"""Where a client can get by way of the proxy: to its own destination and to configured endpoints, and nowhere else.

Whoever else there is has a recorder that counts connections: a cloud's metadata address, this machine, another host.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.clients import Surroundings
from lab.fixtures import CurlFactory
from lab.http2 import tls
from lab.mitmdump import Mitmdump
from lab.network import ClientMachine, PrivateNetwork, redirect
from lab.process import wait_until
from lab.recorder import Recorder, recording, send, statuses
from lab.serve import Serve

SOURCE, MIRROR, SECOND = "source.example.net", "mirror.example.net", "second.example.net"
OTHER, METADATA, LOCAL = "other.example.net", "metadata.example.net", "local.example.net"
METADATA_ADDRESS, LOCAL_PORT = "169.254.169.254", 6379
BLOB = f"sha256:{'7c' * 32}"

EXPLICIT = f"""
[[registry]]
prefix = "{SOURCE}"
location = "{SOURCE}"
[[registry.mirror]]
location = "{MIRROR}"
plain-http = true
namespace-proxy = "{SOURCE}"
"""


def catch_all(*keys: str, mirror: str = "") -> str:
    lines = "\n".join(keys)
    return (
        f'{EXPLICIT}\n[[registry]]\nprefix = "*"\n{lines}\n[[registry.mirror]]\nlocation = "{MIRROR}"\n'
        f'plain-http = true\nnamespace-proxy = "*"\n{mirror}\n'
    )


CONFS = {
    "explicit": EXPLICIT,
    "every registry": catch_all(),
    "every registry, by digest": catch_all(mirror='pull-from-mirror = "digest-only"'),
    "every registry, insecure": catch_all("insecure = true", mirror='pull-from-mirror = "digest-only"'),
    "every registry, by http": catch_all("plain-http = true", mirror='pull-from-mirror = "digest-only"'),
}
STRANGERS = {
    "a host": OTHER,
    "a host with a port": f"{OTHER}:80",
    "in upper case": OTHER.upper(),
    "with a dot at the end": f"{OTHER}.",
    "a cloud's metadata": METADATA_ADDRESS,
    "this machine": f"localhost:{LOCAL_PORT}",
    "this machine by address": f"127.0.0.1:{LOCAL_PORT}",
    "this machine by a short address": f"127.1:{LOCAL_PORT}",
    "this machine by a number": f"2130706433:{LOCAL_PORT}",
    "this machine by IPv6": f"[::1]:{LOCAL_PORT}",
    "this machine by IPv6, mapped": f"[::ffff:127.0.0.1]:{LOCAL_PORT}",
    "in full-width letters": "\uff4f\uff54\uff48\uff45\uff52.example.net",
    "with a user": f"{MIRROR}@{OTHER}",
    "with a user and a password": f"{MIRROR}:80@{OTHER}",
    "behind a hash": f"{MIRROR}#@{OTHER}",
}
CORE = ("a host", "in upper case", "a cloud's metadata", "this machine")
"""The ways to write a stranger that matter to every configuration; where one has been reached by, all are tried."""
PULLS = ("manifests/latest", f"blobs/{BLOB}")


def request(target: str, *lines: str, method: str = "GET", host: str | None = MIRROR) -> bytes:
    named = [] if host is None else [f"Host: {host}"]
    return ("\r\n".join([f"{method} {target} HTTP/1.1", *named, *lines, "Connection: close"]) + "\r\n\r\n").encode()


def tricks(stranger: str) -> Iterator[bytes]:
    """Requests that name a stranger in every place that there is, but as the destination of the client."""
    for reference in PULLS:
        yield request(f"/v2/a/b/{reference}?ns={stranger}")
        yield request(f"/v2/a/b/{reference}?ns={stranger}&ns={SOURCE}")
        yield request(f"/v2/{stranger}/a/b/{reference}")
        yield request(f"/v2/{stranger}/a/b/{reference}?ns={stranger}")
        yield request(f"/v2/{SOURCE}/a/b/{reference}", host=stranger)
        yield request(f"/v2/a/b/{reference}", host=stranger)
        yield request(f"/v2/a/b/{reference}?ns={stranger}", host=stranger)
    for name in ("X-Forwarded-Host", "X-Forwarded-Server", "X-Host", "X-Original-URL", "X-Rewrite-URL", "Referer"):
        yield request("/v2/a/b/tags/list", f"{name}: {stranger}")
    yield request(
        "/v2/a/b/tags/list", f"X-Forwarded-For: {stranger}", "X-Forwarded-Proto: https", "X-Real-IP: 10.0.0.1"
    )
    yield request("/v2/a/b/tags/list", f"Forwarded: host={stranger};proto=https")
    yield request(f"//{stranger}/v2/a/b/tags/list")
    yield request(f"/v2/@{stranger}/tags/list")
    yield request(f"/v2/a/b/blobs/uploads/?mount={BLOB}&from={stranger}/a", method="POST")


def absolute(stranger: str) -> Iterator[bytes]:
    """What only a proxy is asked: here it is a listener that is, and its destination is fixed."""
    for scheme in ("http", "https"):
        for reference in ("tags/list", "manifests/latest"):
            yield request(f"{scheme}://{stranger}/v2/a/b/{reference}", host=stranger)
            yield request(f"{scheme}://{stranger}/v2/a/b/{reference}?ns={SOURCE}")
    yield request(f"http://{stranger}/", host=stranger)
    port = "" if stranger.rpartition(":")[2].isdigit() else ":80"
    yield request(f"{stranger}{port}", method="CONNECT", host=stranger)


@dataclass(frozen=True)
class World:
    """The endpoints, and those whom nobody may get to."""

    endpoints: dict[str, Recorder]
    strangers: dict[str, Recorder]

    def touched(self) -> set[str]:
        """Who of the strangers had a connection; it is forgotten."""
        found = {name for name, server in self.strangers.items() if server.connections}
        for server in (*self.endpoints.values(), *self.strangers.values()):
            server.clear()
        return found


@pytest.fixture(scope="module")
def world(network: PrivateNetwork) -> Iterator[World]:
    network.add_address(METADATA_ADDRESS)
    with contextlib.ExitStack() as stack:
        endpoints = {name: stack.enter_context(recording(network, name)) for name in (SOURCE, MIRROR, SECOND)}
        strangers = {
            OTHER: recording(network, OTHER),
            METADATA: recording(network, METADATA, address=METADATA_ADDRESS),
            LOCAL: recording(network, LOCAL, address="127.0.0.1", port=LOCAL_PORT),
        }
        yield World(endpoints, {name: stack.enter_context(each) for name, each in strangers.items()})


def start(
    directory: Path,
    program: type[Mitmdump],
    conf: str,
    modes: Sequence[str],
    options: Mapping[str, str] | None = None,
) -> Mitmdump:
    path = directory / "registries.conf"
    path.write_text(conf)
    timeouts = {"ns_connect_timeout": "1", "ns_response_timeout": "2", "ns_remember": "0"}
    return program(directory, conf=path, modes=modes, options={**timeouts, **(options or {})})


LISTENER, LISTENER_OF_TLS = f"reverse:http://{MIRROR}", f"reverse:https://{MIRROR}"
CASES = [
    *[(Mitmdump, name, "keep_host_header=true") for name in CONFS],
    (Mitmdump, "every registry, by digest", f"ns_default={SOURCE}"),
    (Serve, "every registry, by digest", "keep_host_header=true"),
]


@pytest.mark.parametrize(("program", "conf", "option"), CASES)
def test_a_client_reaches_its_destination_and_endpoints_whatever_else_it_names(
    program: type[Mitmdump], conf: str, option: str, world: World, tmp_path: Path
) -> None:
    options = dict([option.split("=")])
    with start(tmp_path, program, CONFS[conf], [LISTENER, LISTENER_OF_TLS, "regular"], options) as proxy:
        listener, of_tls, regular = proxy.ports
        # It is there, and works.
        assert statuses(send(listener, request(f"/v2/a/b/blobs/{BLOB}"))) == [200]
        assert world.endpoints[MIRROR].requests
        world.touched()
        for name in STRANGERS if (program, conf) == (Mitmdump, "every registry, by digest") else CORE:
            for data in tricks(STRANGERS[name]):
                send(listener, data)
                if name not in CORE:
                    continue
                send(regular, data.replace(b" /", f" http://{MIRROR}/".encode(), 1))
            # A listener's destination is fixed, even where it is asked as a proxy is.
            for data in absolute(STRANGERS[name]):
                send(listener, data)
            # Plain http, where that is declared, is no way out of TLS to where a client says that it is.
            for reference in PULLS if name in CORE else ():
                send(of_tls, request(f"/v2/a/b/{reference}", host=STRANGERS[name]))
            assert world.touched() == set(), name
        assert proxy.alive()
        assert "Traceback" not in proxy.log()


def test_in_transparent_mode_too(world: World, tmp_path: Path, curl_factory: CurlFactory) -> None:
    conf = CONFS["every registry, by http"]
    with start(tmp_path, Mitmdump, conf, ["transparent"]) as proxy, contextlib.ExitStack() as stack:
        machine = stack.enter_context(ClientMachine(tmp_path / "machine"))
        stack.enter_context(redirect(machine, proxy.port))
        curl = curl_factory(Surroundings(machine=machine))
        for name in ("a host", "a cloud's metadata", "this machine"):
            stranger = STRANGERS[name]
            for path in (f"a/b/manifests/latest?ns={stranger}", f"{stranger}/a/b/manifests/latest"):
                curl(f"http://{MIRROR}/v2/{path}")
            curl(f"http://{MIRROR}/v2/a/b/manifests/latest", headers={"Host": stranger})
            curl(f"http://{MIRROR}/v2/a/b/tags/list", headers={"X-Forwarded-Host": stranger})
            assert world.touched() == set(), name


def test_in_regular_mode_the_proxy_is_open_to_whoever_reaches_it(world: World, tmp_path: Path) -> None:
    # It is what a proxy is for, and what SECURITY.md says; `proxyauth`, `block_list` or a firewall close it.
    with start(tmp_path, Mitmdump, EXPLICIT, ["regular"]) as proxy:
        for authority in [f"{OTHER}:80", f"{METADATA_ADDRESS}:80", f"127.0.0.1:{LOCAL_PORT}"]:
            assert statuses(send(proxy.port, request(f"http://{authority}/", host=authority))) == [200]
            assert len(world.touched()) == 1


# -- one client and another --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", [Mitmdump, Serve], ids=["mitmdump", "serve"])
def test_what_a_client_calls_an_address_says_nothing_of_the_endpoint_of_that_name(
    program: type[Mitmdump], world: World, tmp_path: Path
) -> None:
    conf = f'{EXPLICIT}[[registry.mirror]]\nlocation = "{SECOND}"\nplain-http = true\nnamespace-proxy = "{SOURCE}"\n'
    with start(tmp_path, program, conf, ["regular"]) as proxy:
        world.touched()
        for _ in range(3):
            # Nobody is there, and the client calls it so.
            for host in (MIRROR, SOURCE):
                send(proxy.port, request("http://127.0.0.1:1/v2/a/b/manifests/latest", host=host))
                send(proxy.port, request(f"http://127.0.0.1:1/v2/a/b/manifests/latest?ns={SOURCE}", host=host))
        world.touched()
        answer = send(proxy.port, request(f"http://{SOURCE}/v2/a/c/manifests/latest", host=SOURCE))
        assert statuses(answer) == [200]
        assert len(world.endpoints[MIRROR].requests) == 1
        assert world.endpoints[SECOND].requests == []


@pytest.mark.parametrize("program", [Mitmdump, Serve], ids=["mitmdump", "serve"])
def test_a_request_that_cannot_be_sent_says_nothing_of_the_endpoint(
    program: type[Mitmdump], world: World, tmp_path: Path
) -> None:
    with start(tmp_path, program, EXPLICIT, ["regular"]) as proxy:
        for line in ("X: a\x00b", "X: a\rb", "X: a\r\n b", "Content-Length: 1, 1", "Content-Length: 4"):
            send(proxy.port, request(f"http://{SOURCE}/v2/a/b/tags/list", line, host=SOURCE) + b"body")
            send(proxy.port, request(f"http://{SOURCE}/v2/a/b/tags/list?x=\x01", host=SOURCE))
            send(proxy.port, request(f"http://{SOURCE}/v2/a/b/tags/list?x=\u00fc", host=SOURCE))
            world.touched()
            assert statuses(send(proxy.port, request(f"http://{SOURCE}/v2/a/c/tags/list", host=SOURCE))) == [200]
            assert len(world.endpoints[MIRROR].requests) == 1
        assert "Traceback" not in proxy.log()


# -- a closed world ----------------------------------------------------------------------------------------------------

CLOSED = {"ns_unresolved": "reject", "ns_client_namespace": "reject"}
LOCATED = f"""
[[registry]]
prefix = "{SOURCE}"
location = "{MIRROR}/mirrored"
plain-http = true
namespace-proxy = "{SOURCE}"

[[registry]]
prefix = "{SOURCE}/blocked"
location = "{SOURCE}/blocked"
blocked = true
"""
ROWS = [
    ("GET", "/v2/mirrored/a/tags/list", 200),
    ("HEAD", "/v2/mirrored/a/manifests/latest", 200),
    ("GET", f"/v2/{SOURCE}/a/manifests/latest", 200),
    ("GET", f"/v2/a/manifests/latest?ns={SOURCE}", 200),
    ("POST", f"/v2/{SOURCE}/a/blobs/uploads/", 200),
    ("GET", "/v2/a/manifests/latest", 404),
    ("GET", "/v2/", 404),
    ("GET", "/v2", 404),
    ("GET", "/v2/_catalog", 404),
    ("GET", "/%762/a/manifests/latest", 404),
    ("GET", "/v2%2Fa/manifests/latest", 404),
    ("GET", "/v2/%61/manifests/latest", 404),
    ("GET", f"/v2/{OTHER}/a/manifests/latest", 404),
    ("PUT", "/v2/a/manifests/latest", 404),
    ("DELETE", "/v2/a/manifests/latest", 404),
    ("PATCH", "/v2/a/blobs/uploads/1", 404),
    ("BREW", "/v2/a", 404),
    ("GET", f"/v2/a/manifests/latest?ns={OTHER}", 403),
    ("GET", f"/v2/mirrored/a/manifests/latest?ns={OTHER}", 403),
    ("GET", f"/v2/mirrored/a/manifests/latest?n%73={OTHER}", 403),
    ("GET", f"/v2/mirrored/a/manifests/latest?ns={OTHER}&ns={SOURCE}", 403),
    ("PUT", f"/v2/mirrored/a/manifests/latest?ns={OTHER}", 403),
    ("GET", f"/v2/{SOURCE}/blocked/manifests/latest", 403),
    ("GET", "//v2/a/manifests/latest", 404),
    ("GET", "/./v2/a/manifests/latest", 404),
    ("GET", "/x/../v2/a/manifests/latest", 404),
    ("GET", "/x/%2e%2e/v2/a/manifests/latest", 404),
    ("GET", "/\\v2/a/manifests/latest", 404),
    ("GET", "/v2/mirrored/../a/manifests/latest", 404),
    ("GET", f"/v2/{SOURCE}/a/../blocked/manifests/latest", 404),
    ("GET", f"/v2/{SOURCE}/a/%2e%2e/blocked/manifests/latest", 404),
    # What is not below /v2 is not the addon's, and goes where it was sent.
    ("GET", "/", 200),
    ("GET", "/token?scope=repository:a:pull", 200),
    ("GET", "/v1/search", 200),
    ("GET", "/v2x/a", 200),
]


@pytest.mark.parametrize("program", [Mitmdump, Serve], ids=["mitmdump", "serve"])
def test_in_a_closed_world_nothing_below_v2_goes_anywhere_that_is_not_resolved(
    program: type[Mitmdump], world: World, tmp_path: Path
) -> None:
    with start(tmp_path, program, LOCATED, [LISTENER, "regular"], CLOSED) as proxy:
        listener, regular = proxy.ports
        world.touched()
        for method, target, expected in ROWS:
            ways = {listener: target, regular: f"http://{MIRROR}{target}"}
            for port, line in ways.items():
                answer = send(port, request(line, method=method))
                assert statuses(answer) == [expected], (method, line, answer)
                asked = [each for server in world.endpoints.values() for each in server.requests]
                assert bool(asked) == (expected == 200), (method, line)
                if expected == 200 and target.startswith("/v2/"):
                    assert all(f"ns={SOURCE}".encode() in each.target for each in asked), (method, line)
                assert world.touched() == set()
            if expected != 200:
                with tls(regular, f"{MIRROR}:443", proxy.ca_pem, alpn=["http/1.1"]) as connection:
                    connection.sendall(request(target, method=method))
                    assert statuses(connection.recv(65536)) == [expected]
                assert world.touched() == set()
        answer = send(regular, request(f"http://{OTHER}/v2/a/manifests/latest", host=OTHER))
        assert statuses(answer) == [404]
        assert world.touched() == set()


WHOLE = request("/v2/a/manifests/latest")
PIECES = {
    "an empty line": [b"\r\n" + WHOLE],
    "an empty line by itself": [b"\r\n", WHOLE],
    "one letter by itself": [WHOLE[:1], WHOLE[1:]],
    "the method by itself": [WHOLE[:3], WHOLE[3:]],
    "half of the path by itself": [WHOLE[:10], WHOLE[10:]],
    "another method": [WHOLE.replace(b"GET", b"M-SEARCH", 1)],
    "a space": [b" " + WHOLE],
}


@pytest.mark.parametrize("program", [Mitmdump, Serve], ids=["mitmdump", "serve"])
def test_nor_does_what_does_not_look_like_http(program: type[Mitmdump], world: World, tmp_path: Path) -> None:
    with start(tmp_path, program, LOCATED, ["regular"], CLOSED) as proxy:

        def tunnel(authority: str) -> socket.socket:
            connection = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
            connection.sendall(request(authority, method="CONNECT"))
            assert statuses(connection.recv(65536)) == [200]
            return connection

        world.touched()
        for name, pieces in PIECES.items():
            with tunnel(f"{MIRROR}:80") as connection:
                for piece in pieces:
                    connection.sendall(piece)
                    time.sleep(0.1)
                connection.settimeout(0.5)
                with contextlib.suppress(TimeoutError):
                    assert set(statuses(connection.recv(65536))) <= {400, 404}, name
            assert [server.requests for server in world.endpoints.values()] == [[], [], []], name
        for authority, name in [(MIRROR, MIRROR), (MIRROR, OTHER), (OTHER, MIRROR)]:
            with tls(proxy.port, f"{authority}:443", proxy.ca_pem, sni=name, alpn=["http/1.1"]) as secure:
                secure.sendall(PIECES["another method"][0])
                assert statuses(secure.recv(65536)) == [404], (authority, name)
        # To others it goes as it is.
        with tunnel(f"{OTHER}:80") as connection:
            connection.sendall(PIECES["an empty line"][0])
            wait_until(lambda: bool(world.strangers[OTHER].connections), "it is passed on")
        world.touched()
