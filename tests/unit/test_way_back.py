"""References on the way back, mounts and scopes on the way there: what a client is told, and what it asks for."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci_ns.blob_redirect import redirect_target
from oci_ns.conf_files import parse_text
from oci_ns.decision import Action, Decision, Source
from oci_ns.distribution import Moved, Operation
from oci_ns.index import RouteIndex
from oci_ns.logins.token_scope import with_scopes_moved
from oci_ns.mount import with_mount_renamed
from oci_ns.registries_conf import Endpoint
from oci_ns.routes import RouteTable
from oci_ns.way_back import WayBack

TEAM = Moved("docker.io", "team")
UP = "blobs/uploads/1?_state=a%2Bb"


def back(moved: Moved | None = TEAM, **more: object) -> WayBack:
    settings = {"scheme": "https", "host": "proxy.example.com", "port": 443, "namespaced": True, "listening": True}
    return WayBack(moved=moved, **settings | more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("told", "followed"),
    [
        (f"https://proxy.example.com/v2/team/app/{UP}", f"/v2/docker.io/app/{UP}"),
        (f"/v2/team/app/{UP}", f"/v2/docker.io/app/{UP}"),
        (f"/v2/team/app/{UP}&ns=docker.io", f"/v2/docker.io/app/{UP}"),
        ("/v2/team/app/tags/list?ns=docker.io&n=1", "/v2/docker.io/app/tags/list?n=1"),
        ("/v2/team/app/tags/list?ns=docker.io", "/v2/docker.io/app/tags/list"),
        (f"//proxy.example.com/v2/team/app/{UP}", f"/v2/docker.io/app/{UP}"),
        (f"HTTPS://Proxy.Example.com:443/v2/team/app/{UP}", f"/v2/docker.io/app/{UP}"),
        # Behind a proxy that ends TLS, a registry may call itself http.
        (f"http://proxy.example.com/v2/team/app/{UP}", f"/v2/docker.io/app/{UP}"),
        ("/v2/_catalog?last=a&n=1&ns=docker.io", "/v2/_catalog?last=a&n=1"),
        ("https://proxy.example.com/v2/", "/v2/"),
        # Not where the endpoint has the client's repositories.
        ("/v2/teamwork/app/tags/list", "/v2/teamwork/app/tags/list"),
        ("/v2/other/app/tags/list", "/v2/other/app/tags/list"),
        # Of other hosts, and of the endpoint's other services.
        ("https://cdn.example.com/v2/team/app/x?ns=docker.io", "https://cdn.example.com/v2/team/app/x?ns=docker.io"),
        ("https://proxy.example.com:5000/v2/team/app/x", "https://proxy.example.com:5000/v2/team/app/x"),
        ("https://proxy.example.com/storage/x?sig=%2f", "/storage/x?sig=%2f"),
        ("/storage/x", "/storage/x"),
        ("uploads/2?_state=x", "uploads/2?_state=x"),
        ("?page=2", "?page=2"),
        ("?n=1&last=b&ns=docker.io", "?n=1&last=b"),
        ("", ""),
        ("mailto:me@proxy.example.com", "mailto:me@proxy.example.com"),
        ("https://[::1/v2/team/app", "https://[::1/v2/team/app"),
        ("https://me@proxy.example.com/v2/team/app/x", "https://me@proxy.example.com/v2/team/app/x"),
    ],
)
def test_a_reference_leads_the_client_back(told: str, followed: str) -> None:
    assert back().reference(told) == followed


@pytest.mark.parametrize(
    ("moved", "told", "followed"),
    [
        (Moved("", "team"), "/v2/team/app/tags/list", "/v2/app/tags/list"),
        (Moved("quay.io", ""), "/v2/app/tags/list", "/v2/quay.io/app/tags/list"),
        (Moved("docker%2Eio/a", "x/y"), "/v2/x/y/app/tags/list", "/v2/docker%2Eio/a/app/tags/list"),
        (Moved("a/app", "b/app"), "/v2/b/app/blobs/uploads/1", "/v2/a/app/blobs/uploads/1"),
        (None, "/v2/team/app/tags/list?ns=docker.io", "/v2/team/app/tags/list"),
    ],
)
def test_a_repository_gets_its_name_back(moved: Moved | None, told: str, followed: str) -> None:
    assert back(moved).reference(told) == followed


@pytest.mark.parametrize(
    ("told", "followed"),
    [
        ("/v2/team/app/x?a=1", "/v2/docker.io/app/x?a=1&ns=quay.io"),
        ("/v2/team/app/x?ns=docker.io", "/v2/docker.io/app/x?ns=quay.io"),
        ("/v2/team/app/x?ns=quay.io&a=1", "/v2/docker.io/app/x?ns=quay.io&a=1"),
    ],
)
def test_a_client_that_sent_ns_is_told_its_own(told: str, followed: str) -> None:
    assert back(client_namespace="quay.io").reference(told) == followed


@pytest.mark.parametrize(
    ("told", "followed"),
    [
        ("https://proxy.example.com/v2/team/app/x?ns=a", "/v2/docker.io/app/x"),
        ("/v2/team/app/x", "/v2/docker.io/app/x"),
        # A relative reference would lead to the registry that the client addressed.
        ("/v2/other/app/x?ns=a", "https://proxy.example.com/v2/other/app/x?ns=a"),
        ("https://proxy.example.com/storage/x", "https://proxy.example.com/storage/x"),
        ("/storage/x?sig=%2f", "https://proxy.example.com/storage/x?sig=%2f"),
    ],
)
def test_on_a_reroute_what_cannot_be_mapped_leads_to_the_endpoint(told: str, followed: str) -> None:
    assert back(rerouted=True, listening=False).reference(told) == followed


def test_what_need_not_change_keeps_its_every_byte() -> None:
    told = "https://Proxy.example.com:443/v2/team/app/x?a=%2f&&b"
    assert back(None, listening=False, namespaced=False).reference(told) == told


@pytest.mark.parametrize(
    ("told", "followed"),
    [
        ('</v2/team/app/tags/list?n=1&ns=docker.io>; rel="next"', '</v2/docker.io/app/tags/list?n=1>; rel="next"'),
        (
            '<https://proxy.example.com/v2/team/a/b>; rel=next , <https://cdn.example.com/v2/team/a>;title="<x>, y"',
            '</v2/docker.io/a/b>; rel=next , <https://cdn.example.com/v2/team/a>;title="<x>, y"',
        ),
        ("garbage", "garbage"),
        ("<unclosed", "<unclosed"),
    ],
)
def test_the_targets_of_a_link_lead_back_and_its_parameters_stay(told: str, followed: str) -> None:
    assert back().link(told) == followed


@pytest.mark.parametrize(
    ("told", "followed"),
    [
        (
            'Bearer realm="https://proxy.example.com/token",service="x",scope="repository:team/app:pull"',
            'Bearer realm="http://127.0.0.1:8081/token",service="x",scope="repository:team/app:pull"',
        ),
        ('Bearer  REALM = "http://proxy.example.com/t?a=b"', 'Bearer  REALM = "http://127.0.0.1:8081/t?a=b"'),
        ('Bearer realm="https://auth.example.com/token"', 'Bearer realm="https://auth.example.com/token"'),
        ('Basic realm="proxy.example.com"', 'Basic realm="proxy.example.com"'),
        ('Basic realm="a \\"b\\" c"', 'Basic realm="a \\"b\\" c"'),
    ],
)
def test_a_realm_at_the_endpoint_is_asked_through_the_listener(told: str, followed: str) -> None:
    assert back().challenge(told, "http://127.0.0.1:8081") == followed


def test_a_realm_that_is_https_is_not_asked_for_by_http() -> None:
    told = 'Bearer realm="https://proxy.example.com/token"'
    assert back(scheme="http", port=80).challenge(told, "http://127.0.0.1:8081") == told


@given(st.text(), st.sampled_from([TEAM, Moved("", "a"), Moved("a", ""), None]), st.booleans(), st.booleans())
def test_no_text_is_too_odd_to_be_led_back(text: str, moved: Moved | None, rerouted: bool, listening: bool) -> None:
    way = back(moved, rerouted=rerouted, listening=listening)
    for told in (text, f"/v2/{text}", f"https://proxy.example.com/v2/{text}"):
        assert isinstance(way.reference(told), str)
        assert isinstance(way.link(f"<{told}>"), str)
        assert isinstance(way.challenge(f'Bearer realm="{told}"', "http://x"), str)


@given(st.text(alphabet="abc/%2.&=?", max_size=20))
def test_what_was_moved_there_comes_back_as_it_was(rest: str) -> None:
    assert back(namespaced=False).reference(f"/v2/team/{rest}") == f"/v2/docker.io/{rest}"


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ("mount=sha256:1&from=docker.io/other", "mount=sha256:1&from=team%2Fother"),
        ("mount=sha256%3A1&from=docker.io%2Fother%2Fdeep&x=%2f", "mount=sha256%3A1&from=team%2Fother%2Fdeep&x=%2f"),
        ("from=docker.io/a&mount=sha256:1", "from=team%2Fa&mount=sha256:1"),
        ("mount=sha256:1&from=elsewhere/app", None),
        ("mount=sha256:1&from=elsewhere/app&digest=sha256:2", "digest=sha256:2"),
        ("mount=sha256:1&x=%2f&from=elsewhere/app&digest=sha256:2", "x=%2f&digest=sha256:2"),
        ("mount=sha256:1&from=docker.iota/app", None),
        ("mount=sha256:1&from=docker.io/%ff", "mount=sha256:1&from=team%2F%FF"),
        ("mount=sha256:1&from=docker.io/a=b", "mount=sha256:1&from=team%2Fa%3Db"),
        ("mount=sha256:1", "mount=sha256:1"),
        ("digest=from", "digest=from"),
        (None, None),
        ("", ""),
    ],
)
def test_a_mount_names_the_other_repository_as_the_endpoint_does(query: str | None, sent: str | None) -> None:
    def renamed(repository: str) -> str | None:
        return f"team/{repository[10:]}" if repository.startswith("docker.io/") else None

    assert with_mount_renamed(query, renamed) == sent


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ("docker.io/other", "from=team%2Fother&"),
        ("team/other", "from=team%2Fother&"),
        ("docker.io/special/x", ""),
        ("quay.io/app", ""),
        ("elsewhere", ""),
        ("docker.io/A", ""),
        ("%ff", ""),
    ],
)
def test_a_mount_is_asked_for_where_a_push_to_the_other_repository_would_go(other: str, named: str) -> None:
    conf = """
