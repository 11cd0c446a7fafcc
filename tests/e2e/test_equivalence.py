"""An exported configuration does what the addon does: request by request, on the addon itself and on each engine.

What arrives at the endpoints is compared to the byte, as is which error is answered. What an engine refuses, and what
it cannot carry, are lists below: more than is there is a failure, and less is.
"""

from __future__ import annotations

import http.client
import importlib.util
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import exchanges
from equivalence import (
    DESTINATION,
    OK,
    Case,
    Refusals,
    compared,
    engine_for,
    generated_cases,
    ordinary_cases,
    outcome,
    rows,
)
from exchanges import EXCHANGES, Exchange, Result, carried_out, is_as_it_says
from lab.conversation import Conversation
from lab.engines import ENGINES
from lab.everywhere import Arrival, Everywhere, everywhere, read_body
from lab.measurements import noted
from lab.mitmdump import ADDON, Mitmdump
from lab.network import PrivateNetwork
from lab.outcomes import Asked, told
from lab.process import unavailable, wait_until
from lab.remote import SCRIPT, VARIABLE, Remote
from lab.wire import Talk
from oci_ns.distribution import Operation
from oci_ns.export.contract import Exported, Settings
from oci_ns.export.tabulation import Tabulation
from oci_ns.reference import split_host
from oci_ns.routes import RouteTable
from tests.unit.generated import DIGEST
from tests.unit.plain_rules import Options

_EVERYWHERE = {"a mount", "a port in the first component", "the default port of the other scheme"}
_SPELLINGS = {"a percent-escape in the path", "a percent-escape in the value of ns"}
REFUSED = {
    "nginx": Refusals(
        told=frozenset(
            {*_EVERYWHERE, *_SPELLINGS, "a registry in upper case in ns", "more than one ns", "an IPv6 address in Host"}
        )
    ),
    "haproxy": Refusals(
        told=frozenset({*_EVERYWHERE, *_SPELLINGS, "an IPv6 address in Host"}), bare=frozenset({"not ASCII"})
    ),
    "envoy": Refusals(told=frozenset({*_EVERYWHERE, "an ns that is not ASCII"}), bare=frozenset({"not ASCII"})),
}
"""What a request has that the engine answers with 400 instead."""
NOT_CARRIED = {
    "nginx": {"https at an IP address"},
    "haproxy": {"TLS at ::1"},
    "envoy": set[str](),
}
"""The rules that an export leaves out, or is refused for."""


@pytest.fixture(scope="module")
def servers(network: PrivateNetwork, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Everywhere]:
    with everywhere(network, tmp_path_factory.mktemp("everywhere")) as found:
        exchanges.prepare(found)
        yield found


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if importlib.util.find_spec(f"oci_ns.export.{name}.config") is None:
        unavailable(f"there is no export to {name}")
    return name


def test_every_request_goes_through_an_engine_as_the_table_says(
    engine: str, servers: Everywhere, tmp_path: Path
) -> None:
    report = compared(engine, [*rows(), *generated_cases(), *ordinary_cases()], tmp_path, servers, REFUSED[engine])
    noted(f"{engine}: {report}")
    assert not report.different, "\n".join(map(str, report.different[:3]))
    assert not report.unexplained, "\n".join(map(str, report.unexplained[:3]))
    assert set(report.refused) == REFUSED[engine].all
    assert set(report.left_out) == NOT_CARRIED[engine]


# -- the comparison itself ---------------------------------------------------------------------------------------------

