"""Real clients pull through nginx, HAProxy and Envoy, each with what `ns-inject export` wrote for it.

As with mitmdump: the digest is the one that was pushed, every request at the registry proxy carried exactly the right
`ns`, and nothing tried to reach the source registry.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pytest

from lab.certificates import CertificateAuthority
from lab.clients import Surroundings
from lab.engines import ENGINES, NS_INJECT, export_by_command, started
from lab.fixtures import ContainerdFactory, DockerdFactory, Images, PodmanFactory
from lab.mitmdump import ADDON
from lab.network import PROXY_NAME, ClientMachine, PrivateNetwork
from lab.nsproxy import NamespaceProxy, assert_namespaced
from lab.process import clean_env, free_port, run
from lab.registries import Pushed, Registry

CONFIG = Path(__file__).parents[2] / "config"
CLIENTS = ("dockerd", "podman", "containerd")
MIRRORED = ("docker.io", "quay.io")

pytestmark = pytest.mark.usefixtures("source_registries_untouched")

Pull = Callable[[str], str]
"""Pulls a reference and returns the digest that the client reports for it."""


class Serve(Protocol):
    """Exports a configuration by the command, and starts the engine with it; returns the port."""

    def __call__(self, conf: Path, *options: str, address: str = "127.0.0.1", port: int | None = None) -> int: ...


@pytest.fixture(params=ENGINES)
def serve(
    request: pytest.FixtureRequest, tmp_path: Path, lab_ca: CertificateAuthority, network: PrivateNetwork
) -> Iterator[Serve]:
    engine: str = request.param
    assert network
    with contextlib.ExitStack() as stack:

        def start(conf: Path, *options: str, address: str = "127.0.0.1", port: int | None = None) -> int:
            port = port or free_port()
            listen = ("--listen", f"{address}:{port}", "--ca", str(lab_ca.pem))
            main = export_by_command(engine, conf, tmp_path / "engine", *listen, *options)
            stack.enter_context(started(engine, main, [port], address=address))
            return port

        yield start


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def big(hub: Registry) -> Pushed:
    """More than any engine's buffers hold."""
    return hub.push_big("library/big", "latest", 24 << 20)


def pulls(pull: Pull, host: str, image: Pushed, nsproxy: NamespaceProxy, namespace: str) -> None:
    """Pull the image, and assert that all of it came by the registry proxy."""
    nsproxy.mark()
    assert pull(f"{host}/{image.repository}:{image.tag}") == image.digest
    requests = nsproxy.requests()
    assert_namespaced(requests, namespace)
    blobs = [request.path.rpartition("/")[2] for request in requests if "/blobs/" in request.path]
    assert set(image.layers) <= set(blobs)
    assert len(set(blobs)) >= 2, "a layer and the image's configuration"
    assert {request.host for request in requests} <= {PROXY_NAME, f"{PROXY_NAME}:5000"}


# -- a mirror, by the client's own setting -----------------------------------------------------------------------------


@pytest.fixture
def by_mirror(
    client: str,
    tmp_path: Path,
    dockerd_factory: DockerdFactory,
    podman_factory: PodmanFactory,
    containerd_factory: ContainerdFactory,
) -> Callable[[int], Pull]:
    """A client whose mirror is this port of 127.0.0.1, for docker.io and quay.io (Docker: docker.io alone)."""

    def docker(port: int) -> Pull:
        return dockerd_factory(mirrors=[f"http://127.0.0.1:{port}"]).pull

    def podman(port: int) -> Pull:
        lines = []
        for registry in MIRRORED:
            lines += ["[[registry]]", f'location = "{registry}"', "[[registry.mirror]]"]
            lines += [f'location = "127.0.0.1:{port}/{registry}"', "insecure = true", ""]
        conf = tmp_path / "podman.conf"
        conf.write_text("\n".join(lines))
        return podman_factory(registries_conf=conf).pull

    def containerd(port: int) -> Pull:
        hosts = tmp_path / "certs.d"
        for registry in MIRRORED:
            (hosts / registry).mkdir(parents=True)
            lines = ['capabilities = ["pull", "resolve"]', "skip_verify = true"]
            (hosts / registry / "hosts.toml").write_text("\n".join([f'[host."http://127.0.0.1:{port}"]', *lines, ""]))
        daemon = containerd_factory()
        return lambda reference: daemon.pull(reference, hosts_dir=hosts)

    return {"dockerd": docker, "podman": podman, "containerd": containerd}[client]


def test_a_client_pulls_from_an_engine_as_its_mirror(
    serve: Serve, client: str, by_mirror: Callable[[int], Pull], nsproxy: NamespaceProxy, images: Images, big: Pushed
) -> None:
    port = serve(
        CONFIG / "docker-mirror.conf",
        *("--destination", f"http://{PROXY_NAME}:5000"),
        *("--set", "ns_default=docker.io"),
    )
    pull = by_mirror(port)
    for image in (images.hello, images.hello_docker, big):
        pulls(pull, "docker.io", image, nsproxy, "docker.io")
    if client != "dockerd":
        pulls(pull, "quay.io", images.etcd, nsproxy, "quay.io")


