"""mitmproxy's modes: what is not configured passes through unread in each of them, and proxies can be chained."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.certificates import CertificateAuthority, bundle
from lab.clients import ClientError, Curl, Surroundings
from lab.corporate_proxy import CorporateProxy, no_way_out_for
from lab.fixtures import CurlFactory, DockerdFactory, Images, MitmdumpFactory, PodmanFactory, SkopeoFactory
from lab.mitmdump import Mitmdump
from lab.network import PROXY_ADDRESS, PROXY_NAME, ClientMachine, PrivateNetwork, redirect
from lab.nsproxy import NamespaceProxy, assert_namespaced
from lab.registries import Registry

UNRELATED, UNRELATED_ADDRESS = "unrelated.example.com", "198.51.100.70"
ITSELF, ITSELF_ADDRESS = "itself.example.com", "198.51.100.71"
USER = 65534

CONF = f"""
[[registry]]
prefix = "quay.io"
location = "quay.io"
[[registry.mirror]]
location = "{PROXY_NAME}"
namespace-proxy = "quay.io"

[[registry]]
prefix = "{ITSELF}"
location = "{ITSELF}"
"""


@pytest.fixture(scope="module", autouse=True)
def strangers(lab_directory: Path, network: PrivateNetwork, lab_ca: CertificateAuthority) -> Iterator[None]:
    """Two registries with certificates of the laboratory's CA: one not in the file, one that maps to itself."""
    with contextlib.ExitStack() as stack:
        for name, address in ((UNRELATED, UNRELATED_ADDRESS), (ITSELF, ITSELF_ADDRESS)):
            network.add_address(address)
            network.add_host(name, address)
            certificate = lab_ca.issue(name, address)
            registry = Registry(name, lab_directory, address=address, port=443, certificate=certificate)
            stack.enter_context(registry)
        yield


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "registries.conf"
    path.write_text(CONF)
    return path


Asking = Callable[[Path], Curl]
"""A curl that asks through mitmdump and trusts this CA alone."""


@pytest.fixture(params=["regular", "socks5", "transparent"])
def asked(
    request: pytest.FixtureRequest,
    conf: Path,
    tmp_path: Path,
    mitmdump_factory: MitmdumpFactory,
    curl_factory: CurlFactory,
    nsproxy: NamespaceProxy,
) -> Iterator[tuple[Mitmdump, Asking]]:
    assert nsproxy
    mode = request.param
    mitmdump = mitmdump_factory(conf=conf, modes=[mode])
    with contextlib.ExitStack() as stack:
        if mode == "transparent":
            machine = stack.enter_context(ClientMachine(tmp_path / "machine"))
            stack.enter_context(redirect(machine, mitmdump.port))
            yield mitmdump, lambda ca: curl_factory(Surroundings(ca=ca, machine=machine))
        else:
            url = mitmdump.url.replace("http", "socks5h") if mode == "socks5" else mitmdump.url
            yield mitmdump, lambda ca: curl_factory(Surroundings(proxy=url, ca=ca))


@pytest.mark.parametrize("host", [UNRELATED, UNRELATED_ADDRESS, ITSELF])
def test_tls_of_a_host_that_nothing_is_rewritten_for_is_passed_through_unread(
    host: str, asked: tuple[Mitmdump, Asking], lab_ca: CertificateAuthority
) -> None:
    mitmdump, asking = asked
    # Who trusts the laboratory's CA alone would not take a certificate of mitmproxy's.
    assert asking(lab_ca.pem)(f"https://{host}/v2/").status == 200
    with pytest.raises(ClientError, match="certificate"):
        asking(mitmdump.ca_pem)(f"https://{host}/v2/")
    assert f"https://{host}" not in mitmdump.log()
    assert "GET " not in mitmdump.log()


def test_a_configured_host_is_intercepted_beside_it(
    asked: tuple[Mitmdump, Asking], lab_ca: CertificateAuthority, nsproxy: NamespaceProxy
) -> None:
    mitmdump, asking = asked
    assert asking(mitmdump.ca_pem)("https://quay.io/v2/coreos/etcd/tags/list").status == 200
    assert_namespaced(nsproxy.requests(), "quay.io")
    with pytest.raises(ClientError, match="certificate"):
        asking(lab_ca.pem)("https://quay.io/v2/coreos/etcd/tags/list")


@pytest.mark.parametrize("kind", ["podman", "skopeo"])
def test_a_client_pulls_through_socks(
    kind: str,
    conf: Path,
    mitmdump_factory: MitmdumpFactory,
    podman_factory: PodmanFactory,
    skopeo_factory: SkopeoFactory,
    nsproxy: NamespaceProxy,
    images: Images,
) -> None:
    mitmdump = mitmdump_factory(conf=conf, modes=["socks5"])
    surroundings = Surroundings(proxy=mitmdump.url.replace("http", "socks5"), ca=mitmdump.ca_pem)
    name = f"quay.io/{images.etcd.repository}:{images.etcd.tag}"
    pull = podman_factory(surroundings).pull if kind == "podman" else skopeo_factory(surroundings).digest
    assert pull(name) == images.etcd.digest
    assert_namespaced(nsproxy.requests(), "quay.io")


# -- chained to a corporate proxy --------------------------------------------------------------------------------------