BY_HAND = """
events {{ }}
http {{
  access_log off;
  resolver 127.0.0.1;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      set $to {to};
      proxy_pass http://$to{target};
      proxy_set_header Host {host};
      proxy_set_header Authorization "";
      proxy_set_header Proxy-Authorization "";
      proxy_set_header Cookie {cookie};
    }}
  }}
}}
"""
RIGHT = {"to": "p.test", "target": "$request_uri?ns=q.test", "host": "p.test", "cookie": '""'}


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"to": "other.test"},
        {"to": "p.test:81"},
        {"host": "q.test"},
        {"host": "p.test:81"},
        {"cookie": "$http_cookie"},
        {"target": "$request_uri"},
        {"target": "$uri?ns=q.test"},
        {"target": "$request_uri?ns=q.test&ns=q.test"},
    ],
    ids=str,
)
def test_what_an_engine_does_otherwise_is_found(
    wrong: dict[str, str], servers: Everywhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export(_: Tabulation, settings: Settings) -> Exported:
        return Exported({"nginx.conf": BY_HAND.format(port=settings.listen[0].port, **RIGHT | wrong)})

    monkeypatch.setitem(sys.modules, "oci_ns.export.nginx.config", SimpleNamespace(export=export))
    text = '[[registry]]\nprefix = "q.test"\nlocation = "p.test"\nplain-http = true\nnamespace-proxy = "q.test"\n'
    asked = tuple(Asked("GET", "http", "q.test", target) for target in ("/v2/a/manifests/1", "/v2/%61/manifests/1"))
    report = compared("nginx", [Case(text, Options(), "http", asked)], tmp_path, servers, Refusals())
    assert (report.equal == 2) is (wrong == {})
    assert report.equal + len(report.different) == 2


# -- the addon ---------------------------------------------------------------------------------------------------------


def test_the_rows_go_through_mitmdump_as_the_table_says(
    network: PrivateNetwork, servers: Everywhere, tmp_path: Path
) -> None:
    remote = network.short_directory("remote") / "socket"
    mitmdump = Mitmdump(
        tmp_path / "mitmdump",
        scripts=(ADDON, SCRIPT),
        trusted_ca=servers.authority.pem,
        env={VARIABLE: str(remote), "PYTHONPATH": str(ADDON.parent)},
    )
    with mitmdump:
        wait_until(remote.exists, "options can be set")
        for number, case in enumerate(rows()):
            conf = tmp_path / f"{number}.conf"
            conf.write_text(case.text)
            Remote(remote).set(
                ns_registries_conf=str(conf),
                ns_default=case.options.default,
                ns_client_namespace=case.options.client_namespace,
                ns_unresolved=case.options.unresolved,
            )
            servers.play = OK
            for asked in case.requests:
                assert_is_told(case.table, asked, servers, mitmdump.port)


def assert_is_told(table: RouteTable, asked: Asked, servers: Everywhere, port: int) -> None:
    host, at = split_host(asked.named)
    is_read = asked.scheme == "http" or table.index.may_rewrite(asked.scheme, host, at)
    # What a proxy knows nothing of goes to the host that the client names, and TLS is passed through unread.
    expected, decision = told(
        table if is_read else RouteTable(), replace(asked, destination=asked.named), is_read=is_read
    )
    below = is_read and (decision is None or decision.operation is not None)
    with Conversation(port, proxied=(asked.scheme, asked.named)) as client:
        found, answer = outcome(servers, client, asked, below=below)
    if decision is not None and decision.operation is Operation.BLOB:
        # Its endpoints are asked for the head, before the client's own request goes where it is.
        found = replace(found, sent=tuple(each for each in found.sent if each.method == asked.method))
    assert expected.first.is_like(found), (asked, answer)


# -- whole exchanges ---------------------------------------------------------------------------------------------------

_SEVERAL = {"a page and the one before", "two challenges"}
_NOBODY = {"nobody serves it", "nobody serves the blob"}
_TOKENS = {"a token for a repository that has another path there", "a token for several"}
_ELSEWHERE = {"an upload to another registry than the destination"}
OTHERWISE: dict[str, frozenset[str]] = {
    "nginx": frozenset({*_NOBODY, *_SEVERAL, *_TOKENS, *_ELSEWHERE}),
    "haproxy": frozenset({*_NOBODY, *_SEVERAL, *_TOKENS, *_ELSEWHERE}),
    "envoy": frozenset(_ELSEWHERE),
}
"""The exchanges that come out in another way."""
SILENCE_SECONDS = 4
"""How long an endpoint that is silent is waited for: longer than a busy machine keeps one waiting that is not."""
PATIENCE = {
    "ns_connect_timeout": str(SILENCE_SECONDS),
    "ns_response_timeout": str(SILENCE_SECONDS),
    "ns_remember": "0",
}


@pytest.fixture(scope="module")
def of_the_addon(servers: Everywhere, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """What comes of each exchange by the addon on mitmdump."""
    directory = tmp_path_factory.mktemp("addon")
    conf = directory / "registries.conf"
    conf.write_text(exchanges.CONF)
    mitmdump = Mitmdump(
        directory,
        conf=conf,
        modes=["regular", f"reverse:https://{exchanges.LISTENER}"],
        options={"keep_host_header": "true", **PATIENCE},
        trusted_ca=servers.authority.pem,
        env={"PYTHONPATH": str(ADDON.parent)},
    )

    def client(exchange: Exchange) -> Callable[[str], Conversation]:
        if exchange.listening:
            return lambda _: Conversation(mitmdump.ports[1])
        return lambda named: Conversation(mitmdump.ports[0], proxied=("https", named))

    with mitmdump:
        port = mitmdump.ports[1]
        return {each.name: carried_out(each, servers, client(each), port) for each in EXCHANGES}


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
def test_an_exchange_by_the_addon_is_as_it_should_be(exchange: Exchange, of_the_addon: dict[str, Result]) -> None:
    result = of_the_addon[exchange.name]
    assert is_as_it_says(exchange, result), result


@pytest.mark.parametrize("listening", [False, True])
def test_an_exchange_comes_out_as_by_the_addon(
    engine: str, listening: bool, servers: Everywhere, of_the_addon: dict[str, Result], tmp_path: Path
) -> None:
    asked = Asked("GET", "https", exchanges.SOURCE, "/", exchanges.LISTENER if listening else "")
    case = Case(exchanges.CONF, Options(), "https", (asked,))
    different = {}
    with engine_for(engine, case, tmp_path, servers, response_seconds=SILENCE_SECONDS) as (client, _):

        def converse(_: str) -> Conversation:
            return client

        for exchange in [each for each in EXCHANGES if each.listening is listening]:
            result = carried_out(exchange, servers, converse, client.port)
            if result != of_the_addon[exchange.name]:
                different[exchange.name] = (of_the_addon[exchange.name], result)
    other = {
        name
        for name in OTHERWISE[engine]
        if any(each.name == name and each.listening is listening for each in EXCHANGES)
    }
    assert different.keys() == other, "\n".join(f"{name}: {both}" for name, both in different.items())


# -- streaming ---------------------------------------------------------------------------------------------------------

HALF = b"x" * 100_000
LONG = 2
"""In seconds: longer than a pull is waited for."""


def test_the_first_byte_of_an_upload_leaves_before_the_client_has_sent_the_last(
    engine: str, servers: Everywhere, tmp_path: Path
) -> None:
    half, whole = threading.Event(), threading.Event()

    def play(arrival: Arrival, talk: Talk) -> None:
        assert len(talk.body(len(HALF))) == len(HALF)
        half.set()
        read_body(arrival, talk)
        whole.set()
        OK(arrival, talk)

    asked = Asked("PATCH", "http", "stream.test", "/v2/a/blobs/uploads/1")
    case = Case(PLAIN, Options(), "http", (asked,))
    servers.play = play
    with engine_for(engine, case, tmp_path, servers) as (client, _), client.connect() as connection:
        head = f"PATCH {asked.target} HTTP/1.1\r\nHost: {asked.named}\r\nContent-Length: {2 * len(HALF)}\r\n\r\n"
        connection.sendall(head.encode() + HALF)
        assert half.wait(20)
        assert not whole.is_set()
        connection.sendall(HALF)
        assert connection.recv(12) == b"HTTP/1.1 200"
    assert servers.arrivals[-1].body == 2 * HALF


def test_the_first_byte_of_a_blob_arrives_before_the_endpoint_has_sent_the_last(
    engine: str, servers: Everywhere, tmp_path: Path
) -> None:
    more = threading.Event()

    def play(_: Arrival, talk: Talk) -> None:
        talk.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2 * len(HALF)), HALF)
        assert more.wait(20)
        talk.say(HALF)

    asked = Asked("GET", "http", "stream.test", f"/v2/a/blobs/{DIGEST}")
    case = Case(PLAIN, Options(), "http", (asked,))
    servers.play = play
    with engine_for(engine, case, tmp_path, servers) as (client, _), client.connect() as connection:
        connection.sendall(asked.raw)
        with http.client.HTTPResponse(connection) as response:
            response.begin()
            assert response.read(len(HALF)) == HALF
            assert not more.is_set()
            more.set()
            assert response.read() == HALF
    assert (servers.arrivals[-1].host, servers.arrivals[-1].target) == ("first.test", f"{asked.target}?ns=stream.test")


