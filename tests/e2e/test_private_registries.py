"""Registries that want a login: the client's own, let through, or the addon's, so that no client needs one.

Every time it is the endpoint itself that says whether an ``Authorization`` arrived.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from lab.certificates import CertificateAuthority, bundle
from lab.clients import ClientError, Surroundings
from lab.fixtures import CurlFactory, DockerdFactory, Images, MitmdumpFactory, PodmanFactory, SkopeoFactory
from lab.mitmdump import Mitmdump
from lab.private_registries import (
    PASSWORD,
    PASSWORD_REGISTRY,
    SERVICE,
    TOKEN_REGISTRY,
    TOKEN_SERVICE,
    USER,
    PrivateRegistries,
    stalling,
    write_authfile,
)
from lab.process import Daemon, clean_env, require, wait_until
from lab.registries import Pushed

pytestmark = pytest.mark.usefixtures("source_registries_untouched")

SOURCE = "registry.example.com"
HELLO = f"{SOURCE}/library/hello"
MANIFESTS = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"
PULL = "repository:library/hello:pull"
KINDS = {PASSWORD_REGISTRY: "basic", TOKEN_REGISTRY: "bearer"}

Pull = Callable[[str], str]
"""Pulls a reference and returns the digest that the client reports for it; what was pulled is forgotten."""
Start = Callable[..., tuple[Mitmdump, Surroundings]]


@pytest.fixture(params=[PASSWORD_REGISTRY, TOKEN_REGISTRY])
def endpoint(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def start(
    tmp_path: Path,
    mitmdump_factory: MitmdumpFactory,
    lab_ca: CertificateAuthority,
    private_registries: PrivateRegistries,
) -> Start:
    """Starts a mitmdump that sends registry.example.com to an endpoint, and shows and saves all it can.

    ``password`` and ``authfile`` are two ways to give it a login: the robot's password, or a whole file.
    """
    assert private_registries

    def started(
        endpoint: str,
        *,
        forward: bool = False,
        prefix: str = SOURCE,
        plain: bool = False,
        password: str | None = None,
        authfile: Path | None = None,
    ) -> tuple[Mitmdump, Surroundings]:
        conf = tmp_path / "registries.conf"
        conf.write_text(
            f'[[registry]]\nprefix = "{prefix}"\nlocation = "{endpoint}"\nnamespace-proxy = "{SOURCE}"\n'
            f"forward-credentials = {str(forward).lower()}\nplain-http = {str(plain).lower()}\n"
        )
        options = {"flow_detail": "3", "save_stream_file": str(tmp_path / "flows")}
        if password is not None:
            authfile = write_authfile(tmp_path / "logins.json", endpoint, password=password)
        if authfile is not None:
            options["ns_authfile"] = str(authfile)
        mitmdump = mitmdump_factory(conf=conf, options=options)
        # A client that asks the token service itself meets the laboratory's certificate.
        ca = bundle(tmp_path / "ca.pem", mitmdump.ca_pem, lab_ca.pem)
        return mitmdump, Surroundings(proxy=mitmdump.url, ca=ca)

    return started


@pytest.fixture(params=["dockerd", "podman", "skopeo"])
def client(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    dockerd_factory: DockerdFactory,
    podman_factory: PodmanFactory,
    skopeo_factory: SkopeoFactory,
) -> Callable[..., Pull]:
    """A client in the surroundings it is given, with a login of its own for the source registry or with none."""

    def dockerd(surroundings: Surroundings, authfile: Path) -> Pull:
        docker = dockerd_factory(surroundings)

        def pull(reference: str) -> str:
            docker.docker("--config", str(authfile.parent), "pull", "--quiet", reference)
            digest = docker.digest(reference)
            docker.remove(reference)
            return digest

        return pull

    def podman(surroundings: Surroundings, authfile: Path) -> Pull:
        made = podman_factory(surroundings)

        def pull(reference: str) -> str:
            digest = made.pull(reference, options=[f"--authfile={authfile}"])
            made.remove_all()
            return digest

        return pull

    def skopeo(surroundings: Surroundings, authfile: Path) -> Pull:
        made = skopeo_factory(surroundings)
        numbers = iter(range(100))

        def pull(reference: str) -> str:
            target = f"oci:{tmp_path / f'copy-{next(numbers)}'}"
            return made.copy(f"docker://{reference}", target, options=[f"--src-authfile={authfile}"])

        return pull

    def make(surroundings: Surroundings, *, login: bool = False) -> Pull:
        authfile = write_authfile(tmp_path / "client" / "config.json", *([SOURCE] if login else []))
        makers = {"dockerd": dockerd, "podman": podman, "skopeo": skopeo}
        return makers[request.param](surroundings, authfile)

    return make


def pulls(pull: Pull, image: Pushed) -> None:
    for reference in (f"{HELLO}:{image.tag}", f"{HELLO}@{image.digest}"):
        assert pull(reference) == image.digest


def secrets(private_registries: PrivateRegistries, password: str = PASSWORD) -> list[str]:
    return [
        password,
        base64.b64encode(f"{USER}:{password}".encode()).decode(),
        *private_registries.tokens.issued(),
    ]


def assert_secret(mitmdump: Mitmdump, tmp_path: Path, found_nowhere: list[str]) -> None:
    """Neither what was printed nor what was saved has any of these in it, once everything is written."""
    mitmdump.stop()
    log, flows = mitmdump.log(), (tmp_path / "flows").read_bytes()
    assert "library/hello" in log
    assert b"library/hello" in flows
    for secret in found_nowhere:
        assert secret not in log
        assert secret.encode() not in flows


def assert_authorized_by_the_addon(private_registries: PrivateRegistries, endpoint: str) -> None:
    """All that came was authorized, but for the one question what is wanted."""
    requests = private_registries.requests()
    assert {each.host for each in requests} == {endpoint}
    refused = [each for each in requests if each.status == 401]
    assert [(each.target.partition("?")[0], each.authorization) for each in refused] == [("/v2/", "none")]
    assert {each.authorization for each in requests if each.status != 401} == {KINDS[endpoint]}
    assert {each.status for each in requests if each.status != 401} == {200}


# -- the client's own login --------------------------------------------------------------------------------------------


def test_a_client_pulls_with_its_own_login_where_it_may_travel(
    endpoint: str,
    start: Start,
    client: Callable[..., Pull],
    private_registries: PrivateRegistries,
    images: Images,
) -> None:
    _, surroundings = start(endpoint, forward=True)
    pulls(client(surroundings, login=True), images.hello)
    requests = private_registries.requests()
    assert {each.host for each in requests} == {endpoint}
    assert {each.authorization for each in requests if each.status == 200} == {KINDS[endpoint]}
    if endpoint == TOKEN_REGISTRY:
        asked = private_registries.tokens.requests()
        assert {(each.user, each.service, each.status) for each in asked} == {(USER, SERVICE, 200)}


def test_without_leave_no_login_arrives(
    endpoint: str, start: Start, client: Callable[..., Pull], private_registries: PrivateRegistries
) -> None:
    _, surroundings = start(endpoint)
    pull = client(surroundings, login=True)
    with pytest.raises(ClientError):
        pull(f"{HELLO}:latest")
    requests = private_registries.requests()
    assert requests
    assert {(each.host, each.authorization, each.status) for each in requests} == {(endpoint, "none", 401)}


def test_an_authorization_that_a_client_sends_unasked_does_not_arrive(
    endpoint: str, start: Start, curl_factory: CurlFactory, private_registries: PrivateRegistries
) -> None:
    _, surroundings = start(endpoint)
    curl = curl_factory(surroundings)
    basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    for path in ("", "library/hello/manifests/latest", "library/hello/tags/list"):
        for value in (f"Basic {basic}", "Bearer something"):
            assert curl(f"https://{SOURCE}/v2/{path}", headers={"Authorization": value}).status == 401
    assert {each.authorization for each in private_registries.requests()} == {"none"}


# -- the addon's login -------------------------------------------------------------------------------------------------


def test_a_client_without_a_login_pulls(
    endpoint: str,
    start: Start,
    client: Callable[..., Pull],
    private_registries: PrivateRegistries,
    images: Images,
    tmp_path: Path,
) -> None:
    mitmdump, surroundings = start(endpoint, password=PASSWORD)
    pulls(client(surroundings), images.hello)
    assert_authorized_by_the_addon(private_registries, endpoint)
    asked = private_registries.tokens.requests()
    assert all((each.user, each.service, each.status) == (USER, SERVICE, 200) for each in asked)
    if endpoint == TOKEN_REGISTRY:
        # One token for pings and one for the repository, however often they are used.
        assert sorted(each.scopes for each in asked) == [(), (PULL,)]
    else:
        assert asked == []
    assert_secret(mitmdump, tmp_path, secrets(private_registries))


@pytest.mark.parametrize("http2", [True, False])
def test_curl_without_a_login_gets_everything_there_is_to_read(
    endpoint: str,
    http2: bool,
    start: Start,
    curl_factory: CurlFactory,
    private_registries: PrivateRegistries,
    images: Images,
    tmp_path: Path,
) -> None:
    mitmdump, surroundings = start(endpoint, password=PASSWORD)
    curl = curl_factory(surroundings)
    repository = f"https://{SOURCE}/v2/library/hello"
    for reference in (images.hello.tag, images.hello.digest):
        for method in ("HEAD", "GET"):
            got = curl(f"{repository}/manifests/{reference}", method=method, headers={"Accept": MANIFESTS}, http2=http2)
            assert (got.status, got.headers["docker-content-digest"]) == (200, images.hello.digest)
            assert "www-authenticate" not in got.headers
    for layer in images.hello.layers:
        assert curl(f"{repository}/blobs/{layer}", http2=http2).status == 200
    assert images.hello.tag in curl(f"{repository}/tags/list", http2=http2).json()["tags"]
    assert curl(f"https://{SOURCE}/v2/", http2=http2).status == 200
    assert "library/hello" in curl(f"https://{SOURCE}/v2/_catalog", http2=http2).json()["repositories"]
    assert_authorized_by_the_addon(private_registries, endpoint)
    assert_secret(mitmdump, tmp_path, secrets(private_registries))


def test_a_token_that_has_expired_is_replaced(
    start: Start, curl_factory: CurlFactory, private_registries: PrivateRegistries
) -> None:
    private_registries.tokens.expires_in = 1
    _, surroundings = start(TOKEN_REGISTRY, password=PASSWORD)
    curl = curl_factory(surroundings)

    def asked_when_read() -> int:
        assert curl(f"https://{SOURCE}/v2/library/hello/tags/list").status == 200
        return sum(each.scopes == (PULL,) for each in private_registries.tokens.requests())

    assert asked_when_read() == 1
    received = time.time()
    wait_until(lambda: time.time() > received + 1, "the token has expired")
    assert asked_when_read() == 2


def test_an_identity_token_will_do(
    tmp_path: Path, start: Start, curl_factory: CurlFactory, private_registries: PrivateRegistries
) -> None:
    identity = private_registries.tokens.identity_token(USER)
    authfile = tmp_path / "identity.json"
    authfile.touch(mode=0o600)
    authfile.write_text(json.dumps({"auths": {TOKEN_REGISTRY: {"identitytoken": identity}}}))
    mitmdump, surroundings = start(TOKEN_REGISTRY, authfile=authfile)
    curl = curl_factory(surroundings)
    assert curl(f"https://{SOURCE}/v2/library/hello/tags/list").status == 200
    assert [(each.scheme, each.status) for each in private_registries.tokens.requests()] == [("refresh_token", 200)]
    assert_secret(mitmdump, tmp_path, [identity, *secrets(private_registries)])


def test_the_login_is_for_pulls_only(
    endpoint: str, start: Start, curl_factory: CurlFactory, private_registries: PrivateRegistries, images: Images
) -> None:
    _, surroundings = start(endpoint, password=PASSWORD)
    curl = curl_factory(surroundings)
    repository = f"https://{endpoint}/v2/library/hello"
    rows: Mapping[str, str] = {
        f"{repository}/blobs/uploads/": "POST",
        f"{repository}/manifests/new": "PUT",
        f"{repository}/manifests/{images.hello.digest}": "DELETE",
    }
    for url, method in rows.items():
        assert curl(url, method=method, body=b"{}" if method == "PUT" else None).status == 401
    assert {each.authorization for each in private_registries.requests()} == {"none"}
    assert private_registries.tokens.requests() == []


def test_the_login_goes_to_no_address_that_a_client_calls_the_endpoint(
    start: Start, curl_factory: CurlFactory, private_registries: PrivateRegistries
) -> None:
    _, surroundings = start(PASSWORD_REGISTRY, prefix=PASSWORD_REGISTRY, plain=True, password=PASSWORD)
    curl = curl_factory(surroundings)
    path = "/v2/library/hello/tags/list"
    got = curl(f"http://{TOKEN_SERVICE}{path}", headers={"Host": PASSWORD_REGISTRY})
    assert (got.status, [each.authorization for each in private_registries.requests()]) == (401, ["none"])
    assert curl(f"http://{PASSWORD_REGISTRY}{path}").status == 200
    assert [each.authorization for each in private_registries.requests() if path in each.target] == ["none", "basic"]


def test_the_login_of_a_client_wins_where_it_may_travel(endpoint: str, start: Start, curl_factory: CurlFactory) -> None:
    _, surroundings = start(endpoint, forward=True, password=PASSWORD)
    curl = curl_factory(surroundings)
    url = f"https://{SOURCE}/v2/library/hello/tags/list"
    assert curl(url, headers={"Authorization": "Basic d3Jvbmc6d3Jvbmc="}).status == 401
    assert curl(url).status == 200


def test_a_login_that_is_refused_is_said_and_not_shown(
    start: Start,
    curl_factory: CurlFactory,
    private_registries: PrivateRegistries,
    tmp_path: Path,
) -> None:
    wrong = "not-the-password-at-all"
    mitmdump, surroundings = start(TOKEN_REGISTRY, password=wrong)
    curl = curl_factory(surroundings)
    for _ in range(3):
        got = curl(f"https://{SOURCE}/v2/library/hello/tags/list")
        assert got.status >= 400
    assert len([each for each in private_registries.tokens.requests() if each.scopes == (PULL,)]) == 1
    assert f"the login for {TOKEN_REGISTRY} cannot be used" in mitmdump.log()
    assert "refuses the login (401)" in mitmdump.log()
    assert_secret(mitmdump, tmp_path, secrets(private_registries, wrong))


def test_a_request_that_has_no_answer_at_the_end_is_saved_without_the_login(
    start: Start, private_registries: PrivateRegistries, tmp_path: Path
) -> None:
    with stalling() as (authority, sent):
        mitmdump, surroundings = start(authority, plain=True, password=PASSWORD)
        url = f"https://{SOURCE}/v2/library/hello/blobs/sha256:{'0' * 64}"
        curl = [require("curl"), "--silent", "--proxy", surroundings.proxy or "", "--cacert", str(surroundings.ca), url]
        with Daemon(
            "curl",
            curl,
            log=tmp_path / "curl.log",
            # The login is at the endpoint, so the flow is on its way.
            ready=lambda: bool(sent),
            env=clean_env(tmp_path),
        ):
            assert sent == [f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"]
            assert_secret(mitmdump, tmp_path, secrets(private_registries))
