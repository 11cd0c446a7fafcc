"""The Authorization for pulls, with endpoints, token services and a clock that the tests hold in their hands."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from oci_ns.conf_files import parse_text
from oci_ns.fetch import Answer, FetchError, Outgoing
from oci_ns.index import RouteIndex
from oci_ns.logins.authfile import Authfile, read_auth_document
from oci_ns.logins.login import Login, Secret
from oci_ns.logins.token_request import (
    AuthenticationError,
    TokenQuestion,
    get_request,
    narrowed,
    post_request,
    question_of,
    token_in,
)
from oci_ns.logins.tokens import FAILED, LEARNED, Authenticator
from oci_ns.pull_access import PullAccess, Site, access_of
from oci_ns.reference import canonical_registry
from oci_ns.routes import RouteTable
from tests.unit.test_distribution import SHA

PASSWORD = "pa55-w0rd"
IDENTITY = "1dentity-t0ken"
AUTHS = {
    "registry.example.com": {"username": "robot", "password": PASSWORD},
    "plain.example.com:5000": {"username": "robot", "password": PASSWORD},
    "acr.example.com": {"identitytoken": IDENTITY},
    "both.example.com": {"username": "robot", "password": PASSWORD, "identitytoken": IDENTITY},
    "teams.example.com/a": {"username": "a", "password": PASSWORD},
    "teams.example.com/b": {"username": "b", "password": PASSWORD},
}
BASIC = b"Basic " + base64.b64encode(f"robot:{PASSWORD}".encode())
REALM = "https://auth.example.com/token"
BEARER = f'Bearer realm="{REALM}",service="registry"'
NOW = 1_700_000_000.0


def authfile() -> Authfile:
    return Authfile([read_auth_document(Path("auth.json"), json.dumps({"auths": AUTHS}).encode())])


def answer(status: int, body: Any = None, *challenges: str) -> Answer:
    fields = tuple((b"WWW-Authenticate", challenge.encode()) for challenge in challenges)
    return Answer(status, f"says {PASSWORD}", fields, body if isinstance(body, bytes) else json.dumps(body).encode())


@dataclass
class World:
    """Endpoints that answer a ping with `ping`, and a token service that numbers its tokens."""

    ping: Answer | FetchError = field(default_factory=lambda: answer(401, None, BEARER))
    service: Answer | FetchError | None = None
    lifetime: float | None = 300
    now: float = NOW
    takes: float = 0.0
    asked: list[Outgoing] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    async def __call__(self, outgoing: Outgoing) -> Answer:
        self.asked.append(outgoing)
        # Long enough that whoever wants the same meanwhile is there, too.
        for _ in range(5):
            await asyncio.sleep(0)
        self.now += self.takes
        if outgoing.target.startswith("/v2/"):
            return _given(self.ping)
        if self.service is not None:
            return _given(self.service)
        return answer(200, {"token": f"token-{len(self.questions())}", "expires_in": self.lifetime})

    def questions(self) -> list[Outgoing]:
        """What the token service was asked."""
        return [each for each in self.asked if not each.target.startswith("/v2/")]

    def pings(self) -> list[Outgoing]:
        return [each for each in self.asked if each.target.startswith("/v2/")]

    def scopes(self) -> list[list[str]]:
        return [
            [value for name, value in parse_qsl(urlsplit(each.target).query) if name == "scope"]
            for each in self.questions()
        ]


def _given(behaviour: Answer | FetchError) -> Answer:
    if isinstance(behaviour, FetchError):
        raise behaviour
    return behaviour


def access(repository: str = "team/app", host: str = "registry.example.com", **site: Any) -> PullAccess:
    return PullAccess(Site(site.pop("scheme", "https"), host, site.pop("port", 443), **site), repository)


def run(world: World, act: Callable[[Authenticator], Awaitable[None]]) -> None:
    async def whole() -> None:
        if sys.version_info >= (3, 12):
            # As in mitmproxy.
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        await act(Authenticator(authfile(), world, world.clock))

    asyncio.run(whole())


async def reason_of(awaitable: Awaitable[bytes | None]) -> str:
    with pytest.raises(AuthenticationError) as caught:
        await awaitable
    text = str(caught.value)
    assert PASSWORD not in text
    assert IDENTITY not in text
    assert text.isprintable()
    return text


# -- which login, which challenge --------------------------------------------------------------------------------------


def test_an_endpoint_without_a_login_is_not_asked_anything() -> None:
    world = World()

    async def act(authenticator: Authenticator) -> None:
        assert not authenticator.has_login("ghcr.io", "team/app")
        assert await authenticator.authorization(access(host="ghcr.io")) is None
        assert await authenticator.answer(access(host="ghcr.io"), [BEARER], None) is None
        assert world.asked == []

    run(world, act)


@pytest.mark.parametrize(
    ("ping", "authorization"),
    [
        (answer(200), None),
        (answer(401, None, BEARER), b"Bearer token-1"),
        (answer(401, None, 'Basic realm="x"'), BASIC),
        (answer(401, None, 'Basic realm="x"', BEARER), b"Bearer token-1"),
        (answer(401, None, f'Basic realm="x", {BEARER}'), b"Bearer token-1"),
        (answer(401, None, "Negotiate"), None),
        (answer(401), None),
        (answer(404), None),
        (answer(503), None),
        (answer(301), None),
        (FetchError("no connection"), None),
    ],
)
def test_the_challenge_of_the_endpoint_is_answered(ping: Answer | FetchError, authorization: bytes | None) -> None:
    world = World(ping)

    async def act(authenticator: Authenticator) -> None:
        assert authenticator.has_login("registry.example.com", "team/app")
        assert await authenticator.authorization(access()) == authorization
        assert await authenticator.authorization(access()) == authorization

    run(world, act)
    assert [each.url for each in world.pings()] == ["https://registry.example.com/v2/"]
    assert all(name.lower() != b"authorization" for each in world.pings() for name, _ in each.fields)


def test_what_an_endpoint_wants_is_asked_again_after_a_while() -> None:
    world = World(answer(200))

    async def act(authenticator: Authenticator) -> None:
        for later in (0.0, LEARNED - 1, 1.0):
            world.now += later
            assert await authenticator.authorization(access()) is None

    run(world, act)
    assert len(world.pings()) == 2


def test_an_endpoint_that_did_not_answer_is_asked_again_soon() -> None:
    world = World(FetchError("no connection"))

    async def act(authenticator: Authenticator) -> None:
        for _ in range(3):
            assert await authenticator.authorization(access()) is None
        world.now += FAILED
        world.ping = answer(401, None, "Basic realm=x")
        assert await authenticator.authorization(access()) == BASIC

    run(world, act)
    assert len(world.pings()) == 2


def test_an_endpoint_is_asked_with_its_namespace() -> None:
    world = World(answer(200))
    site: dict[str, Any] = {"namespace": "quay.io:5000", "insecure": True}

    async def act(authenticator: Authenticator) -> None:
        await authenticator.authorization(access(**site))
        await authenticator.authorization(access(**site | {"namespace": "ghcr.io"}))

    run(world, act)
    assert [each.target for each in world.pings()] == ["/v2/?ns=quay.io%3A5000", "/v2/?ns=ghcr.io"]
    assert all(each.insecure for each in world.pings())


def test_the_login_of_a_namespace_is_used_below_it_and_for_pings() -> None:
    world = World(answer(401, None, "Basic realm=x"))

    async def act(authenticator: Authenticator) -> None:
        for repository, user in (("a/x", "a"), ("b/x", "b"), ("", "a")):
            got = await authenticator.authorization(access(repository, "teams.example.com"))
            assert got == b"Basic " + base64.b64encode(f"{user}:{PASSWORD}".encode())
        assert await authenticator.authorization(access("c/x", "teams.example.com")) is None

    run(world, act)


@pytest.mark.parametrize(
    ("scheme", "host", "port", "registry"),
    [
        ("https", "registry-1.docker.io", 443, "docker.io"),
        ("http", "A.example.com.", 80, "a.example.com"),
        ("http", "a.example.com", 5000, "a.example.com:5000"),
        ("http", "::1", 5000, "[::1]:5000"),
        ("https", "127.0.0.1", 5000, "127.0.0.1:5000"),
    ],
)
def test_an_endpoint_has_the_name_that_logins_are_written_for(scheme: str, host: str, port: int, registry: str) -> None:
    assert Site(scheme, host, port).registry == registry == canonical_registry(registry)


# -- tokens ------------------------------------------------------------------------------------------------------------


def test_a_token_is_asked_for_with_the_login_and_to_pull_only() -> None:
    world = World(answer(401, None, 'Bearer realm="https://auth.example.com/token?a=1&b",service="the registry"'))

    async def act(authenticator: Authenticator) -> None:
        await authenticator.authorization(access())

    run(world, act)
    (question,) = world.questions()
    assert (question.method, question.scheme, question.host, question.port) == ("GET", "https", "auth.example.com", 443)
    assert question.target == "/token?a=1&b&service=the+registry&scope=repository%3Ateam%2Fapp%3Apull"
    assert dict(question.fields)[b"Authorization"] == BASIC
    assert not question.insecure


def test_an_identity_token_is_posted() -> None:
    world = World()

    async def act(authenticator: Authenticator) -> None:
        assert await authenticator.authorization(access(host="acr.example.com")) == b"Bearer token-1"

    run(world, act)
    (question,) = world.questions()
    assert (question.method, question.target) == ("POST", "/token")
    assert dict(question.fields)[b"Content-Type"] == b"application/x-www-form-urlencoded"
    assert b"Authorization" not in dict(question.fields)
    assert dict(parse_qsl(question.body.decode())) == {
        "grant_type": "refresh_token",
        "service": "registry",
        "client_id": "ns-inject",
        "refresh_token": IDENTITY,
        "scope": "repository:team/app:pull",
    }


@pytest.mark.parametrize(
    ("status", "host", "methods"),
    [
        (404, "both.example.com", ["POST", "GET"]),
        (405, "both.example.com", ["POST", "GET"]),
        (401, "both.example.com", ["POST"]),
        (404, "acr.example.com", ["POST"]),
    ],
)
def test_a_service_without_oauth2_is_asked_with_the_password(status: int, host: str, methods: list[str]) -> None:
    world = World(service=answer(status))

    async def act(authenticator: Authenticator) -> None:
        await reason_of(authenticator.authorization(access(host=host)))

    run(world, act)
    assert [each.method for each in world.questions()] == methods


def test_an_identity_token_is_no_answer_to_a_basic_challenge() -> None:
    world = World(answer(401, None, "Basic realm=x"))

    async def act(authenticator: Authenticator) -> None:
        assert await authenticator.authorization(access(host="acr.example.com")) is None

    run(world, act)


def test_a_token_is_used_until_it_expires() -> None:
    world = World(lifetime=100)

    async def act(authenticator: Authenticator) -> None:
        for later, token in ((0.0, 1), (94.0, 1), (1.0, 2), (0.0, 2), (200.0, 3)):
            world.now += later
            assert await authenticator.authorization(access()) == f"Bearer token-{token}".encode()

    run(world, act)
    assert len(world.pings()) == 1


def test_each_repository_has_its_own_token() -> None:
    world = World()

    async def act(authenticator: Authenticator) -> None:
        for repository in ("a/x", "b/x", "a/x", ""):
            await authenticator.authorization(access(repository))
        await authenticator.authorization(PullAccess(access().site, "", catalog=True))

    run(world, act)
    assert world.scopes() == [["repository:a/x:pull"], ["repository:b/x:pull"], [], ["registry:catalog:*"]]


def test_callers_at_the_same_time_share_one_request() -> None:
    world = World()

    async def act(authenticator: Authenticator) -> None:
        got = await asyncio.gather(*(authenticator.authorization(access()) for _ in range(20)))
        assert got == [b"Bearer token-1"] * 20

    run(world, act)
    assert (len(world.pings()), len(world.questions())) == (1, 1)


def test_a_caller_that_goes_away_takes_nothing_from_the_others() -> None:
    world = World()

    async def act(authenticator: Authenticator) -> None:
        first = asyncio.ensure_future(authenticator.authorization(access()))
        others = [asyncio.ensure_future(authenticator.authorization(access())) for _ in range(3)]
        await asyncio.sleep(0)
        first.cancel()
        assert await asyncio.gather(*others) == [b"Bearer token-1"] * 3
        with pytest.raises(asyncio.CancelledError):
            await first

    run(world, act)
    assert (len(world.pings()), len(world.questions())) == (1, 1)


# -- failures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "reason"),
    [
        (answer(401, {"details": PASSWORD}), "refuses the login (401)"),
        (answer(403), "refuses the login (403)"),
        (answer(400), "refuses the login (400)"),
        (answer(500), "answers 500"),
        (answer(302), "answers 302; a redirect is not followed with a login"),
        (answer(200, b"not json " + PASSWORD.encode()), "does not answer with a JSON object"),
        (answer(200, b"\xff"), "does not answer with a JSON object"),
        (answer(200, b"[" * 100_000), "does not answer with a JSON object"),
        (answer(200, b'{"token": "' + b"x" * 2**21 + b'"}'), "does not answer with a JSON object"),
        (answer(200, ["token"]), "does not answer with a JSON object"),
        (answer(200, {}), "answers without a token"),
        (answer(200, {"token": ""}), "answers without a token"),
        (answer(200, {"token": 5}), "answers without a token"),
        (answer(200, {"token": "a\r\nX-Evil: 1"}), "answers with something that is not a token"),
        (answer(200, {"token": "a b"}), "answers with something that is not a token"),
        (answer(200, {"token": "é"}), "answers with something that is not a token"),
        (answer(200, {"token": "x" * 100_000}), "answers with something that is not a token"),
        (FetchError("no connection within 5 s"), "does not answer: no connection within 5 s"),
    ],
)
def test_why_there_is_no_token_is_said_and_remembered_for_a_while(service: Answer | FetchError, reason: str) -> None:
    world = World(service=service)

    async def act(authenticator: Authenticator) -> None:
        expected = f"the login for registry.example.com cannot be used: the token service auth.example.com {reason}"
        for _ in range(3):
            assert await reason_of(authenticator.authorization(access())) == expected
            assert await reason_of(authenticator.answer(access(), [BEARER], None)) == expected
        assert len(world.questions()) == 1
        world.now += FAILED
        world.service = None
        assert await authenticator.authorization(access()) == b"Bearer token-2"

    run(world, act)


def test_all_who_wait_hear_why_there_is_no_token() -> None:
    world = World(service=answer(401))

    async def act(authenticator: Authenticator) -> None:
        await asyncio.gather(*(reason_of(authenticator.authorization(access())) for _ in range(5)))

    run(world, act)
    assert len(world.questions()) == 1


@pytest.mark.parametrize(
    ("realm", "scheme", "reason"),
    [
        ("http://auth.example.com/token", "https", "the token service auth.example.com is not https"),
        ("HTTP://auth.example.com:8080/token", "https", "the token service auth.example.com:8080 is not https"),
        ("https://u:p@auth.example.com/t", "https", "the URL of the token service auth.example.com has a user name"),
        ("https://@auth.example.com/t", "https", "the URL of the token service auth.example.com has a user name"),
        ("ftp://auth.example.com/t", "http", "a token service that is not an http or https URL"),
        ("//auth.example.com/t", "https", "a token service that is not an http or https URL"),
        ("/token", "https", "a token service that is not an http or https URL"),
        ("https:///token", "https", "a token service that is not an http or https URL"),
        ("https://auth.example.com:x/token", "https", "a token service that is not an http or https URL"),
        ("https://auth.example.com:0/token", "https", "a token service that is not an http or https URL"),
        ("https://auth.example.com/to ken", "https", "a token service that is not an http or https URL"),
        ("https://auth.example.com/\r\nX: y", "https", "a token service that is not an http or https URL"),
        ("https://[::1/token", "https", "a token service that is not an http or https URL"),
        ("", "https", "the challenge names no token service"),
    ],
)
def test_a_login_goes_to_no_service_it_should_not_go_to(realm: str, scheme: str, reason: str) -> None:
    with pytest.raises(AuthenticationError) as caught:
        question_of({"realm": realm}, "", scheme)
    assert reason in str(caught.value)


def test_a_plain_realm_of_an_https_endpoint_is_never_asked() -> None:
    world = World(answer(401, None, 'Bearer realm="http://auth.example.com/token"'))

    async def act(authenticator: Authenticator) -> None:
        for _ in range(2):
            reason = await reason_of(authenticator.authorization(access()))
            assert reason.endswith("auth.example.com is not https, although the endpoint is")
            await reason_of(authenticator.answer(access(), ['Bearer realm="http://auth.example.com/token"'], None))

    run(world, act)
    assert world.questions() == []


@pytest.mark.parametrize(
    ("realm", "insecure", "unverified"),
    [
        ("https://registry.example.com/token", True, True),
        ("https://registry.example.com:8443/token", True, True),
        ("https://auth.example.com/token", True, False),
        ("https://registry.example.com/token", False, False),
    ],
)
def test_only_the_endpoint_itself_may_have_an_unverified_certificate(
    realm: str, insecure: bool, unverified: bool
) -> None:
    world = World(answer(401, None, f'Bearer realm="{realm}"'))

    async def act(authenticator: Authenticator) -> None:
        await authenticator.authorization(access(insecure=insecure))

    run(world, act)
    assert [each.insecure for each in world.questions()] == [unverified]


def test_an_http_endpoint_may_have_an_http_service() -> None:
    world = World(answer(401, None, 'Bearer realm="http://127.0.0.1:5001/auth/"'))

    async def act(authenticator: Authenticator) -> None:
        site: dict[str, Any] = {"host": "plain.example.com", "scheme": "http", "port": 5000}
        assert await authenticator.authorization(access(**site)) == b"Bearer token-1"

    run(world, act)
    assert [each.url.partition("?")[0] for each in world.questions()] == ["http://127.0.0.1:5001/auth/"]


# -- a 401 that comes nevertheless -------------------------------------------------------------------------------------


def test_a_401_without_a_credential_is_answered_and_learned_from() -> None:
    world = World(answer(200))

    async def act(authenticator: Authenticator) -> None:
        assert await authenticator.authorization(access()) is None
        assert await authenticator.answer(access(), [BEARER], None) == b"Bearer token-1"
        assert await authenticator.authorization(access()) == b"Bearer token-1"

    run(world, act)


def test_a_refused_password_is_not_sent_again() -> None:
    async def act(authenticator: Authenticator) -> None:
        assert await authenticator.answer(access(), ["Basic realm=x"], None) == BASIC
        assert await authenticator.answer(access(), ["Basic realm=x"], BASIC) is None
        assert await authenticator.answer(access(), ["Negotiate"], None) is None
        assert await authenticator.answer(access(), [], None) is None

    run(World(), act)


def test_a_refused_token_is_replaced_unless_it_is_new() -> None:
    world = World()

    async def act(authenticator: Authenticator) -> None:
        first = await authenticator.authorization(access())
        assert await authenticator.answer(access(), [BEARER], first) is None
        world.now += FAILED
        # Ten requests were under way with it.
        got = await asyncio.gather(*(authenticator.answer(access(), [BEARER], first) for _ in range(10)))
        assert got == [b"Bearer token-2"] * 10
        assert await authenticator.answer(access(), [BEARER], first) == b"Bearer token-2"
        assert await authenticator.authorization(access()) == b"Bearer token-2"

    run(world, act)
    assert len(world.questions()) == 2


def test_an_endpoint_may_name_another_realm_and_another_scope() -> None:
    world = World()
    other = 'Bearer realm="https://new.example.com/t",service="s",scope="repository:cache/team/app:pull,push"'

    async def act(authenticator: Authenticator) -> None:
        first = await authenticator.authorization(access())
        assert await authenticator.answer(access(), [other], first) == b"Bearer token-2"
        assert await authenticator.authorization(access()) == b"Bearer token-2"

    run(world, act)
    assert [each.host for each in world.questions()] == ["auth.example.com", "new.example.com"]
    assert world.scopes() == [["repository:team/app:pull"], ["repository:cache/team/app:pull"]]


@pytest.mark.parametrize(
    ("scope", "catalog", "asked"),
    [
        ("repository:a/b:pull", False, "repository:a/b:pull"),
        ("repository:a/b:pull,push", False, "repository:a/b:pull"),
        ("repository:a/b:push,delete", False, ""),
        ("repository:a/b:*", False, ""),
        ("repository:host:5000/a/b:push,pull", False, "repository:host:5000/a/b:pull"),
        ("repository(plugin):a/b:pull", False, "repository(plugin):a/b:pull"),
        ("repository:a:pull repository:b:pull,push", False, "repository:a:pull repository:b:pull"),
        ("registry:catalog:*", False, ""),
        ("registry:catalog:*", True, "registry:catalog:*"),
        ("registry:admin:pull", True, ""),
        ("repository::pull", False, ""),
        ("nonsense", False, ""),
        ("", False, ""),
    ],
)
def test_a_scope_is_never_more_than_to_pull(scope: str, catalog: bool, asked: str) -> None:
    assert narrowed(scope, catalog=catalog) == asked


# -- requests and answers of the token service -------------------------------------------------------------------------

QUESTION = TokenQuestion(REALM, "registry", "repository:a:pull repository:b:pull")


def test_a_query_has_a_scope_for_each_part_and_a_form_has_one() -> None:
    login = Login("x", Secret("u"), Secret("p"), Secret("t&="))
    query = urlsplit(get_request(QUESTION, login, insecure=False).target).query
    assert query == "service=registry&scope=repository%3Aa%3Apull&scope=repository%3Ab%3Apull"
    form = post_request(QUESTION, login, insecure=False).body
    assert form.endswith(b"&refresh_token=t%26%3D&scope=repository%3Aa%3Apull+repository%3Ab%3Apull")


def test_the_request_does_not_show_what_it_carries_when_it_is_told() -> None:
    login = Login("x", Secret("u"), Secret(PASSWORD), Secret(IDENTITY))
    for request in (get_request(QUESTION, login, insecure=False), post_request(QUESTION, login, insecure=False)):
        assert PASSWORD not in request.url
        assert IDENTITY not in request.url


def rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize(
    ("document", "lasts"),
    [
        ({"expires_in": 300}, 295),
        ({"expires_in": 10}, 9),
        ({"expires_in": 1}, 0.9),
        ({"expires_in": 10.5}, 9.45),
        ({}, 55),
        ({"expires_in": None}, 55),
        ({"expires_in": 0}, 55),
        ({"expires_in": -5}, 55),
        ({"expires_in": "300"}, 55),
        ({"expires_in": True}, 55),
        ({"expires_in": float("nan")}, 55),
        ({"expires_in": 10**400}, 86395),
        ({"expires_in": 300, "issued_at": rfc3339(NOW - 100)}, 195),
        ({"expires_in": 300, "issued_at": rfc3339(NOW + 100)}, 295),
        ({"expires_in": 300, "issued_at": rfc3339(NOW - 1000)}, 295),
        ({"expires_in": 300, "issued_at": "0001-01-01T00:00:00+14:00"}, 295),
        ({"expires_in": 300, "issued_at": "yesterday"}, 295),
        ({"expires_in": 300, "issued_at": 5}, 295),
    ],
)
def test_how_long_a_token_lasts(document: Mapping[str, Any], lasts: float) -> None:
    token = token_in(answer(200, {"access_token": "t", **document}), QUESTION, NOW, NOW + 3)
    assert token.expires - NOW == pytest.approx(lasts)
    assert token.received == NOW + 3
    assert token.authorization() == b"Bearer t"
    assert "'t'" not in repr(token)


# -- what a decision needs access to -----------------------------------------------------------------------------------

CONF = """
[[registry]]
prefix = "quay.io"
location = "quay.io"
[[registry.mirror]]
location = "registry.example.com:5000/mirror"
namespace-proxy = "quay.io"
plain-http = true
insecure = true