@pytest.mark.parametrize("method", ["PATCH", "PUT", "DELETE"])
def test_what_is_no_pull_may_take_longer_than_an_answer_to_one(
    engine: str, method: str, servers: Everywhere, tmp_path: Path
) -> None:
    def play(arrival: Arrival, talk: Talk) -> None:
        time.sleep(2 * LONG)
        read_body(arrival, talk)
        time.sleep(LONG)
        OK(arrival, talk)

    asked = Asked(method, "http", "stream.test", "/v2/a/blobs/uploads/1")
    servers.play = play
    case = Case(PLAIN, Options(), "http", (asked,))
    with (
        engine_for(engine, case, tmp_path, servers, response_seconds=1) as (client, _),
        client.connect() as connection,
    ):
        # More than there is room for on the way.
        body = b"" if method == "DELETE" else HALF * 160
        head = f"{method} {asked.target} HTTP/1.1\r\nHost: {asked.named}\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body[: len(HALF)])
        time.sleep(LONG if body else 0)
        connection.sendall(body[len(HALF) :])
        assert connection.recv(12) == b"HTTP/1.1 200"
    assert servers.arrivals[-1].body == body


# -- what is never sent on ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("destination", ["", DESTINATION])
@pytest.mark.parametrize(
    "head",
    [
        "CONNECT stream.test:80 HTTP/1.1\r\nHost: stream.test:80",
        "CONNECT other.test:80 HTTP/1.1\r\nHost: other.test:80",
        "GET /v2/a/manifests/1 HTTP/1.1\r\nHost: stream.test\r\nHost: first.test",
        "GET /v2/a/manifests/1 HTTP/1.1\r\nHost: stream.test, first.test",
    ],
)
def test_what_two_servers_could_read_differently_is_refused(
    engine: str, head: str, destination: str, servers: Everywhere, tmp_path: Path
) -> None:
    case = Case(PLAIN, Options(), "http", (Asked("GET", "http", "stream.test", "/", destination),))
    servers.clear()
    servers.play = OK
    with engine_for(engine, case, tmp_path, servers) as (client, _):
        answer = client.ask(f"{head}\r\n\r\n".encode())
    assert (answer.status, servers.arrivals) == (400, [])


PLAIN = """
[[registry]]
prefix = "stream.test"
location = "stream.test"
[[registry.mirror]]
location = "first.test"
plain-http = true
namespace-proxy = "stream.test"
[[registry.mirror]]
location = "second.test"
plain-http = true
namespace-proxy = "stream.test"
"""
