"""Whole exchanges for the tests of exports: what an endpoint answers, and what the client gets then.

The rows say who serves; everything else is told by the addon itself, on a real mitmdump.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import quote_plus

from lab.conversation import Conversation
from lab.everywhere import Arrival, Everywhere, Play, answering
from lab.outcomes import Asked
from lab.wire import Talk
from tests.unit.generated import DIGEST

SOURCE, FIRST, SECOND, PROXY = "source.test", "one.test", "two.test", "proxy.test"
LISTENER = PROXY
"""What a listener stands for."""
_TABLES = f"""
[[registry]]
prefix = "{SOURCE}"
location = "{SOURCE}"
[[registry.mirror]]
location = "{FIRST}"
namespace-proxy = "{SOURCE}"
[[registry.mirror]]
location = "{SECOND}/q"
namespace-proxy = "{SOURCE}"
[[registry]]
prefix = "hub.test"
location = "hub.test"
[[registry.mirror]]
location = "{PROXY}/hub"
namespace-proxy = "hub.test"
[[registry]]
prefix = "kept.test"
location = "{PROXY}/kept"
namespace-proxy = "kept.test"
forward-credentials = true
"""

TAG, BLOB, BY_DIGEST = "/v2/a/manifests/1", f"/v2/a/blobs/{DIGEST}", f"/v2/a/manifests/{DIGEST}"
TAGS, REFERRERS, UPLOADS = "/v2/a/tags/list", f"/v2/a/referrers/{DIGEST}", "/v2/a/blobs/uploads/"
HUB_UPLOADS, HUB_UPLOAD = "/v2/hub.test/a/blobs/uploads/", "/v2/hub/a/blobs/uploads/1?_state=x%2F"
_RETURNED = ("location", "link", "www-authenticate", "docker-content-digest", "content-type", "x-own")


@dataclass(frozen=True)
class Exchange:
    """A request, what is wrong with the first endpoint, and who serves: a name, or the status without one.

    `status` and `fields` are the endpoint's answer. `listening` is whether it comes by a listener that stands for
    LISTENER; otherwise the client is led to it by name.
    """

    name: str
    target: str
    fault: str = ""
    served_by: str | int = FIRST
    method: str = "GET"
    named: str = SOURCE
    status: int = 200
    fields: tuple[str, ...] = ()
    listening: bool = False


def _faulty(what: str, target: str, *faults: str, method: str = "GET") -> list[Exchange]:
    return [Exchange(f"{what}: the first is {fault}", target, fault, SECOND, method) for fault in faults]


def _redirect(what: str, location: str) -> Exchange:
    return Exchange(f"a redirect {what}", BLOB, "", 307, status=307, fields=(f"Location: {location}",))


def _page(what: str, link: str) -> Exchange:
    return Exchange(f"a page {what}", TAGS, fields=(f'Link: <{link}>; rel="next"',))


def _upload(what: str, target: str, location: str) -> Exchange:
    return Exchange(f"an upload {what}", target, "", 202, "POST", PROXY, 202, (f"Location: {location}",))


def _token(what: str, *scopes: str) -> Exchange:
    query = "&".join(f"scope={quote_plus(scope)}" for scope in scopes)
    return Exchange(f"a token for {what}", f"/token?service=x&{query}", "", PROXY, named="nobody.test", listening=True)


def _login(what: str, named: str, realm: str) -> Exchange:
    field = f'WWW-Authenticate: Bearer realm="{realm}",service="x"'
    return Exchange(f"a login {what}", TAG, "", 401, "GET", named, 401, (field,))


_FAULTY = ("refused", "not TLS", "another certificate", "status 404", "status 500", "status 503", "silent", "reset")
_ANSWERS = (301, 304, 400, 401, 403, 405, 406, 410, 416, 429)
_NAMED = [
    *_faulty("a manifest", TAG, *_FAULTY),
    *_faulty("a blob", BLOB, *_FAULTY),
    *_faulty("a manifest by digest", BY_DIGEST, "refused", "status 404"),
    *_faulty("a HEAD", TAG, "refused", "status 404", method="HEAD"),
    *_faulty("tags", TAGS, "refused", "status 404", "status 503"),
    *_faulty("referrers", REFERRERS, "refused", "status 503"),
    *_faulty("a ping", "/v2/", "refused", "status 503"),
    *(Exchange(f"a manifest: {status} is an answer", TAG, f"status {status}", status) for status in _ANSWERS),
    *(Exchange(f"a blob: {status} is an answer", BLOB, f"status {status}", status) for status in _ANSWERS),
    Exchange("referrers: 404 is an answer", REFERRERS, "status 404", 404),
    Exchange("nobody has it", TAG, "everybody 404", 404),
    Exchange("nobody has the blob", BLOB, "everybody 404", 404),
    Exchange("nobody serves it", TAG, "everybody 503", 502),
    Exchange("nobody serves the blob", BLOB, "everybody 503", 502),
    Exchange("an upload stays with its registry", UPLOADS, "", SOURCE, "POST"),
    Exchange("an upload is not sent twice", UPLOADS, "everybody 503", 503, "POST"),
    Exchange("not below /v2", "/other?ns=x", "", SOURCE),
    Exchange("not below /v2, and not there", "/other", "everybody 404", 404),
    _page("by its path", f"/v2/a/tags/list?last=1&ns={SOURCE}&n=2"),
    _page("by its URL", f"https://{FIRST}/v2/a/tags/list?n=2&ns={SOURCE}"),
    _page("relative", f"list?n=2&ns={SOURCE}"),
    _page("elsewhere", f"https://cdn.test/v2/a/tags/list?n=2&ns={SOURCE}"),
    _redirect("to a CDN", "https://cdn.test/x?sig=%2F"),
    _redirect("to itself", f"https://{FIRST}/v2/b/blobs/x?ns={SOURCE}"),
    _redirect("by a path", f"/v2/b/blobs/x?ns={SOURCE}"),
    _redirect("to another scheme", f"http://{FIRST}/v2/b/blobs/x"),
    _upload("whose repository is moved", HUB_UPLOADS, f"{HUB_UPLOAD}&ns=hub.test"),
    _upload("whose repository is moved, by a URL", HUB_UPLOADS, f"https://{PROXY}{HUB_UPLOAD}"),
    _upload("in its place", "/v2/hub/a/blobs/uploads/", f"{HUB_UPLOAD}&ns=hub.test"),
    _login("where credentials do not go", SOURCE, f"https://{FIRST}/token"),
    _login("where credentials go", "kept.test", f"https://{PROXY}/token"),
    _login("at the host itself", PROXY, f"https://{PROXY}/token"),
    Exchange("a manifest's own place", TAG, "", PROXY, "GET", "kept.test", 200, ("Location: /v2/kept/a/manifests/1",)),
    Exchange("whether ns-inject is there", "/.well-known/ns-inject", "", 200),
    Exchange("more than whether ns-inject is there", "/.well-known/ns-inject?x", "", SOURCE),
    Exchange("a HEAD of whether ns-inject is there", "/.well-known/ns-inject", "", SOURCE, "HEAD"),
    *(
        Exchange(
            f"at its one endpoint, a redirect to {place}",
            BLOB,
            "",
            307,
            "GET",
            "kept.test",
            307,
            (f"Location: {place}",),
        )
        for place in (
            f"/v2/kept/a/blobs/{DIGEST}?x=1",
            f"https://{PROXY}/v2/kept/a/blobs/1",
            "https://cdn.test/1",
            "/other",
        )
    ),
    Exchange(
        "its one endpoint refuses", TAG, "", 401, "GET", "kept.test", 401, ('WWW-Authenticate: Bearer realm="x"',)
    ),
    Exchange("other fields", TAG, fields=("X-Own: a, b", f"Docker-Content-Digest: {DIGEST}")),
]
_PAGES = (f"</v2/a/tags/list?n={number}&ns={SOURCE}>; rel={rel}" for number, rel in ((2, "next"), (1, "prev")))
_NAMED.append(Exchange("a page and the one before", TAGS, fields=(f"Link: {', '.join(_PAGES)}",)))
_LISTENING = [
    Exchange("whether ns-inject is at the destination", "/.well-known/ns-inject", "", 200, named="nobody.test"),
    replace(_login("at the destination", "nobody.test", f"https://{PROXY}/token"), listening=True),
    replace(_login("somewhere else", "nobody.test", "https://auth.test/token"), listening=True),
    replace(_login("at the destination by its name", PROXY, f"https://{PROXY}/token"), listening=True),
    replace(_login("outside /v2", "nobody.test", f"https://{PROXY}/token"), target="/login", listening=True),
    Exchange(
        "two challenges",
        TAG,
        "",
        401,
        "GET",
        "nobody.test",
        401,
        ('WWW-Authenticate: Basic realm="x"', f'WWW-Authenticate: Bearer realm="https://{PROXY}/token"'),
    ),
    Exchange("a redirect outside /v2", "/login", "", 302, "GET", PROXY, 302, (f"Location: https://{PROXY}/x",)),
    _token("a repository", "repository:a/b:pull,push"),
    _token("a repository that has another path there", "repository:hub.test/a:pull"),
    _token("several", "repository:hub.test/a:pull,push registry:catalog:*", "repository:hub.test/a.b/c:pull"),
    Exchange("an upload to another registry than the destination", UPLOADS, "", PROXY, "POST", SOURCE),
    replace(_page("of the destination", f"https://{PROXY}/v2/x/tags/list?n=2"), served_by=PROXY, named="nobody.test"),
    replace(_redirect("of the destination", f"https://{PROXY}/v2/b/blobs/x"), named="nobody.test"),
    replace(_redirect("of the destination to a CDN", "https://cdn.test/x"), named="nobody.test"),
    replace(
        _upload("to the destination", HUB_UPLOADS, f"https://{PROXY}{HUB_UPLOAD}&ns=hub.test"), named="nobody.test"
    ),
    replace(_upload("by a path of the destination", HUB_UPLOADS, HUB_UPLOAD), named="nobody.test"),
]
EXCHANGES = [*_NAMED, *(replace(each, listening=True) for each in _LISTENING)]


def numbered(number: int, text: str) -> str:
    """The text with names that no other exchange has: the addon remembers where nobody was."""
    return re.sub(r"\b(source|one|two)\.test", rf"\g<1>{number}.test", text)


CONF = "".join(
    numbered(number, _TABLES) if number == 0 else numbered(number, _TABLES.partition('[[registry]]\nprefix = "hub')[0])
    for number in range(len(EXCHANGES))
)


@dataclass(frozen=True)
class Result:
    """What came of an exchange."""

    status: int
    served_by: str
    target: str
    credentials: tuple[str, ...]
    returned: tuple[tuple[str, str], ...]
    body: bytes


def prepare(servers: Everywhere) -> None:
    """Make the names of first endpoints what their exchanges need: engines look them up when they start."""

    def first(fault: str) -> set[str]:
        return {numbered(number, FIRST) for number, each in enumerate(EXCHANGES) if each.fault == fault}

    servers.names.refused |= first("refused")
    servers.plain |= first("not TLS")
    servers.untrusted |= first("another certificate")


def carried_out(exchange: Exchange, servers: Everywhere, converse: Callable[[str], Conversation], port: int) -> Result:
    """Send the request to the listener at `port`, by a client for this Host, while the endpoints do as it says."""
    number = EXCHANGES.index(exchange)
    named = numbered(number, exchange.named)
    servers.play = _play(exchange, number)
    servers.clear()
    with converse(named) as client:
        answer = client.ask(Asked(exchange.method, "https", named, exchange.target).raw)
    arrivals = [each for each in servers.arrivals if each.method == exchange.method]
    last = arrivals[-1] if arrivals and answer.status < 400 else None
    returned = [(name, value.replace(f":{port}", ":PORT")) for name in _RETURNED for value in answer.all(name)]
    return Result(
        answer.status,
        last.host if last is not None else "",
        last.target if last is not None else "",
        tuple(name for name in ("authorization", "cookie") if last is not None and last.all(name)),
        tuple(returned) if answer.status < 400 or exchange.fields else (),
        answer.body if answer.status < 400 else b"",
    )


def is_as_it_says(exchange: Exchange, result: Result) -> bool:
    """Whether who serves is who should."""
    served_by = exchange.served_by
    if isinstance(served_by, int):
        return served_by == result.status
    return numbered(EXCHANGES.index(exchange), served_by) == result.served_by


def _play(exchange: Exchange, number: int) -> Play:
    fields = (numbered(number, field) for field in exchange.fields)
    ok = answering(exchange.status, *fields, body=b'{"from": "an endpoint"}')
    found = re.fullmatch("(status|everybody) ([0-9]+)", exchange.fault)
    faulty = _FAULTS.get(exchange.fault) if found is None else answering(int(found[2]))
    first = numbered(number, FIRST)

    def play(arrival: Arrival, talk: Talk) -> None:
        is_faulty = arrival.host == first or exchange.fault.startswith("everybody")
        (faulty if faulty is not None and is_faulty else ok)(arrival, talk)

    return play


def _silent(_: Arrival, talk: Talk) -> None:
    talk.stall()


def _reset(_: Arrival, talk: Talk) -> None:
    talk.connection.close()


_FAULTS: dict[str, Play] = {"silent": _silent, "reset": _reset}