@pytest.fixture(params=[None, ("somebody", "secret")], ids=["open", "with a password"])
def corporate(request: pytest.FixtureRequest, tmp_path: Path, network: PrivateNetwork) -> Iterator[CorporateProxy]:
    assert network
    proxy = CorporateProxy(tmp_path / "corporate", request.param)
    with proxy.daemon:
        yield proxy


Chain = Callable[[str], Mitmdump]


@pytest.fixture
def chain(
    corporate: CorporateProxy, tmp_path: Path, mitmdump_factory: MitmdumpFactory, nsproxy: NamespaceProxy
) -> Iterator[Chain]:
    """Start a mitmdump with this configuration, whose only way anywhere is the corporate proxy."""
    assert nsproxy

    def start(text: str) -> Mitmdump:
        conf = tmp_path / "registries.conf"
        conf.write_text(text)
        login = corporate.login
        options = {"upstream_auth": ":".join(login)} if login is not None else {}
        return mitmdump_factory(conf=conf, modes=[f"upstream:{corporate.url}"], options=options, user=USER)

    with no_way_out_for(USER, PROXY_ADDRESS, UNRELATED_ADDRESS):
        yield start


@pytest.mark.parametrize("kind", ["docker", "podman", "skopeo"])
def test_a_client_pulls_through_a_chain_of_proxies(
    kind: str,
    chain: Chain,
    corporate: CorporateProxy,
    dockerd_factory: DockerdFactory,
    podman_factory: PodmanFactory,
    skopeo_factory: SkopeoFactory,
    nsproxy: NamespaceProxy,
    images: Images,
) -> None:
    chained = chain(CONF)
    surroundings = Surroundings(proxy=chained.url, ca=chained.ca_pem)
    clients: dict[str, Callable[[], Callable[[str], str]]] = {
        "docker": lambda: dockerd_factory(surroundings).pull,
        "podman": lambda: podman_factory(surroundings).pull,
        "skopeo": lambda: skopeo_factory(surroundings).digest,
    }
    assert clients[kind]()(f"quay.io/{images.etcd.repository}:{images.etcd.tag}") == images.etcd.digest
    assert_namespaced(nsproxy.requests(), "quay.io")
    assert corporate.requests()
    assert all(PROXY_NAME in line for line in corporate.requests())


def test_an_endpoint_with_plain_http_is_reached_through_the_chain(
    chain: Chain, corporate: CorporateProxy, curl_factory: CurlFactory, nsproxy: NamespaceProxy, images: Images
) -> None:
    plain = CONF.replace(f'location = "{PROXY_NAME}"', f'location = "{PROXY_NAME}:5000"\nplain-http = true')
    chained = chain(plain)
    curl = curl_factory(Surroundings(proxy=chained.url, ca=chained.ca_pem))
    # In one field: tinyproxy passes on no more than one of a name, where clients send several.
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"}
    for _ in range(2):
        got = curl(f"https://quay.io/v2/{images.etcd.repository}/manifests/{images.etcd.digest}", headers=accept)
        assert (got.status, got.headers["docker-content-digest"]) == (200, images.etcd.digest)
    assert_namespaced(nsproxy.requests(), "quay.io")
    assert any(f"GET http://{PROXY_NAME}:5000/v2/" in line for line in corporate.requests())


def test_what_is_not_configured_passes_through_the_chain_unread(
    chain: Chain, corporate: CorporateProxy, curl_factory: CurlFactory, lab_ca: CertificateAuthority
) -> None:
    curl = curl_factory(Surroundings(proxy=chain(CONF).url, ca=lab_ca.pem))
    assert curl(f"https://{UNRELATED}/v2/").status == 200
    assert any(UNRELATED in line for line in corporate.requests())


def test_a_corporate_proxy_that_refuses_is_told_to_the_client(
    tmp_path: Path, network: PrivateNetwork, mitmdump_factory: MitmdumpFactory, curl_factory: CurlFactory, conf: Path
) -> None:
    assert network
    corporate = CorporateProxy(tmp_path / "corporate", ("somebody", "secret"))
    with corporate.daemon:
        mitmdump = mitmdump_factory(conf=conf, modes=[f"upstream:{corporate.url}"])
        curl = curl_factory(Surroundings(proxy=mitmdump.url, ca=mitmdump.ca_pem))
        got = curl("https://quay.io/v2/coreos/etcd/tags/list")
    assert got.status == 502
    message = got.json()["errors"][0]["message"]
    assert f"the upstream proxy 127.0.0.1:{corporate.port} answers 407" in message


def test_a_ca_for_everything_is_not_needed_where_a_bundle_has_both(
    conf: Path,
    tmp_path: Path,
    mitmdump_factory: MitmdumpFactory,
    curl_factory: CurlFactory,
    lab_ca: CertificateAuthority,
    nsproxy: NamespaceProxy,
) -> None:
    assert nsproxy
    mitmdump = mitmdump_factory(conf=conf)
    both = bundle(tmp_path / "both.pem", lab_ca.pem, mitmdump.ca_pem)
    curl = curl_factory(Surroundings(proxy=mitmdump.url, ca=both))
    assert curl(f"https://{UNRELATED}/v2/").status == 200
    assert curl("https://quay.io/v2/coreos/etcd/tags/list").status == 200
