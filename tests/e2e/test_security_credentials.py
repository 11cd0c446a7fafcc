"""Which host sees which secret: a client's, and those that the addon has itself. Every server records what it gets."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.mitmdump import Mitmdump
from lab.network import PrivateNetwork
from lab.private_registries import write_authfile
from lab.recorder import Recorded, Recorder, Reply, ok, recording, send, statuses
from lab.serve import Serve

SOURCE, FIRST, SECOND = "source.example.net", "first.example.net", "second.example.net"
PRIVATE, TOKENS, CDN = "private.example.net", "tokens.example.net", "cdn.example.net"
BLOB = f"sha256:{'7c' * 32}"
SIGNED = f"http://{CDN}/data?X-Amz-Signature=signed"

BASIC = "Basic " + base64.b64encode(b"user:of-the-client").decode()
LOGINS = {"basic": BASIC, "bearer": "Bearer token-of-the-client"}
COOKIE, AT_PROXY = "session=cookie-of-the-client", "Basic bG9naW4tYXQ6dGhlLXByb3h5"
ROBOT_PASSWORD, ROBOT_TOKEN = "password-of-the-addon", "token-of-the-addon"
ROBOT = base64.b64encode(f"robot:{ROBOT_PASSWORD}".encode()).decode()
SECRETS = {
    "login": [*LOGINS.values()],
    "cookie": [COOKIE],
    "login at the proxy": [AT_PROXY],
    "password of the addon": [ROBOT, ROBOT_PASSWORD],
    "token of the addon": [ROBOT_TOKEN],
}

OWN = frozenset({"login", "cookie"})
NOTHING: frozenset[str] = frozenset()
STREAMED = 1024
"""In bytes: `stream_large_bodies`, from which on the head of a request leaves before all of its body is there."""

_numbers = itertools.count(1)


def says(request: Recorded) -> Reply:
    """What an endpoint answers: the part of the name after `keep` or `forward` tells."""
    if b"/fallback/" in request.target or b"/itself/" in request.target:
        return 404, {}, b"{}"
    if b"/cdn/" in request.target:
        return 307, {"Location": SIGNED}, b""
    return ok(request)


def says_to_who_has_logged_in(request: Recorded) -> Reply:
    if request.all("Authorization"):
        return says(request)
    return 401, {"WWW-Authenticate": f'Bearer realm="http://{TOKENS}/token",service="tests"'}, b"{}"


def gives_a_token(_: Recorded) -> Reply:
    return 200, {}, json.dumps({"token": ROBOT_TOKEN}).encode()


def registry(leave: str, way: str) -> str:
    endpoint = PRIVATE if way.startswith("central") else FIRST
    forward = f"forward-credentials = {str(leave == 'forward').lower()}"
    mirrors = [endpoint, SECOND] if way == "fallback" else [endpoint]
    name = f"{leave}/{way}"
    # The second has it under a name at which it does not answer 404.
    places = [name if mirror != SECOND else f"{leave}/behind" for mirror in mirrors]
    tables = [
        f'[[registry.mirror]]\nlocation = "{mirror}/{place}"\n{forward}\nplain-http = true\nnamespace-proxy = "x"\n'
        for mirror, place in zip(mirrors, places, strict=True)
    ]
    return f'[[registry]]\nprefix = "{SOURCE}/{leave}/{way}"\nlocation = "{SOURCE}/{leave}/{way}"\n{"".join(tables)}'


WAYS = ("rerouted", "fallback", "itself", "cdn", "central", "central/cdn")
CONF = "\n".join(registry(leave, way) for leave in ("keep", "forward") for way in WAYS)


@dataclass(frozen=True)
class World:
    """The servers by name, and the proxies before them."""

    servers: dict[str, Recorder]
    proxy: Mitmdump
    redirecting: Mitmdump

    def seen(self) -> dict[str, frozenset[str]]:
        """Whoever was asked anything, and which secrets it got to see."""
        return {
            name: frozenset(
                kind for kind, values in SECRETS.items() if any(value.encode() in server.raw for value in values)
            )
            for name, server in self.servers.items()
            if server.requests
        }


@pytest.fixture(scope="module", params=[Mitmdump, Serve], ids=["mitmdump", "serve"])
def world(
    request: pytest.FixtureRequest, network: PrivateNetwork, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    directory: Path = tmp_path_factory.mktemp("credentials")
    conf = directory / "registries.conf"
    conf.write_text(CONF)
    authfile = write_authfile(directory / "logins.json", PRIVATE, user="robot", password=ROBOT_PASSWORD)
    replies = {
        SOURCE: ok,
        FIRST: says,
        SECOND: says,
        PRIVATE: says_to_who_has_logged_in,
        TOKENS: gives_a_token,
        CDN: ok,
    }
    options = {"ns_authfile": str(authfile)}
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(recording(network, name, reply=reply)) for name, reply in replies.items()}
        proxy = stack.enter_context(request.param(directory, conf=conf, options=options))
        redirecting = stack.enter_context(
            request.param(directory, conf=conf, options={**options, "ns_blobs": "redirect"})
        )
        yield World(servers, proxy, redirecting)


def ask(world: World, proxy: Mitmdump, scheme: str, url: str) -> bytes:
    """Ask with every secret that a client can have."""
    for server in world.servers.values():
        server.clear()
    host = url.partition("://")[2].partition("/")[0]
    fields = {"Host": host, "Authorization": LOGINS[scheme], "Cookie": COOKIE, "Proxy-Authorization": AT_PROXY}
    lines = [f"GET {url} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "Connection: close"]
    return send(proxy.port, ("\r\n".join(lines) + "\r\n\r\n").encode())


@dataclass(frozen=True)
class Row:
    """Who is asked, and sees what, where the endpoint has no leave (`keep`) and where it has (`forward`)."""

    keep: dict[str, frozenset[str]]
    forward: dict[str, frozenset[str]]
    status: int = 200


ROBOT_ONLY = {TOKENS: frozenset({"password of the addon"}), PRIVATE: frozenset({"token of the addon"})}
TABLE = {
    "rerouted": Row({FIRST: NOTHING}, {FIRST: OWN}),
    "fallback": Row({FIRST: NOTHING, SECOND: NOTHING}, {FIRST: OWN, SECOND: OWN}),
    "itself": Row({FIRST: NOTHING, SOURCE: OWN}, {FIRST: OWN, SOURCE: OWN}),
    "cdn": Row({FIRST: NOTHING}, {FIRST: OWN}, 307),
    "central": Row(ROBOT_ONLY, {PRIVATE: OWN}),
    "central/cdn": Row(ROBOT_ONLY, {PRIVATE: OWN}, 307),
}


@pytest.mark.parametrize("scheme", LOGINS)
@pytest.mark.parametrize("reference", ["manifests/latest", f"blobs/{BLOB}"])
@pytest.mark.parametrize("leave", ["keep", "forward"])
@pytest.mark.parametrize("way", TABLE)
def test_a_secret_is_seen_by_those_whom_it_is_meant_for_and_nobody_else(
    way: str, leave: str, reference: str, scheme: str, world: World
) -> None:
    row = TABLE[way]
    # A name of its own: nothing is remembered of it.
    answer = ask(world, world.proxy, scheme, f"http://{SOURCE}/v2/{leave}/{way}/r{next(_numbers)}/{reference}")
    assert statuses(answer) == [row.status], answer
    expected = dict(row.keep if leave == "keep" else row.forward)
    seen = world.seen()
    # The addon's own token is asked for once for each repository, and the ping of an endpoint once for all.
    assert seen == expected
    if row.status == 307:
        assert SIGNED.encode() in answer
    for secret in (ROBOT, ROBOT_PASSWORD, ROBOT_TOKEN):
        assert secret.encode() not in answer


@pytest.mark.parametrize("scheme", LOGINS)
def test_who_addresses_an_endpoint_shows_its_login_to_that_and_nobody_else(scheme: str, world: World) -> None:
    answer = ask(world, world.proxy, scheme, f"http://{FIRST}/v2/keep/rerouted/x/manifests/latest")
    assert statuses(answer) == [200]
    assert world.seen() == {FIRST: OWN}


@pytest.mark.parametrize("scheme", LOGINS)
@pytest.mark.parametrize("leave", ["keep", "forward"])
def test_a_blob_that_a_client_is_sent_to_is_not_asked_for_with_its_login(leave: str, scheme: str, world: World) -> None:
    url = f"http://{SOURCE}/v2/{leave}/rerouted/r{next(_numbers)}/blobs/{BLOB}"
    answer = ask(world, world.redirecting, scheme, url)
    if leave == "keep":
        assert statuses(answer) == [307]
        assert f"http://{FIRST}/v2/keep/rerouted/".encode() in answer.lower()
        assert world.seen() in ({}, {FIRST: NOTHING})
    else:
        assert statuses(answer) == [200]
        assert world.seen() == {FIRST: OWN}
    for secret in (*LOGINS.values(), COOKIE, AT_PROXY):
        assert secret.encode() not in answer


@pytest.mark.parametrize("userinfo", ["user:of-the-client@", "token-of-the-client@", ":@"])
def test_a_login_in_a_url_goes_nowhere(userinfo: str, world: World) -> None:
    answer = ask(world, world.proxy, "basic", f"http://{userinfo}{SOURCE}/v2/keep/rerouted/x/manifests/latest")
    assert statuses(answer) == [400]
    assert world.seen() == {}


def test_a_login_at_the_proxy_ends_there_even_where_nothing_is_changed(world: World) -> None:
    answer = ask(world, world.proxy, "basic", f"http://{CDN}/v2/unknown/manifests/latest")
    assert statuses(answer) == [200]
    assert world.seen() == {CDN: OWN}


@pytest.mark.parametrize("body", [0, 2 * STREAMED])
def test_the_login_for_the_target_of_a_listener_does_not_go_to_another_endpoint(
    body: int, network: PrivateNetwork, tmp_path: Path
) -> None:
    conf = tmp_path / "registries.conf"
    conf.write_text(
        f'[[registry]]\nprefix = "{SOURCE}"\nlocation = "{SECOND}"\nplain-http = true\nnamespace-proxy = "{SOURCE}"\n'
        f'[[registry.mirror]]\nlocation = "{FIRST}"\nplain-http = true\nnamespace-proxy = "{SOURCE}"\n'
        'pull-from-mirror = "digest-only"\n'
    )
    login = "user:for-the-target"
    secret = base64.b64encode(login.encode())
    options = {"upstream_auth": login, "stream_large_bodies": str(STREAMED)}
    with contextlib.ExitStack() as stack:
        first, second = (stack.enter_context(recording(network, name)) for name in (FIRST, SECOND))
        proxy = stack.enter_context(Mitmdump(tmp_path, conf=conf, modes=[f"reverse:http://{FIRST}"], options=options))

        def get(reference: str) -> None:
            fields = f"Host: x\r\nConnection: close\r\nContent-Length: {body}"
            head = f"GET /v2/{SOURCE}/a/{reference} HTTP/1.1\r\n{fields}\r\n\r\n"
            assert statuses(send(proxy.port, head.encode() + bytes(body))) == [200]

        get("b/manifests/latest")
        assert (len(first.requests), len(second.requests)) == (0, 1)
        assert secret not in second.raw
        get(f"c/blobs/{BLOB}")
        assert secret in first.raw
        assert secret not in second.raw