# -- DNS, or /etc/hosts, with a certificate for the registries' names --------------------------------------------------


@pytest.fixture
def overridden(tmp_path: Path, network: PrivateNetwork) -> Iterator[ClientMachine]:
    """A machine on which the registries' names mean the gateway."""
    assert network
    with ClientMachine(tmp_path / "overridden", led_to_gateway=("quay.io", "registry-1.docker.io")) as machine:
        yield machine


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    """Whom the clients trust, and no engine."""
    return CertificateAuthority(tmp_path_factory.mktemp("company"))


@pytest.fixture
def by_name(
    client: str,
    overridden: ClientMachine,
    company: CertificateAuthority,
    dockerd_factory: DockerdFactory,
    podman_factory: PodmanFactory,
    containerd_factory: ContainerdFactory,
) -> Pull:
    """A client that knows nothing but whom to trust."""
    surroundings = Surroundings(ca=company.pem, machine=overridden)
    factories: dict[str, Callable[[], Pull]] = {
        "dockerd": lambda: dockerd_factory(surroundings).pull,
        "podman": lambda: podman_factory(surroundings).pull,
        "containerd": lambda: containerd_factory(surroundings).pull,
    }
    return factories[client]()


@pytest.fixture
def tls(company: CertificateAuthority, tmp_path: Path) -> Sequence[str]:
    """Options for a listener with a certificate for the registries' names, its key beside it as HAProxy wants it."""
    chain, key = company.issue("quay.io", "registry-1.docker.io")
    certificate = tmp_path / "listener.pem"
    certificate.write_bytes(chain.read_bytes())
    beside = Path(f"{certificate}.key")
    beside.write_bytes(key.read_bytes())
    return ("--tls-cert", str(certificate), "--tls-key", str(beside))


def test_a_client_pulls_from_an_engine_where_dns_leads_it(
    serve: Serve,
    by_name: Pull,
    overridden: ClientMachine,
    tls: Sequence[str],
    nsproxy: NamespaceProxy,
    images: Images,
    big: Pushed,
) -> None:
    serve(CONFIG / "dns-override.conf", *tls, address=overridden.gateway, port=443)
    for image in (images.hello, images.hello_docker, big):
        pulls(by_name, "docker.io", image, nsproxy, "docker.io")
    pulls(by_name, "quay.io", images.etcd, nsproxy, "quay.io")


def test_the_check_of_a_client_that_dns_leads_to_an_engine_finds_nothing(
    serve: Serve,
    overridden: ClientMachine,
    company: CertificateAuthority,
    tls: Sequence[str],
    nsproxy: NamespaceProxy,
    tmp_path: Path,
) -> None:
    serve(CONFIG / "dns-override.conf", *tls, address=overridden.gateway, port=443)
    root = tmp_path / "root"
    root.mkdir()
    client = [*NS_INJECT, "client", "podman", "--recipe", "dns", "--registries-conf", str(CONFIG / "dns-override.conf")]
    client += ["--proxy", f"https://{overridden.gateway}", "--ca", str(company.pem), "--root", str(root)]
    for step in ("--write", "--check"):
        run([*client, step], env=clean_env(tmp_path, PYTHONPATH=str(ADDON.parent)))
    assert [request.path for request in nsproxy.requests()] == ["/v2/", "/v2/"]


# -- fallback ----------------------------------------------------------------------------------------------------------

FIRST_IS_DOWN = f"""
[[registry]]
prefix = "docker.io"
location = "docker.io"
[[registry.mirror]]
location = "down.example.com"
namespace-proxy = "docker.io"
[[registry.mirror]]
location = "{PROXY_NAME}"
namespace-proxy = "docker.io"

[[registry]]
prefix = "quay.io"
location = "quay.io"
[[registry.mirror]]
location = "down.example.com:5000"
namespace-proxy = "quay.io"
plain-http = true
[[registry.mirror]]
location = "{PROXY_NAME}:5000/quay"
namespace-proxy = "quay.io"
plain-http = true
"""


def test_a_client_pulls_from_the_second_mirror_where_the_first_is_down(
    serve: Serve,
    by_name: Pull,
    overridden: ClientMachine,
    tls: Sequence[str],
    network: PrivateNetwork,
    nsproxy: NamespaceProxy,
    images: Images,
    tmp_path: Path,
) -> None:
    # It is this machine's own, and nobody listens there.
    network.add_host("down.example.com", "127.0.0.40")
    conf = tmp_path / "registries.conf"
    conf.write_text(FIRST_IS_DOWN)
    serve(conf, *tls, address=overridden.gateway, port=443)
    pulls(by_name, "docker.io", images.hello, nsproxy, "docker.io")
    pulls(by_name, "quay.io", images.etcd, nsproxy, "quay.io")
    assert all(request.is_ping or request.path.startswith("/v2/quay/") for request in nsproxy.requests())
