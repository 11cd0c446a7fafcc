"""mitmproxy's modes: what is not configured passes through unread in each of them, and proxies can be chained."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from mitmproxy import http
from mitmproxy.io import FlowReader

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
BELOW_ITSELF, BELOW_ITSELF_ADDRESS = "registry.corp.example.com", "198.51.100.72"
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

[[registry]]
prefix = "*.corp.example.com"
"""


@pytest.fixture(scope="module", autouse=True)
def strangers(lab_directory: Path, network: PrivateNetwork, lab_ca: CertificateAuthority) -> Iterator[None]:
    """Registries with certificates of the laboratory's CA: one not in the file, and two that map to themselves."""
    strangers = {UNRELATED: UNRELATED_ADDRESS, ITSELF: ITSELF_ADDRESS, BELOW_ITSELF: BELOW_ITSELF_ADDRESS}
    with contextlib.ExitStack() as stack:
        for name, address in strangers.items():
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


@pytest.mark.parametrize("host", [UNRELATED, UNRELATED_ADDRESS, ITSELF, BELOW_ITSELF])
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


def issuer_of(tunnel: socket.socket, sni: str | None) -> str:
    """Who issued the certificate that is shown at the end of the tunnel, to a client that takes any."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(tunnel, server_hostname=sni) as connection:
        shown = connection.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).issuer.rfc4514_string()


def tunnel_to(mitmdump: Mitmdump, host: str) -> socket.socket:
    """A connection to port 443 of a host, by CONNECT."""
    connection = socket.create_connection(("127.0.0.1", mitmdump.port), timeout=20)
    connection.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        # Byte by byte: what follows the head is TLS.
        byte = connection.recv(1)
        assert byte, head
        head += byte
    assert head.startswith(b"HTTP/1.1 200"), head
    return connection


@pytest.mark.parametrize("with_sni", [True, False])
@pytest.mark.parametrize(
    ("host", "issuer"),
    [(UNRELATED, "ns-inject laboratory"), (ITSELF, "ns-inject laboratory"), ("quay.io", "mitmproxy")],
)
def test_without_sni_the_host_is_the_one_the_proxy_was_asked_for(
    host: str, issuer: str, with_sni: bool, conf: Path, mitmdump_factory: MitmdumpFactory
) -> None:
    mitmdump = mitmdump_factory(conf=conf)
    with tunnel_to(mitmdump, host) as tunnel:
        assert issuer in issuer_of(tunnel, host if with_sni else None)


def test_nothing_of_what_passes_through_unread_is_saved(
    conf: Path,
    tmp_path: Path,
    mitmdump_factory: MitmdumpFactory,
    curl_factory: CurlFactory,
    lab_ca: CertificateAuthority,
    nsproxy: NamespaceProxy,
) -> None:
    assert nsproxy
    saved = tmp_path / "flows"
    mitmdump = mitmdump_factory(conf=conf, options={"save_stream_file": str(saved)})
    both = bundle(tmp_path / "both.pem", lab_ca.pem, mitmdump.ca_pem)
    curl = curl_factory(Surroundings(proxy=mitmdump.url, ca=both))
    for host in (UNRELATED, ITSELF):
        assert curl(f"https://{host}/v2/", headers={"X-Unread": "unread"}).status == 200
    assert curl("https://quay.io/v2/coreos/etcd/tags/list", headers={"X-Read": "known"}).status == 200
    mitmdump.stop()
    with saved.open("rb") as file:
        flows = list(FlowReader(file).stream())
    seen = [flow for flow in flows if isinstance(flow, http.HTTPFlow)]
    assert [flow.request.headers["X-Read"] for flow in seen] == ["known"]
    assert b"unread" not in saved.read_bytes()


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
