"""Each recipe of the README, with the configuration from config/, in front of each client that it fits.

A client that has never heard of `ns` pulls an image by its usual name, by tag and by digest. Every time: the digest is
the one that was pushed, every request at the registry proxy carried exactly the right `ns`, and nothing tried to reach
the source registry.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.clients import Containerd, Dockerd, Podman, Surroundings
from lab.fixtures import (
    ContainerdFactory,
    CurlFactory,
    DockerdFactory,
    Images,
    MitmdumpFactory,
    PodmanFactory,
    SkopeoFactory,
)
from lab.mitmdump import Mitmdump
from lab.network import PROXY_NAME, ClientMachine, PrivateNetwork, redirect, redirect_own
from lab.nsproxy import NamespaceProxy, assert_namespaced
from lab.registries import Pushed

CONFIG = Path(__file__).parents[2] / "config"
MANIFESTS = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"

pytestmark = pytest.mark.usefixtures("source_registries_untouched")

Pull = Callable[[str], str]
"""Pulls a reference and returns the digest that the client reports for it."""


# What a client has already it does not ask for again, so each forgets an image after it has been pulled.


def forgetful_docker(docker: Dockerd) -> Pull:
    def pull(reference: str) -> str:
        digest = docker.pull(reference)
        docker.remove(reference)
        return digest

    return pull


def forgetful_podman(podman: Podman, *, tls_verify: bool = True) -> Pull:
    def pull(reference: str) -> str:
        digest = podman.pull(reference, tls_verify=tls_verify)
        podman.remove_all()
        return digest

    return pull


def forgetful_containerd(containerd: Containerd, *, plain_http: bool = False) -> Pull:
    def pull(reference: str) -> str:
        digest = containerd.pull(reference, plain_http=plain_http)
        containerd.ctr("images", "rm", "--sync", reference)
        return digest

    return pull


@pytest.fixture(params=["dockerd", "podman", "skopeo", "containerd"])
def client(
    request: pytest.FixtureRequest,
    dockerd_factory: DockerdFactory,
    podman_factory: PodmanFactory,
    skopeo_factory: SkopeoFactory,
    containerd_factory: ContainerdFactory,
) -> Callable[[Surroundings], Pull]:
    """A client that pulls by image names as its users write them, in the surroundings it is given."""
    return {
        "dockerd": lambda surroundings: forgetful_docker(dockerd_factory(surroundings)),
        "podman": lambda surroundings: forgetful_podman(podman_factory(surroundings)),
        "skopeo": lambda surroundings: skopeo_factory(surroundings).digest,
        "containerd": lambda surroundings: forgetful_containerd(containerd_factory(surroundings)),
    }[request.param]


@pytest.fixture(params=["dockerd", "podman", "skopeo", "containerd"])
def plain_client(
    request: pytest.FixtureRequest,
    dockerd_factory: DockerdFactory,
    podman_factory: PodmanFactory,
    skopeo_factory: SkopeoFactory,
    containerd_factory: ContainerdFactory,
) -> Callable[[], Pull]:
    """A client that pulls from 127.0.0.1 by plain http and knows no proxy and no CA."""
    clients: dict[str, Callable[[], Pull]] = {
        "dockerd": lambda: forgetful_docker(dockerd_factory()),
        "podman": lambda: forgetful_podman(podman_factory(), tls_verify=False),
        "skopeo": lambda: functools.partial(skopeo_factory().digest, tls_verify=False),
        "containerd": lambda: forgetful_containerd(containerd_factory(), plain_http=True),
    }
    return clients[request.param]


def pulls(pull: Pull, host: str, image: Pushed, nsproxy: NamespaceProxy, namespace: str) -> None:
    """Pull the image by tag and by digest and assert everything that has to be true each time."""
    name = f"{host}/{image.repository}"
    for reference in (f"{name}:{image.tag}", f"{name}@{image.digest}"):
        nsproxy.mark()
        assert pull(reference) == image.digest
        assert_namespaced(nsproxy.requests(), namespace)


# -- (a) Docker's registry-mirrors to a reverse-mode listener ----------------------------------------------------------


@pytest.fixture
def mirror(mitmdump_factory: MitmdumpFactory, nsproxy: NamespaceProxy) -> Mitmdump:
    assert nsproxy
    return mitmdump_factory(
        conf=CONFIG / "docker-mirror.conf",
        modes=[f"reverse:http://{PROXY_NAME}:5000"],
        options={"ns_default": "docker.io"},
    )


def test_docker_pulls_through_its_registry_mirror(
    mirror: Mitmdump, dockerd_factory: DockerdFactory, nsproxy: NamespaceProxy, images: Images
) -> None:
    pull = forgetful_docker(dockerd_factory(mirrors=[mirror.url]))
    for image in (images.hello, images.hello_docker):
        pulls(pull, "docker.io", image, nsproxy, "docker.io")


def test_a_client_names_the_registry_in_the_path_of_a_mirror(
    mirror: Mitmdump, plain_client: Callable[[], Pull], nsproxy: NamespaceProxy, images: Images
) -> None:
    pulls(plain_client(), f"127.0.0.1:{mirror.port}/quay.io", images.etcd, nsproxy, "quay.io")


# -- (b) one listener per registry -------------------------------------------------------------------------------------


def test_a_client_pulls_from_the_listener_of_a_registry(
    mitmdump_factory: MitmdumpFactory, plain_client: Callable[[], Pull], nsproxy: NamespaceProxy, images: Images
) -> None:
    mitmdump = mitmdump_factory(
        conf=CONFIG / "listener-per-registry.conf",
        modes=["reverse:https://quay.io", "reverse:https://registry-1.docker.io"],
    )
    quay, hub = mitmdump.ports
    pull = plain_client()
    pulls(pull, f"127.0.0.1:{quay}", images.etcd, nsproxy, "quay.io")
    assert all(request.is_ping or request.path.startswith("/v2/quay/") for request in nsproxy.requests())
    pulls(pull, f"127.0.0.1:{hub}", images.hello, nsproxy, "docker.io")


# -- (c) HTTPS_PROXY, with the CA trusted ------------------------------------------------------------------------------


@pytest.fixture
def proxy(mitmdump_factory: MitmdumpFactory, nsproxy: NamespaceProxy) -> Mitmdump:
    assert nsproxy
    return mitmdump_factory(conf=CONFIG / "https-proxy.conf")


def test_a_client_pulls_through_https_proxy(
    proxy: Mitmdump, client: Callable[[Surroundings], Pull], nsproxy: NamespaceProxy, images: Images
) -> None:
    pull = client(Surroundings(proxy=proxy.url, ca=proxy.ca_pem))
    pulls(pull, "quay.io", images.etcd, nsproxy, "quay.io")
    pulls(pull, "docker.io", images.hello, nsproxy, "docker.io")


def test_curl_pulls_through_https_proxy_by_http_2(
    proxy: Mitmdump, curl_factory: CurlFactory, nsproxy: NamespaceProxy, images: Images
) -> None:
    curl = curl_factory(Surroundings(proxy=proxy.url, ca=proxy.ca_pem))
    for reference in (images.etcd.tag, images.etcd.digest):
        got = curl(f"https://quay.io/v2/coreos/etcd/manifests/{reference}", headers={"Accept": MANIFESTS})
        assert (got.status, got.http_version) == (200, "2")
        assert got.headers["docker-content-digest"] == images.etcd.digest
        assert got.headers["oci-namespace"] == "quay.io"
    assert_namespaced(nsproxy.requests(), "quay.io")


@pytest.mark.parametrize("http2", [True, False])
def test_the_rest_of_a_query_arrives_byte_for_byte(
    proxy: Mitmdump, curl_factory: CurlFactory, nsproxy: NamespaceProxy, http2: bool
) -> None:
    curl = curl_factory(Surroundings(proxy=proxy.url, ca=proxy.ca_pem))
    rows = {
        "/v2/coreos/etcd/tags/list?n=50&last=v1%2E0+x": "/v2/coreos/etcd/tags/list?n=50&last=v1%2E0+x&ns=quay.io",
        "/v2/coreos/etcd/tags/list?ns=&n=5": "/v2/coreos/etcd/tags/list?n=5&ns=quay.io",
        "/v2/coreos%2Fetcd/tags/list?a=%c3%A9&&b": "/v2/coreos%2Fetcd/tags/list?a=%c3%A9&&b&ns=quay.io",
        "/v2/coreos/etcd/tags/list?n=1&ns=quay.io&last=": "/v2/coreos/etcd/tags/list?n=1&ns=quay.io&last=",
    }
    for sent in rows:
        assert curl(f"https://quay.io{sent}", http2=http2).status == 200
    assert [request.target for request in nsproxy.requests()] == list(rows.values())


def test_a_wildcard_sends_the_host_that_was_asked_for(
    proxy: Mitmdump, curl_factory: CurlFactory, nsproxy: NamespaceProxy
) -> None:
    curl = curl_factory(Surroundings(proxy=proxy.url, ca=proxy.ca_pem))
    assert curl("https://eu.quay.io/v2/coreos/etcd/tags/list").status == 200
    assert [request.target for request in nsproxy.requests()] == ["/v2/coreos/etcd/tags/list?ns=eu.quay.io"]


def test_credentials_for_the_registry_do_not_reach_the_proxy(
    proxy: Mitmdump, curl_factory: CurlFactory, nsproxy: NamespaceProxy
) -> None:
    curl = curl_factory(Surroundings(proxy=proxy.url, ca=proxy.ca_pem))
    secret = {"Authorization": "Basic c2VjcmV0OnNlY3JldA=="}
    curl("https://quay.io/v2/coreos/etcd/tags/list", headers=secret)
    curl(f"https://{PROXY_NAME}/v2/coreos/etcd/tags/list?ns=quay.io", headers=secret)
    assert [request.authorized for request in nsproxy.requests()] == [False, True]
    assert "c2VjcmV0" not in proxy.log()


# -- (d) transparent mode ----------------------------------------------------------------------------------------------


@pytest.fixture
def gateway(
    mitmdump_factory: MitmdumpFactory, client_machine: ClientMachine, nsproxy: NamespaceProxy
) -> Iterator[Mitmdump]:
    assert nsproxy
    mitmdump = mitmdump_factory(conf=CONFIG / "transparent.conf", modes=["transparent"])
    with redirect(client_machine, mitmdump.port):
        yield mitmdump


def test_a_client_pulls_through_a_transparent_gateway(
    gateway: Mitmdump,
    client: Callable[[Surroundings], Pull],
    client_machine: ClientMachine,
    nsproxy: NamespaceProxy,
    images: Images,
) -> None:
    pull = client(Surroundings(ca=gateway.ca_pem, machine=client_machine))
    pulls(pull, "quay.io", images.etcd, nsproxy, "quay.io")
    pulls(pull, "docker.io", images.hello, nsproxy, "docker.io")


def test_curl_asks_through_a_transparent_gateway_by_http_2(
    gateway: Mitmdump, client_machine: ClientMachine, curl_factory: CurlFactory, nsproxy: NamespaceProxy, images: Images
) -> None:
    curl = curl_factory(Surroundings(ca=gateway.ca_pem, machine=client_machine))
    got = curl(f"https://quay.io/v2/coreos/etcd/manifests/{images.etcd.digest}", headers={"Accept": MANIFESTS})
    assert (got.status, got.http_version) == (200, "2")
    assert got.headers["docker-content-digest"] == images.etcd.digest
    assert_namespaced(nsproxy.requests(), "quay.io")


def test_skopeo_pulls_on_the_machine_that_runs_the_transparent_proxy(
    mitmdump_factory: MitmdumpFactory,
    skopeo_factory: SkopeoFactory,
    network: PrivateNetwork,
    nsproxy: NamespaceProxy,
    images: Images,
) -> None:
    assert network
    user = 65534
    mitmdump = mitmdump_factory(conf=CONFIG / "transparent.conf", modes=["transparent"], user=user)
    with redirect_own(mitmdump.port, except_user=user):
        pulls(skopeo_factory(Surroundings(ca=mitmdump.ca_pem)).digest, "quay.io", images.etcd, nsproxy, "quay.io")


# -- (e) DNS or /etc/hosts, with keep_host_header ----------------------------------------------------------------------


@pytest.fixture
def overridden(tmp_path: Path, network: PrivateNetwork) -> Iterator[ClientMachine]:
    """A machine on which the registries' names mean the gateway."""
    assert network
    with ClientMachine(tmp_path / "overridden", led_to_gateway=("quay.io", "registry-1.docker.io")) as machine:
        yield machine