[[registry]]
prefix = "blocked.io"
location = "blocked.io"
blocked = true

[[registry]]
location = "direct.io"
namespace-proxy = "direct.io"

[[registry]]
location = "plain.io"
namespace-proxy = "plain.io"
plain-http = true

[[registry]]
location = "lax.io"
namespace-proxy = "lax.io"
insecure = true
"""


def table() -> RouteTable:
    return RouteTable(RouteIndex(parse_text(Path("registries.conf"), CONF.encode()).registries.values()))


SITE = Site("http", "registry.example.com", 5000, "quay.io", insecure=True)


@pytest.mark.parametrize(
    ("method", "url", "expected"),
    [
        ("GET", "/v2/", PullAccess(SITE, "")),
        ("GET", "/v2/_catalog?n=1", PullAccess(SITE, "", catalog=True)),
        ("GET", "/v2/a/b/manifests/1", PullAccess(SITE, "mirror/a/b")),
        ("HEAD", "/v2/a%2Fb/manifests/1?x=y", PullAccess(SITE, "mirror/a/b")),
        ("GET", f"/v2/a/b/blobs/{SHA}", PullAccess(SITE, "mirror/a/b")),
        ("GET", f"/v2/a/b/referrers/{SHA}", PullAccess(SITE, "mirror/a/b")),
        ("GET", "/v2/a/b/tags/list", PullAccess(SITE, "mirror/a/b")),
        ("PUT", "/v2/a/b/manifests/1", None),
        ("DELETE", "/v2/a/b/manifests/1", None),
        ("POST", "/v2/a/b/blobs/uploads/", None),
        ("GET", "/v2/a/b/blobs/uploads/1", None),
        ("GET", "/v2/token", None),
        ("GET", "/token", None),
    ],
)
def test_only_pulls_get_access(method: str, url: str, expected: PullAccess | None) -> None:
    assert access_of(table().decide(method, "https", "quay.io", 443, url), method, None) == expected


def test_what_is_blocked_gets_no_access() -> None:
    decision = table().decide("GET", "https", "blocked.io", 443, "/v2/a/manifests/1")
    assert decision.error is not None
    assert access_of(decision, "GET", None) is None


@pytest.mark.parametrize(
    ("scheme", "host", "port", "connect_to", "granted"),
    [
        ("https", "direct.io", 443, None, True),
        ("https", "direct.io", 443, ("direct.io", 443), True),
        ("https", "direct.io", 443, ("evil.example.com", 443), False),
        ("https", "direct.io", 443, ("198.51.100.66", 443), False),
        ("https", "direct.io", 443, ("direct.io", 8443), False),
        ("http", "direct.io", 80, ("direct.io", 80), False),
        ("http", "plain.io", 80, ("plain.io", 80), True),
        ("http", "lax.io", 80, ("lax.io", 80), True),
        ("http", "lax.io", 80, ("198.51.100.66", 80), False),
    ],
)
def test_a_login_goes_nowhere_that_a_client_chose(
    scheme: str, host: str, port: int, connect_to: tuple[str, int] | None, granted: bool
) -> None:
    decision = table().decide("GET", scheme, host, port, "/v2/a/manifests/1")
    assert (decision.host, decision.rerouted) == (host, False)
    assert (access_of(decision, "GET", connect_to) is not None) == granted