[[registry]]
prefix = "docker.io"
location = "proxy.example.com/team"
namespace-proxy = "docker.io"
[[registry]]
prefix = "docker.io/special"
location = "other.example.com/sp"
namespace-proxy = "docker.io"
[[registry]]
prefix = "quay.io"
location = "proxy.example.com/quay"
namespace-proxy = "quay.io"
"""
    table = RouteTable(RouteIndex(parse_text(Path("registries.conf"), conf.encode()).registries.values()))
    target = f"/v2/docker.io/app/blobs/uploads/?mount=sha256:1&from={other}"
    sent = table.decide("POST", "https", "proxy.example.com", 443, target)
    mounted = f"mount=sha256:1&{named}" if named else ""
    assert sent.target == f"/v2/team/app/blobs/uploads/?{mounted}ns=docker.io"


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        ("/token?service=x&scope=repository:a:pull", "/token?service=x&scope=repository%3Ateam%2Fa%3Apull"),
        (
            "/token?scope=repository%3Aa%3Apull%2Cpush+repository:b:pull&account=me",
            "/token?scope=repository%3Ateam%2Fa%3Apull%2Cpush+repository%3Ateam%2Fb%3Apull&account=me",
        ),
        ("/token?scope=registry:catalog:*", "/token?scope=registry:catalog:*"),
        ("/token?scope=repository:a", "/token?scope=repository:a"),
        ("/token?microscope=repository:a:pull", "/token?microscope=repository:a:pull"),
        ("/token", "/token"),
    ],
)
def test_the_scope_of_a_token_names_repositories_as_the_endpoint_does(target: str, sent: str) -> None:
    assert with_scopes_moved(target, lambda repository: f"team/{repository}") == sent


def decision(**more: object) -> Decision:
    settings: dict[str, object] = {
        "action": Action.REWRITE,
        "namespace": "quay.io",
        "source": None,
        "scheme": "https",
        "host": "proxy.example.com",
        "port": 443,
        "target": "/v2/a/blobs/sha256:1?ns=quay.io",
        "rerouted": True,
        "operation": Operation.BLOB,
        "endpoint": Endpoint("proxy.example.com"),
    }
    return Decision(**settings | more)  # type: ignore[arg-type]


LOGIN = ((b"Authorization", b"Basic x"),)


@pytest.mark.parametrize(
    ("sent", "method", "fields", "redirected"),
    [
        (decision(), "GET", (), True),
        (decision(), "GET", LOGIN, True),
        (decision(), "HEAD", (), False),
        (decision(operation=Operation.MANIFEST), "GET", (), False),
        (decision(action=Action.PASS), "GET", (), False),
        # A client takes its login along to no other host.
        (decision(endpoint=Endpoint("proxy.example.com", forward_credentials=True)), "GET", LOGIN, False),
        (decision(endpoint=Endpoint("proxy.example.com", forward_credentials=True)), "GET", (), False),
        (decision(source=Source.QUERY), "GET", (), False),
        (decision(target="/v2/a/blobs/sha256:1?x#y"), "GET", (), False),
        (decision(rerouted=False), "GET", ((b"Cookie", b"x"),), False),
        (decision(rerouted=False), "GET", LOGIN, False),
        (decision(rerouted=False), "GET", (), True),
    ],
)
def test_a_blob_is_redirected_where_the_client_can_fetch_it_itself(
    sent: Decision, method: str, fields: tuple[tuple[bytes, bytes], ...], redirected: bool
) -> None:
    target = redirect_target(sent, "https://quay.io/v2/a/blobs/sha256:1", method, fields, only_here=False)
    assert target == ("https://proxy.example.com/v2/a/blobs/sha256:1?ns=quay.io" if redirected else None)


def test_a_redirect_never_leads_to_where_the_client_comes_from() -> None:
    sent = decision(rerouted=False)
    assert sent.upstream is not None
    assert redirect_target(sent, sent.upstream, "GET", (), only_here=False) is None


def test_what_only_the_addon_can_reach_is_not_redirected_to() -> None:
    assert redirect_target(decision(), "https://quay.io/v2/a/blobs/sha256:1", "GET", (), only_here=True) is None
