"""The hooks, driven as mitmproxy drives them: what a flow looks like before and after."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy import exceptions, flow, http, tls
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.proxy import context as proxy_context
from mitmproxy.test import taddons, tflow, tutils

from oci_ns import presence, record
from oci_ns.addon import NsInject
from oci_ns.fetch import Answer, NotAuthorizedError, Outgoing
from oci_ns.pull_access import PullAccess, Site
from tests.unit.test_distribution import SHA

CONF = """
[[registry]]
prefix = "quay.io"
location = "quay.io"
[[registry.mirror]]
location = "proxy.example.com:5000/quay"
namespace-proxy = "quay.io"
plain-http = true

[[registry]]
prefix = "trusted.example.com"
location = "trusted.example.com"
[[registry.mirror]]
location = "proxy.example.com/trusted"
namespace-proxy = "trusted.example.com"
forward-credentials = true

[[registry]]
prefix = "bad.example.com"
location = "bad.example.com"
blocked = true
"""


class Registries:
    """Every endpoint is there, has every image, and says so with its own URL."""

    async def fetch(self, outgoing: Outgoing) -> Answer:
        return Answer(200, "OK", ((b"X-Asked", outgoing.url.encode()),), b"{}")

    async def connect(self, outgoing: Outgoing, *, tls: bool) -> None:
        assert outgoing
        assert tls


def requestheaders(addon: NsInject, sent: http.HTTPFlow) -> None:
    """As mitmproxy calls it."""
    to_await = addon.requestheaders(sent)
    if to_await is not None:
        asyncio.run(to_await)


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "registries.conf"
    path.write_text(CONF)
    return path


@pytest.fixture
def mitmproxy() -> Iterator[taddons.context]:
    with taddons.context(Proxyserver()) as context:
        yield context


@pytest.fixture
def addon(mitmproxy: taddons.context, conf: Path) -> NsInject:
    loaded = NsInject(Registries())
    mitmproxy.master.addons.add(loaded)
    mitmproxy.options.update(ns_registries_conf=str(conf))
    return loaded


def request(method: str, url: str, **headers: str) -> http.HTTPFlow:
    made = http.Request.make(method, url)
    made.headers["Host"] = made.host
    for name, value in headers.items():
        made.headers[name] = value
    result = tflow.tflow(req=made)
    result.live = True
    return result


def test_a_rerouted_request_names_the_endpoint(addon: NsInject) -> None:
    sent = request("GET", "https://quay.io/v2/coreos/etcd/manifests/v3?x=%2F")
    requestheaders(addon, sent)
    assert sent.request.url == "http://proxy.example.com:5000/v2/quay/coreos/etcd/manifests/v3?x=%2F&ns=quay.io"
    assert sent.request.headers["Host"] == "proxy.example.com:5000"
    assert record.read(sent.metadata) == record.Record(
        operation="manifest",
        action="rewrite",
        addressed="https://quay.io/v2/coreos/etcd/manifests/v3?x=%2F",
        upstream=sent.request.url,
        image="quay.io/coreos/etcd:v3",
        registry="quay.io",
        repository="coreos/etcd",
        reference=":v3",
        namespace="quay.io",
        source="host",
        endpoint="proxy.example.com:5000/quay",
        entry=sent.metadata["ns_entry"],
    )
    assert sent.metadata["ns_entry"].startswith("prefix quay.io, ")


@pytest.mark.parametrize(
    ("method", "path", "answered"),
    [
        ("GET", presence.PATH, True),
        ("POST", presence.PATH, False),
        ("GET", f"{presence.PATH}?a", False),
        ("GET", f"/v2{presence.PATH}", False),
        ("GET", "/.well-known/other", False),
    ],
)
def test_it_says_itself_that_it_is_there_and_nothing_else(
    addon: NsInject, method: str, path: str, answered: bool
) -> None:
    for host in ("quay.io", "elsewhere.example.com"):
        sent = request(method, f"https://{host}{path}")
        requestheaders(addon, sent)
        assert (sent.response is not None) == answered
        assert sent.response is None or presence.is_answer(200, sent.response.content or b"")


def test_over_http_2_the_authority_names_the_endpoint(addon: NsInject) -> None:
    sent = request("GET", "https://quay.io/v2/")
    del sent.request.headers["Host"]
    sent.request.authority = "quay.io"
    sent.request.http_version = "HTTP/2.0"
    requestheaders(addon, sent)
    assert sent.request.authority == "proxy.example.com:5000"
    assert sent.request.host_header == "proxy.example.com:5000"


def test_a_request_to_the_endpoint_keeps_its_connection(addon: NsInject) -> None:
    sent = request("GET", "http://198.51.100.7:5000/v2/quay/a/tags/list", host="proxy.example.com:5000")
    requestheaders(addon, sent)
    assert (sent.request.host, sent.request.port) == ("198.51.100.7", 5000)
    assert sent.request.headers["Host"] == "proxy.example.com:5000"
    assert sent.request.path == "/v2/quay/a/tags/list?ns=quay.io"


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://quay.io/v2/a/manifests/1", False),
        ("https://trusted.example.com/v2/a/manifests/1", True),
        ("http://proxy.example.com:5000/v2/quay/a/manifests/1", True),
        ("https://elsewhere.net/v2/a/manifests/1", True),
        ("https://quay.io/v2/auth", True),
    ],
)
def test_credentials_reach_only_whom_they_were_meant_for(addon: NsInject, url: str, kept: bool) -> None:
    sent = request("GET", url, authorization="Basic c2VjcmV0", cookie="session=secret")
    requestheaders(addon, sent)
    assert ("authorization" in sent.request.headers) is kept
    assert ("cookie" in sent.request.headers) is kept


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_blocked_pull_is_answered_with_the_specs_error(addon: NsInject, method: str) -> None:
    sent = request(method, "https://bad.example.com/v2/a/manifests/1")
    requestheaders(addon, sent)
    assert sent.response is not None
    assert sent.response.status_code == 403
    assert sent.response.headers["Content-Type"] == "application/json"
    if method == "HEAD":
        assert not sent.response.content
        return
    (error,) = json.loads(sent.response.get_text() or "")["errors"]
    assert error["code"] == "DENIED"
    assert "prefix bad.example.com" in error["message"]


@pytest.mark.parametrize(
    ("method", "path", "request_streams"),
    [
        ("POST", "/v2/quay/a/blobs/uploads/", True),
        ("PATCH", "/v2/quay/a/blobs/uploads/1", True),
        ("PUT", f"/v2/quay/a/blobs/uploads/1?digest={SHA}", True),
        ("PUT", "/v2/quay/a/manifests/1", False),
        ("POST", "/elsewhere", False),
    ],
)
def test_an_uploads_body_streams_and_a_manifests_does_not(
    addon: NsInject, method: str, path: str, request_streams: bool
) -> None:
    sent = request(method, f"http://proxy.example.com:5000{path}")
    requestheaders(addon, sent)
    assert bool(sent.request.stream) is request_streams


@pytest.mark.parametrize(
    ("path", "status", "streams"),
    [
        (f"/v2/quay/a/blobs/{SHA}", 200, True),
        (f"/v2/quay/a/blobs/{SHA}", 206, True),
        (f"/v2/quay/a/blobs/{SHA}", 404, False),
        (f"/v2/quay/a/blobs/{SHA}", 307, False),
        (f"/v2/quay/a/manifests/{SHA}", 200, False),
        ("/v2/quay/a/tags/list", 200, False),
        ("/v2/", 200, False),
        ("/elsewhere", 200, False),
    ],
)
def test_a_blobs_body_streams_and_nothing_elses(addon: NsInject, path: str, status: int, streams: bool) -> None:
    sent = request("GET", f"http://proxy.example.com:5000{path}")
    requestheaders(addon, sent)
    sent.response = tutils.tresp(status_code=status)
    addon.responseheaders(sent)
    assert bool(sent.response.stream) is streams


@pytest.mark.parametrize(
    "url",
    [
        "https://quay.io/v2/quay/manifests/1",
        "https://quay.io/v2/a/tags/list?ns=quay.io",
        "http://proxy.example.com:5000/v2/quay/a/manifests/1",
        "http://proxy.example.com:5000/v2/quay.io/a/manifests/1",
    ],
)
def test_a_replayed_flow_is_not_decided_twice(addon: NsInject, url: str) -> None:
    sent = request("GET", url)
    requestheaders(addon, sent)
    once = sent.request.url
    replayed = flow.Flow.from_state(sent.get_state())
    assert isinstance(replayed, http.HTTPFlow)
    replayed.live, replayed.response = True, None
    requestheaders(addon, replayed)
    assert replayed.request.url == once


def test_a_replay_that_was_edited_is_decided_anew(addon: NsInject) -> None:
    sent = request("GET", "https://quay.io/v2/a/manifests/1")
    requestheaders(addon, sent)
    sent.request.url, sent.response = "https://trusted.example.com/v2/a/manifests/1", None
    requestheaders(addon, sent)
    assert sent.request.url == "https://proxy.example.com/v2/trusted/a/manifests/1?ns=trusted.example.com"


def test_a_flow_that_is_answered_or_dead_is_left_alone(addon: NsInject) -> None:
    for spoil in ("response", "error", "live"):
        sent = request("GET", "https://quay.io/v2/a/manifests/1")
        setattr(sent, spoil, {"response": tutils.tresp(), "error": flow.Error("gone"), "live": False}[spoil])
        requestheaders(addon, sent)
        assert sent.request.host == "quay.io"


@pytest.mark.parametrize("path", ["/", "/v1/", "*", "/v20/x"])
def test_what_is_no_registry_request_leaves_no_trace(
    addon: NsInject, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    sent = request("GET", "https://quay.io/")
    sent.request.path = path
    with caplog.at_level(logging.INFO, "oci_ns"):
        requestheaders(addon, sent)
    assert sent.metadata == {}
    assert caplog.messages == []


def test_one_line_is_logged_for_each_decision(addon: NsInject, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "oci_ns")
    rows = {
        ("GET", "https://quay.io/v2/a/manifests/1"): (
            "GET https://quay.io/v2/a/manifests/1 -> "
            "http://proxy.example.com:5000/v2/quay/a/manifests/1?ns=quay.io [ns=quay.io, host]"
        ),
        ("PUT", "https://quay.io/v2/a/manifests/1"): (
            "PUT https://quay.io/v2/a/manifests/1 -> https://quay.io/v2/a/manifests/1 [no ns, host]"
        ),
        ("GET", "https://elsewhere.net/v2/"): (
            "GET https://elsewhere.net/v2/ -> https://elsewhere.net/v2/ [no ns, no rule]"
        ),
    }
    for method, url in rows:
        requestheaders(addon, request(method, url))
    assert [line for line in caplog.messages if "->" in line] == list(rows.values())


def test_a_client_cannot_write_control_characters_into_the_log(
    addon: NsInject, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "oci_ns")
    sent = request("GET", "https://elsewhere.net/")
    sent.request.path = "/v2/a\x1b[31m\r\nb"
    requestheaders(addon, sent)
    assert caplog.messages[-1].startswith(r"GET https://elsewhere.net/v2/a\x1b[31m\r\nb -> ")


def test_a_log_line_has_a_bounded_length(addon: NsInject, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "oci_ns")
    requestheaders(addon, request("GET", f"https://quay.io/v2/{'a' * 60_000}/tags/list"))
    assert len(caplog.messages[-1]) < 2100


def test_a_request_line_of_any_bytes_is_decided(addon: NsInject) -> None:
    for path in (b"/v2/\xff\xfe/manifests/\x80", b"/v2/" + b"a/" * 30_000, b"/v2/%", b"/v2/?ns=\xff&ns=%zz", b"\xff"):
        sent = request("GET", "https://quay.io/")
        sent.request.data.path = path
        requestheaders(addon, sent)
        assert sent.request.data.path.endswith(path[4:]) or b"ns=" in path


def test_start_up_ends_with_one_message_where_the_configuration_does_not_load(
    mitmproxy: taddons.context, conf: Path, caplog: pytest.LogCaptureFixture
) -> None:
    conf.write_text("[[registry]]\n")
    mitmproxy.master.addons.add(NsInject())
    mitmproxy.options.update(ns_registries_conf=str(conf))
    errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert errors == [
        f"{conf}:1: [[registry]] 1: has neither a location nor a prefix; give it at least a location",
    ]


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("ns_registries_conf", "/does/not/exist", "/does/not/exist: cannot be read: No such file or directory"),
        ("ns_default", "not a host", "ns_default must be the host"),
    ],
)
def test_once_running_an_option_that_does_not_load_is_refused_and_the_table_stays(
    addon: NsInject, mitmproxy: taddons.context, option: str, value: str, reason: str
) -> None:
    async def refused() -> None:
        addon.running()
        before = addon.table
        with pytest.raises(exceptions.OptionsError, match=reason):
            mitmproxy.options.update(**{option: value})
        assert addon.table.index.registries == before.index.registries
        assert addon.table.policy == before.policy
        addon.done()

    asyncio.run(refused())


def test_mitmproxy_is_kept_from_connecting_early(mitmproxy: taddons.context) -> None:
    mitmproxy.master.addons.add(NsInject())
    assert (mitmproxy.options.connection_strategy, mitmproxy.options.upstream_cert) == ("lazy", False)


def test_mitmproxy_connects_early_where_it_was_told_to_even_by_its_own_default(mitmproxy: taddons.context) -> None:
    mitmproxy.options.update(connection_strategy="eager", upstream_cert=True)
    mitmproxy.master.addons.add(NsInject())
    assert (mitmproxy.options.connection_strategy, mitmproxy.options.upstream_cert) == ("eager", True)


def test_a_changed_file_replaces_the_registries_and_leaves_the_policy(
    addon: NsInject, mitmproxy: taddons.context, conf: Path
) -> None:
    async def changed() -> None:
        mitmproxy.options.update(ns_default="quay.io")
        addon.running()
        conf.write_text(CONF.replace("proxy.example.com:5000/quay", "other.example.com/elsewhere"))
        async with asyncio.timeout(10):
            while not addon.table.index.is_endpoint("other.example.com"):
                await asyncio.sleep(0.01)
        addon.done()

    asyncio.run(changed())
    assert addon.table.policy.default == "quay.io"
    sent = request("GET", "https://quay.io/v2/a/manifests/1")
    requestheaders(addon, sent)
    assert sent.request.url == "http://other.example.com/v2/elsewhere/a/manifests/1?ns=quay.io"


def test_a_confdir_in_the_home_of_nobody_has_no_key_that_others_can_read(
    addon: NsInject, mitmproxy: taddons.context, caplog: pytest.LogCaptureFixture
) -> None:
    async def begun() -> None:
        addon.running()
        addon.done()

    mitmproxy.options.update(confdir="~nouser/mitmproxy")
    asyncio.run(begun())
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]


def test_when_it_is_done_nothing_is_watched_any_more(addon: NsInject) -> None:
    async def tasks_left() -> int:
        addon.running()
        assert len(asyncio.all_tasks()) > 1
        addon.done()
        addon.done()
        await asyncio.sleep(0)
        return len(asyncio.all_tasks() - {asyncio.current_task()})

    assert asyncio.run(tasks_left()) == 0
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


AUTHORITY = "proxy.example.com:5000"


@pytest.mark.parametrize(
    ("status", "location"),
    [
        # The status of an upload names the upload; a redirect that names it would be a circle.
        (204, "/v2/quay.io/a/blobs/uploads/1?_state=x"),
        (307, "https://proxy.example.com:5000/v2/quay/a/blobs/uploads/1?_state=x"),
    ],
)
def test_a_location_that_names_what_was_asked_for_is_led_back_unless_it_is_a_redirect(
    addon: NsInject, status: int, location: str
) -> None:
    sent = request("GET", "http://proxy.example.com:5000/v2/quay.io/a/blobs/uploads/1?_state=x", host=AUTHORITY)
    requestheaders(addon, sent)
    assert sent.request.path == "/v2/quay/a/blobs/uploads/1?_state=x&ns=quay.io"
    told = f"{'https' if status == 307 else 'http'}://proxy.example.com:5000/v2/quay/a/blobs/uploads/1?_state=x"
    sent.response = http.Response.make(status, b"", {"Location": told})
    addon.responseheaders(sent)
    assert sent.response.headers["Location"] == location


def test_an_endpoints_challenge_stays_here_also_where_a_better_login_cannot_be_had(
    addon: NsInject, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = addon.forwarding.credentials
    access = PullAccess(Site("http", "proxy.example.com", 5000), "quay/a")

    async def authorization(_: PullAccess) -> bytes:
        return b"Bearer old"

    async def renewed(*_: object) -> bytes:
        raise NotAuthorizedError("the token service does not answer")

    monkeypatch.setattr(credentials, "access", lambda *_: access)
    monkeypatch.setattr(credentials, "authorization", authorization)
    monkeypatch.setattr(credentials, "renewed", renewed)
    sent = request("GET", f"https://quay.io/v2/a/blobs/{SHA}")
    requestheaders(addon, sent)
    challenge = {"WWW-Authenticate": 'Bearer realm="https://auth.example.com/token"'}
    sent.response = http.Response.make(401, b"", challenge)
    addon.responseheaders(sent)
    to_await = addon.response(sent)
    assert to_await is not None
    asyncio.run(to_await)
    assert sent.response.status_code == 401
    assert "WWW-Authenticate" not in sent.response.headers


@pytest.mark.parametrize(
    ("address", "name", "in_an_open_world", "in_a_closed_world"),
    [
        ("quay.io", "quay.io", True, True),
        ("quay.io", None, True, True),
        ("quay.io", "other.example.com", False, True),
        ("other.example.com", "quay.io", True, True),
        ("192.0.2.1", "quay.io", True, True),
        (None, "quay.io", True, True),
        ("192.0.2.1", "other.example.com", False, False),
        ("other.example.com", None, False, False),
        (None, "other.example.com", False, False),
        (None, None, False, False),
    ],
)
def test_tls_is_read_where_requests_may_be_rewritten(
    address: str | None,
    name: str | None,
    in_an_open_world: bool,
    in_a_closed_world: bool,
    addon: NsInject,
    mitmproxy: taddons.context,
) -> None:
    for unresolved, is_read in [("pass", in_an_open_world), ("reject", in_a_closed_world)]:
        mitmproxy.options.update(ns_unresolved=unresolved)
        around = proxy_context.Context(tflow.tclient_conn(), mitmproxy.options)
        around.server.address = (address, 443) if address is not None else None
        hello: Any = SimpleNamespace(sni=name)
        data = tls.ClientHelloData(around, hello)
        addon.tls_clienthello(data)
        assert data.ignore_connection is not is_read, unresolved