def test_a_client_pulls_where_dns_leads_it(
    overridden: ClientMachine,
    mitmdump_factory: MitmdumpFactory,
    client: Callable[[Surroundings], Pull],
    nsproxy: NamespaceProxy,
    images: Images,
) -> None:
    mitmdump = mitmdump_factory(
        conf=CONFIG / "dns-override.conf",
        modes=[f"reverse:https://{PROXY_NAME}@{overridden.gateway}:443"],
        options={"keep_host_header": "true"},
    )
    pull = client(Surroundings(ca=mitmdump.ca_pem, machine=overridden))
    pulls(pull, "quay.io", images.etcd, nsproxy, "quay.io")
    pulls(pull, "docker.io", images.hello, nsproxy, "docker.io")


def test_curl_asks_where_dns_leads_it_by_http_2(
    overridden: ClientMachine,
    mitmdump_factory: MitmdumpFactory,
    curl_factory: CurlFactory,
    nsproxy: NamespaceProxy,
    images: Images,
) -> None:
    mitmdump = mitmdump_factory(
        conf=CONFIG / "dns-override.conf",
        modes=[f"reverse:https://{PROXY_NAME}@{overridden.gateway}:443"],
        options={"keep_host_header": "true"},
    )
    curl = curl_factory(Surroundings(ca=mitmdump.ca_pem, machine=overridden))
    got = curl("https://quay.io/v2/coreos/etcd/manifests/v3", headers={"Accept": MANIFESTS})
    assert (got.status, got.http_version) == (200, "2")
    assert got.headers["docker-content-digest"] == images.etcd.digest
    assert_namespaced(nsproxy.requests(), "quay.io")
