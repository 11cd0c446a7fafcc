"""Hostile bytes: whatever stands in a name, an `ns` or a header field, it changes nothing but itself.

A recorder has every byte that arrives upstream. What two servers may read differently is refused.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lab.http2 import exchange, tls
from lab.mitmdump import Mitmdump
from lab.network import PrivateNetwork
from lab.process import free_port
from lab.recorder import Recorded, Recorder, Reply, ok, recording, send, statuses
from lab.registries import fetch
from lab.serve import Serve

SOURCE, MIRROR, OTHER = "source.example.net", "mirror.example.net", "other.example.net"
SPEAKING = "speaking.example.net"
BLOB = f"sha256:{'7c' * 32}"
FORGED = "FORGED"
HOSTILE = {
    "cr lf": f"a\r\nX-{FORGED}: 1",
    "lf": f"a\n{FORGED} b",
    "cr": f"a\r{FORGED}",
    "nul": "a\x00b",
    "space": "a b",
    "tab": "a\tb",
    "ampersand": "a&x=1",
    "hash": "a#b",
    "question": "a?b",
    "slash": "a/../b",
    "percent": "a%41%0d%0a",
    "quotes": "a\"b'c",
    "backslash": "a\\b",
    "plus": "a+b",
    "equals": "a=b",
    "semicolon": "a;b",
    "not ascii": "b\u00fccher.example \u2028",
    "escape": "\x1b]0;title\x07\x1b[31mred",
    "at": "user@host",
    "url": f"http://{OTHER}/",
}
DOTTED = frozenset({"slash"})
"""Those with `..` in them: as a path they name something else than they seem to."""
ENDPOINT_WORDS = f"denied\n{FORGED} \x1b[31mred\r\n"


def says(request: Recorded) -> Reply:
    if request.all("Host") == [SPEAKING.encode()]:
        body = json.dumps({"errors": [{"code": "DENIED", "message": ENDPOINT_WORDS}]}).encode()
        return 403, {"Content-Type": "application/json", "OCI-Namespace": "\x1b[31mred"}, body
    return ok(request)


def tables() -> str:
    head = f'[[registry]]\nprefix = "{SOURCE}"\nlocation = "{SOURCE}"\n[[registry.mirror]]\nlocation = "{MIRROR}"\n'
    named = f'{head}plain-http = true\nnamespace-proxy = "{SOURCE}"\n'
    spoken = named.replace(SOURCE, "told.example.net").replace(MIRROR, SPEAKING)
    entries = [named, spoken]
    for number, value in enumerate(HOSTILE.values()):
        entries.append(
            f'[[registry]]\nprefix = "{SOURCE}/n{number}"\nlocation = "{SOURCE}/n{number}"\n'
            f'[[registry.mirror]]\nlocation = "{MIRROR}/n{number}"\nplain-http = true\n'
            # A string of JSON is one of TOML.
            f"namespace-proxy = {json.dumps(value)}\n"
        )
    return "\n".join(entries)


@dataclass(frozen=True)
class World:
    """A proxy that writes all it can, and the servers behind it."""

    proxy: Mitmdump
    servers: dict[str, Recorder]
    json_log: Path
    metrics: int

    def clear(self) -> None:
        for server in self.servers.values():
            server.clear()

    def ask(self, data: bytes) -> bytes:
        self.clear()
        return send(self.proxy.port, data)

    def arrived(self) -> list[Recorded]:
        return [request for server in self.servers.values() for request in server.requests]


@pytest.fixture(scope="module", params=[Mitmdump, Serve], ids=["mitmdump", "serve"])
def world(
    request: pytest.FixtureRequest, network: PrivateNetwork, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    directory: Path = tmp_path_factory.mktemp("bytes")
    conf = directory / "registries.conf"
    conf.write_text(tables())
    json_log, metrics = directory / "log.json", free_port()
    options = {
        "ns_log_json": str(json_log),
        "ns_metrics": f"127.0.0.1:{metrics}",
        "termlog_verbosity": "debug",
        "ns_remember": "0",
    }
    with contextlib.ExitStack() as stack:
        servers = {
            name: stack.enter_context(recording(network, name, reply=says))
            for name in (SOURCE, MIRROR, OTHER, SPEAKING)
        }
        proxy = stack.enter_context(request.param(directory, conf=conf, options=options))
        yield World(proxy, servers, json_log, metrics)


def get(url: str, *lines: str) -> bytes:
    host = url.partition("://")[2].partition("/")[0]
    head = [f"GET {url} HTTP/1.1", f"Host: {host}", *lines, "Connection: close"]
    return ("\r\n".join(head) + "\r\n\r\n").encode("utf-8", "surrogateescape")


REFERENCES = ["tags/list", f"blobs/{BLOB}"]
"""What the addon asks for itself, with the endpoints that come next in mind, and what it leaves to mitmproxy."""


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_namespace_is_one_parameter_whatever_stands_in_it(name: str, reference: str, world: World) -> None:
    number = list(HOSTILE).index(name)
    answer = world.ask(get(f"http://{SOURCE}/v2/n{number}/x/{reference}?a=%2b", "X-Mine: 1"))
    assert statuses(answer) == [200]
    target = f"/v2/n{number}/x/{reference}?a=%2b&ns={quote_plus(HOSTILE[name])}".encode()
    for request in world.arrived():
        assert request.target == target
        assert {key.lower() for key, _ in request.fields} == {b"host", b"x-mine", b"connection"}
        assert request.all("Host") == [MIRROR.encode()]
        assert request.raw.count(b"\r\n\r\n") == 1
    assert 1 <= len(world.servers[MIRROR].requests) == len(world.arrived()) <= 2


@pytest.mark.parametrize("host", [SOURCE, MIRROR, OTHER])
@pytest.mark.parametrize("name", HOSTILE)
def test_an_ns_of_a_client_arrives_as_it_was_sent_and_where_the_client_went(name: str, host: str, world: World) -> None:
    query = f"x=%2b&ns={quote_plus(HOSTILE[name])}&y=1"
    answer = world.ask(get(f"http://{host}/v2/a/b/tags/list?{query}"))
    assert statuses(answer) == [200]
    (request,) = world.arrived()
    assert (
        request.raw == f"GET /v2/a/b/tags/list?{query} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    )
    assert world.servers[host].requests == [request]


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_component_of_a_path_changes_nothing_else(name: str, reference: str, world: World) -> None:
    path = f"/v2/a/{quote(HOSTILE[name], safe='')}/{reference}"
    answer = world.ask(get(f"http://{SOURCE}{path}"))
    if name in DOTTED:
        assert (statuses(answer), world.arrived()) == ([404], [])
        return
    assert statuses(answer) == [200]
    (request,) = world.arrived()
    # It is no repository's name, so that this is no pull and stays where it was sent.
    assert request.raw == f"GET {path} HTTP/1.1\r\nHost: {SOURCE}\r\nConnection: close\r\n\r\n".encode()
    assert world.servers[SOURCE].requests == [request]


@pytest.mark.parametrize("place", ["path", "ns", "parameter"])
@pytest.mark.parametrize("name", HOSTILE)
def test_raw_bytes_in_a_target_are_refused_or_arrive_as_they_are(name: str, place: str, world: World) -> None:
    text = HOSTILE[name]
    target = {
        "path": f"/v2/a/{text}/tags/list",
        "ns": f"/v2/a/b/tags/list?ns={text}",
        "parameter": f"/v2/a/b/blobs/{BLOB}?x={text}",
    }[place]
    answer = world.ask(get(f"http://{SOURCE}{target}"))
    assert set(statuses(answer)) <= {200, 400, 404}, answer
    arrived = world.arrived()
    assert bool(arrived) == (200 in statuses(answer))
    for request in arrived:
        assert re.fullmatch(rb"[^\x00-\x20\x7f]+", request.target)
        sent = re.sub(r"[?&]ns=source\.example\.net$", "", request.target.decode())
        assert sent == target
        assert FORGED not in request.raw.decode().replace(target, "")
        assert len(request.all("Host")) == 1


@pytest.mark.parametrize("name", [*HOSTILE, "several", "comma"])
def test_a_host_that_is_none_leads_nowhere_but_where_the_client_went(name: str, world: World) -> None:
    host = HOSTILE.get(name, f"{OTHER}\r\nHost: {SOURCE}" if name == "several" else f"{OTHER}, {SOURCE}")
    data = f"GET http://{MIRROR}/v2/a/b/tags/list HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    answer = world.ask(data.encode())
    assert set(statuses(answer)) <= {200, 400}
    assert {each.name for each in world.servers.values() if each.requests} <= {MIRROR}
    for request in world.arrived():
        assert len(request.all("Host")) == 1
        assert not re.search(
            rb"[\x00-\x08\n-\x1f]", request.raw.replace(b"\r\n", b"").replace(b"\x1b", b"").replace(b"\x07", b"")
        )


# -- over HTTP/2 -------------------------------------------------------------------------------------------------------


def h2(
    world: World,
    *,
    method: str = "GET",
    path: str = "/v2/a/b/tags/list",
    authority: str = SOURCE,
    extra: Sequence[tuple[str, str]] = (),
) -> int | None:
    world.clear()
    fields = [(":method", method), (":scheme", "https"), (":authority", authority), (":path", path), *extra]
    with tls(world.proxy.port, f"{SOURCE}:443", world.proxy.ca_pem) as connection:
        status, _ = exchange(connection, [(name.encode(), value.encode()) for name, value in fields])
    return status


@pytest.mark.parametrize("place", ["path", "query", "field", "host", "authority", "encoded ns"])
@pytest.mark.parametrize("name", HOSTILE)
def test_over_http_2_too_bytes_are_refused_or_stay_where_they_are(name: str, place: str, world: World) -> None:
    text = HOSTILE[name]
    path = "/v2/a/b/tags/list"
    status = {
        "path": lambda: h2(world, path=f"/v2/a/{text}/tags/list"),
        "query": lambda: h2(world, path=f"{path}?x={text}"),
        "field": lambda: h2(world, extra=[("x-mine", text)]),
        "host": lambda: h2(world, extra=[("host", text)]),
        "authority": lambda: h2(world, authority=text),
        "encoded ns": lambda: h2(world, path=f"{path}?ns={quote_plus(text)}"),
    }[place]()
    # What stays with the source cannot be sent: it does not speak TLS.
    assert status in {200, 400, 404, 502, None}
    for request in world.arrived():
        assert request.all("Host") == [MIRROR.encode()]
        assert re.fullmatch(rb"[^\x00-\x20\x7f]+", request.target)
        assert {key for key, _ in request.fields} <= {b"Host", b"host", b"x-mine", b"Connection"}
        assert request.raw.count(b"HTTP/1.1\r\n") == 1
    if place in ("host", "authority"):
        assert world.arrived() == []


@pytest.mark.parametrize("path", [f"/v2/{SOURCE}/a/b/tags/list", "/token"])
@pytest.mark.parametrize(
    "method",
    [f"GET /v2/{FORGED} HTTP/1.1\r\nHost: {MIRROR}\r\n\r\nGET", f"GET /v2/{FORGED}?", "GET\t/x", "G\r\nET", ""],
)
def test_over_http_2_too_a_method_is_one_word(method: str, path: str, world: World) -> None:
    assert h2(world, method=method, path=path, authority=MIRROR) in {400, None}
    assert world.arrived() == []


def test_over_http_2_a_host_may_say_what_the_authority_says(world: World) -> None:
    assert h2(world, extra=[("host", SOURCE)]) == 200
    assert [request.all("Host") for request in world.arrived()] == [[MIRROR.encode()]]


# -- one request in another --------------------------------------------------------------------------------------------

UPLOAD = f"POST http://{SOURCE}/v2/a/b/blobs/uploads/ HTTP/1.1\r\nHost: {SOURCE}\r\n"
TAGS = f"GET http://{SOURCE}/v2/a/b/tags/list HTTP/1.1\r\nHost: {SOURCE}\r\n"
ELSEWHERE = f"GET http://{SOURCE}/token HTTP/1.1\r\nHost: {SOURCE}\r\n"
"""Below /v2 it is not, and still goes to a registry."""
SMUGGLED = f"GET http://{OTHER}/v2/{FORGED.lower()}/b/tags/list HTTP/1.1\r\nHost: {OTHER}\r\nConnection: close\r\n\r\n"
CHUNKED = f"0\r\n\r\n{SMUGGLED}"
IN_A_CHUNK = f"{len(SMUGGLED):x}\r\n{SMUGGLED}\r\n0\r\n\r\n"
REFUSED = {
    "CL.TE": f"{UPLOAD}Content-Length: {len(CHUNKED)}\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKED}",
    "TE.CL": f"{UPLOAD}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n{IN_A_CHUNK}",
    "TE.TE, two": f"{UPLOAD}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n{CHUNKED}",
    "TE.TE, unknown": f"{UPLOAD}Transfer-Encoding: xchunked\r\n\r\n{CHUNKED}",
    "TE.TE, list": f"{UPLOAD}Transfer-Encoding: chunked, identity\r\n\r\n{CHUNKED}",
    "TE.TE, twice chunked": f"{UPLOAD}Transfer-Encoding: chunked, chunked\r\n\r\n{CHUNKED}",
    "TE, quoted": f'{UPLOAD}Transfer-Encoding: "chunked"\r\n\r\n{CHUNKED}',
    "TE, folded": f"{UPLOAD}Transfer-Encoding:\r\n chunked\r\n\r\n{CHUNKED}",
    "TE, space before the colon": f"{UPLOAD}Transfer-Encoding : chunked\r\n\r\n{CHUNKED}",
    "TE, space before the name": f"{UPLOAD} Transfer-Encoding: chunked\r\n\r\n{CHUNKED}",
    "TE, name with a control character": f"{UPLOAD}Transfer-Encoding\x0b: chunked\r\n\r\n{CHUNKED}",
    "TE, by HTTP/1.0": f"{UPLOAD}Transfer-Encoding: chunked\r\n\r\n{CHUNKED}".replace("HTTP/1.1", "HTTP/1.0", 1),
    "two lengths": f"{UPLOAD}Content-Length: 0\r\nContent-Length: {len(SMUGGLED)}\r\n\r\n{SMUGGLED}",
    "two equal lengths": f"{UPLOAD}Content-Length: 0\r\nContent-Length: 0\r\n\r\n{SMUGGLED}",
    "a list of lengths": f"{UPLOAD}Content-Length: 0, 0\r\n\r\n{SMUGGLED}",
    "a length with a sign": f"{UPLOAD}Content-Length: +0\r\n\r\n{SMUGGLED}",
    "a length with zeros": f"{UPLOAD}Content-Length: 00\r\n\r\n{SMUGGLED}",
    "a length in hexadecimal": f"{UPLOAD}Content-Length: 0x0\r\n\r\n{SMUGGLED}",
    "a negative length": f"{UPLOAD}Content-Length: -1\r\n\r\n{SMUGGLED}",
    "two hosts": f"{TAGS}Host: {OTHER}\r\n\r\n{SMUGGLED}",
    "two equal hosts": f"{TAGS}Host: {SOURCE}\r\n\r\n{SMUGGLED}",
    "space before the colon": f"{TAGS}X-Mine : 1\r\n\r\n{SMUGGLED}",
    "a folded line": f"{TAGS}X-Mine: 1\r\n Host: {OTHER}\r\n\r\n{SMUGGLED}",
    "a bare CR": f"{TAGS}X-Mine: 1\rHost: {OTHER}\r\n\r\n{SMUGGLED}",
    "NUL": f"{TAGS}X-Mine: 1\x002\r\n\r\n{SMUGGLED}",
    "a vertical tab": f"{TAGS}X-Mine: 1\x0b2\r\n\r\n{SMUGGLED}",
    "two hosts, elsewhere": f"{ELSEWHERE}Host: {OTHER}\r\n\r\n{SMUGGLED}",
    "a folded line, elsewhere": f"{ELSEWHERE}X-Mine: 1\r\n Content-Length: {len(SMUGGLED)}\r\n\r\n{SMUGGLED}",
    "a bare CR, elsewhere": f"{ELSEWHERE}X-Mine: 1\rContent-Length: {len(SMUGGLED)}\r\n\r\n{SMUGGLED}",
    "a # in the path": f"{TAGS.replace('/tags/list', '/tags/list#/x')}\r\n{SMUGGLED}",
    "no colon": f"{TAGS}X-Mine\r\n\r\n{SMUGGLED}",
    "an empty name": f"{TAGS}: 1\r\n\r\n{SMUGGLED}",
    "a chunk's size with a sign": f"{UPLOAD}Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n{SMUGGLED}",
    "a chunk's extension with a bare LF": f"{UPLOAD}Transfer-Encoding: chunked\r\n\r\n1;x=\n\r\na\r\n{CHUNKED}",
    "a chunk that ends elsewhere": f"{UPLOAD}Transfer-Encoding: chunked\r\n\r\n1\r\naXX{CHUNKED}",
    "a chunk that is longer than its size": f"{UPLOAD}Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n{CHUNKED}",
}


@pytest.mark.parametrize("pair", REFUSED)
def test_a_request_that_could_be_read_in_two_ways_is_refused_and_the_connection_ends(pair: str, world: World) -> None:
    answer = world.ask(REFUSED[pair].encode("latin-1"))
    # Where the body has begun to be sent on, the connection just ends.
    assert statuses(answer) in ([400], [])
    assert all(each.raw.count(b"HTTP/1.") <= 1 for each in world.arrived())
    assert world.servers[OTHER].requests == []
    assert not any(FORGED.lower().encode() in each.raw for each in world.arrived())


UNDERSTOOD = {
    # What is sent on has one reading, and the second request is one that the client could have sent by itself.
    "a length of zero": f"{UPLOAD}Content-Length: 0\r\n\r\n{SMUGGLED}",
    "white space around the value": f"{UPLOAD}Transfer-Encoding: \x0bchunked\t\r\n\r\n{CHUNKED}",
    "upper case": f"{UPLOAD}TRANSFER-ENCODING: CHUNKED\r\n\r\n{CHUNKED}",
    "a chunk's extension": f"{UPLOAD}Transfer-Encoding: chunked\r\n\r\n0;x=y\r\n\r\n{SMUGGLED}",
    "bare LFs": f"{UPLOAD}Content-Length: 0\r\n\r\n".replace("\r\n", "\n") + SMUGGLED,
}


@pytest.mark.parametrize("pair", UNDERSTOOD)
def test_what_has_one_meaning_is_sent_on_with_that_meaning(pair: str, world: World) -> None:
    answer = world.ask(UNDERSTOOD[pair].encode("latin-1"))
    assert statuses(answer) == [200, 200]
    (upload,) = world.servers[SOURCE].requests
    assert upload.target == b"/v2/a/b/blobs/uploads/"
    assert FORGED.lower().encode() not in upload.raw
    assert len(upload.all("Transfer-Encoding") + upload.all("Content-Length")) == 1
    assert not re.search(rb"(?<!\r)\n|\x0b", upload.raw)
    assert [each.target for each in world.servers[OTHER].requests] == [b"/v2/forged/b/tags/list"]


@pytest.mark.parametrize("path", ["/v2/a/b/tags/list", f"/v2/a/b/blobs/{BLOB}", "/token"])
@pytest.mark.parametrize(
    "protocol", ["h2c", "H2C", "h2c, x/1", "x/1, h2c", "x/1\r\nUpgrade: websocket", "websocket, h2c"]
)
def test_no_client_gets_a_connection_of_another_protocol_to_an_endpoint(protocol: str, path: str, world: World) -> None:
    answer = world.ask(
        get(f"http://{SOURCE}{path}", f"Upgrade: {protocol}", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
    )
    assert statuses(answer) == [200]
    assert [request.all("Upgrade") for request in world.arrived() if request.method == b"GET"] == [[]]


def test_a_request_in_the_body_of_a_pull_is_no_request(world: World) -> None:
    body = SMUGGLED
    for reference in REFERENCES:
        head = TAGS.replace("tags/list", reference)
        answer = world.ask(f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        assert statuses(answer) == [200]
        assert world.servers[OTHER].requests == []
        for request in world.servers[MIRROR].requests:
            assert FORGED.lower().encode() not in request.target
            assert request.all("Content-Length") in ([], [str(len(body)).encode()])


@pytest.mark.parametrize(
    ("connect", "sni", "host", "arrives"),
    [
        (SOURCE, SOURCE, SOURCE, (MIRROR, "ns=source.example.net")),
        # The table knows the host that the request itself names, and that decides.
        (OTHER, SOURCE, SOURCE, (MIRROR, "ns=source.example.net")),
        (SOURCE, SOURCE, "told.example.net", (SPEAKING, "ns=told.example.net")),
        # It does not know this one: then it is what the connection leads to.
        (SOURCE, SOURCE, OTHER, (MIRROR, "ns=source.example.net")),
    ],
)
def test_the_host_that_decides_is_the_one_whose_ns_is_sent(
    connect: str, sni: str, host: str, arrives: tuple[str, str], world: World
) -> None:
    world.clear()
    with tls(world.proxy.port, f"{connect}:443", world.proxy.ca_pem, sni=sni, alpn=["http/1.1"]) as connection:
        head = f"GET /v2/a/b/blobs/{BLOB} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 ")
    server, namespace = arrives
    (request,) = [each for each in world.arrived() if each.method == b"GET"]
    assert world.servers[server].requests[-1] == request
    assert request.all("Host") == [server.encode()]
    assert request.target == f"/v2/a/b/blobs/{BLOB}?{namespace}".encode()


# -- what is written about it ------------------------------------------------------------------------------------------


def plain(text: str) -> str:
    """The text as it may stand in a header field."""
    return re.sub(r"[\r\n\0]", " ", text)


def test_neither_log_nor_metrics_can_be_forged_and_no_terminal_sees_an_escape(world: World) -> None:
    for text in HOSTILE.values():
        encoded = quote_plus(text)
        for url in (
            f"http://{SOURCE}/v2/a/{quote(text, safe='')}/tags/list",
            f"http://{MIRROR}/v2/a/b/manifests/latest?ns={encoded}",
            f"http://{SOURCE}/v2/a/b/manifests/latest?{encoded}=1",
        ):
            world.ask(get(url, f"User-Agent: {plain(text)}"))
    for method in ("tags/list", "manifests/latest"):
        answer = world.ask(get(f"http://told.example.net/v2/a/b/{method}", "User-Agent: \x1b[31mred"))
        assert statuses(answer) == [403]
    with_escape = get(f"http://{SOURCE}/v2/a/b/tags/list").replace(b"GET", b"\x1b[31mGET", 1)
    world.ask(with_escape)
    log = world.proxy.log()
    assert "told.example.net/a/b" in log
    assert "denied" in log
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", log)
    assert not re.search(rf"^\W*{FORGED}", log, re.MULTILINE)
    lines = world.json_log.read_text().split("\n")
    assert {json.loads(line)["event"] for line in lines if line} >= {"decision", "finding"}
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u2028]", world.json_log.read_text())
    scraped = fetch(f"http://127.0.0.1:{world.metrics}/metrics", {"Accept": "text/plain"}).body.decode()
    assert not re.search(rf"^\W*{FORGED}", scraped, re.MULTILINE)
    assert all(family.type != "unknown" for family in text_string_to_metric_families(scraped))
