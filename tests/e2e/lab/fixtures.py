"""Knows how tests get hold of the laboratory: pytest fixtures, to be imported by a conftest.

Servers live as long as the test run, since starting them anew would tell nothing more; clients, mitmdumps and client
machines live as long as a test. What a server recorded is counted from the beginning of each test.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from .certificates import CertificateAuthority
from .clients import DIRECT, Containerd, Curl, Dockerd, Podman, Skopeo, Surroundings
from .mitmdump import ADDON, Mitmdump
from .network import ClientMachine, PrivateNetwork, PrivateNetworkError, enter_private_network
from .nsproxy import NamespaceProxy
from .private_registries import PrivateRegistries
from .process import unavailable
from .registries import ETCD, HELLO, Pushed, Registry
from .showcase import Showcase, set_up
from .tripwire import Tripwire

__all__ = [
    "cache",
    "client_machine",
    "containerd_factory",
    "curl_factory",
    "dockerd_factory",
    "hub",
    "images",
    "lab_ca",
    "lab_directory",
    "mitmdump_factory",
    "network",
    "nsproxy",
    "nsproxy_server",
    "podman_factory",
    "private_registries",
    "private_registries_server",
    "quay",
    "showcase",
    "skopeo_factory",
    "source_registries_untouched",
    "tripwire",
    "tripwire_server",
]


@dataclass(frozen=True)
class Images:
    """What is in the registries from the beginning."""

    hello: Pushed
    """docker.io/library/hello:latest, for this machine, in OCI format."""
    hello_docker: Pushed
    """docker.io/library/hello:1.0, for this machine, in Docker's format."""
    etcd: Pushed
    """quay.io/coreos/etcd:v3, an OCI index for amd64 and arm64."""


class MitmdumpFactory(Protocol):
    """Starts mitmdumps that end with the test; see :class:`lab.mitmdump.Mitmdump`."""

    def __call__(
        self,
        *,
        conf: Path | None = None,
        modes: Sequence[str] = ("regular",),
        options: Mapping[str, str] | None = None,
        scripts: Sequence[Path] = (ADDON,),
        user: int | None = None,
    ) -> Mitmdump: ...


class DockerdFactory(Protocol):
    """Starts dockerds that end with the test; see :class:`lab.clients.Dockerd`."""

    def __call__(
        self,
        surroundings: Surroundings = DIRECT,
        *,
        mirrors: Sequence[str] = (),
        insecure_registries: Sequence[str] = (),
        options: Sequence[str] = (),
    ) -> Dockerd: ...


class ContainerdFactory(Protocol):
    """Starts containerds that end with the test; see :class:`lab.clients.Containerd`."""

    def __call__(self, surroundings: Surroundings = DIRECT) -> Containerd: ...


class PodmanFactory(Protocol):
    """Makes podmans whose storage ends with the test; see :class:`lab.clients.Podman`."""

    def __call__(self, surroundings: Surroundings = DIRECT, *, registries_conf: Path | None = None) -> Podman: ...


class SkopeoFactory(Protocol):
    """Makes skopeos; see :class:`lab.clients.Skopeo`."""

    def __call__(self, surroundings: Surroundings = DIRECT, *, registries_conf: Path | None = None) -> Skopeo: ...


class CurlFactory(Protocol):
    """Makes curls; see :class:`lab.clients.Curl`."""

    def __call__(self, surroundings: Surroundings = DIRECT) -> Curl: ...


@pytest.fixture(scope="session")
def network() -> PrivateNetwork:
    """The private network, in which the test process is from now on."""
    try:
        return enter_private_network()
    except PrivateNetworkError as error:
        unavailable(str(error))


@pytest.fixture(scope="session")
def lab_directory(tmp_path_factory: pytest.TempPathFactory, network: PrivateNetwork) -> Path:
    """Where the servers have their files and logs."""
    assert network
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="session")
def lab_ca(lab_directory: Path) -> CertificateAuthority:
    """The authority that issued the registry proxy's certificate."""
    return CertificateAuthority(lab_directory / "ca")


@pytest.fixture(scope="session")
def tripwire_server(network: PrivateNetwork) -> Iterator[Tripwire]:
    """The tripwire, with everything since the beginning of the test run."""
    assert network
    with Tripwire() as tripwire:
        yield tripwire


@pytest.fixture
def tripwire(tripwire_server: Tripwire) -> Tripwire:
    """The tripwire, untouched yet."""
    tripwire_server.clear()
    return tripwire_server


@pytest.fixture
def source_registries_untouched(tripwire: Tripwire) -> Iterator[None]:
    """At the end of the test, assert that nothing has tried to reach a source registry."""
    yield
    assert tripwire.touched == []


@pytest.fixture(scope="session")
def hub(lab_directory: Path) -> Iterator[Registry]:
    """The registry with the content of docker.io."""
    with Registry("hub", lab_directory) as registry:
        yield registry


@pytest.fixture(scope="session")
def quay(lab_directory: Path) -> Iterator[Registry]:
    """The registry with the content of quay.io."""
    with Registry("quay", lab_directory) as registry:
        yield registry


@pytest.fixture(scope="session")
def cache(lab_directory: Path, quay: Registry) -> Iterator[Registry]:
    """The pull-through cache of ``quay``."""
    with Registry("cache", lab_directory, upstream=quay.url) as registry:
        yield registry


@pytest.fixture(scope="session")
def images(hub: Registry, quay: Registry) -> Images:
    """Images which are in the registries."""
    return Images(
        hello=hub.push(HELLO, "latest", "hello, world"),
        hello_docker=hub.push(HELLO, "1.0", "hello, old world", docker_format=True),
        etcd=quay.push(ETCD, "v3", "not really etcd", architectures=("amd64", "arm64")),
    )


@pytest.fixture(scope="session")
def nsproxy_server(
    lab_directory: Path, lab_ca: CertificateAuthority, hub: Registry, cache: Registry, images: Images
) -> Iterator[NamespaceProxy]:
    """The registry proxy: docker.io is ``hub``, quay.io is ``cache``, and the images are there."""
    assert images
    backends = {"docker.io": hub.authority, "quay.io": cache.authority, "eu.quay.io": cache.authority}
    with NamespaceProxy(lab_directory / "nsproxy", lab_ca, backends) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def showcase(
    lab_directory: Path, network: PrivateNetwork, hub: Registry, quay: Registry, nsproxy_server: NamespaceProxy
) -> Showcase:
    """Images for the tests of user interfaces, at the registry proxy."""
    assert nsproxy_server
    return set_up(lab_directory / "showcase", network, hub, quay)


@pytest.fixture
def nsproxy(nsproxy_server: NamespaceProxy) -> NamespaceProxy:
    """The registry proxy, with only the requests of this test."""
    nsproxy_server.mark()
    return nsproxy_server


@pytest.fixture(scope="session")
def private_registries_server(
    lab_directory: Path, network: PrivateNetwork, lab_ca: CertificateAuthority, hub: Registry, images: Images
) -> Iterator[PrivateRegistries]:
    """The private registries, with the content of ``hub``, and the images are there."""
    assert images
    with PrivateRegistries(lab_directory / "private", network, lab_ca, hub) as registries:
        yield registries


@pytest.fixture
def private_registries(private_registries_server: PrivateRegistries) -> PrivateRegistries:
    """The private registries, with only the requests of this test."""
    private_registries_server.mark()
    return private_registries_server


@pytest.fixture
def mitmdump_factory(tmp_path: Path, lab_ca: CertificateAuthority) -> Iterator[MitmdumpFactory]:
    """Start mitmdumps; they trust the registry proxy's certificate."""
    with contextlib.ExitStack() as stack:

        def start(
            *,
            conf: Path | None = None,
            modes: Sequence[str] = ("regular",),
            options: Mapping[str, str] | None = None,
            scripts: Sequence[Path] = (ADDON,),
            user: int | None = None,
        ) -> Mitmdump:
            directory, ca = tmp_path / "mitmdump", lab_ca.pem
            new = Mitmdump(
                directory, conf=conf, modes=modes, options=options, scripts=scripts, trusted_ca=ca, user=user
            )
            return stack.enter_context(new)

        yield start


@pytest.fixture
def client_machine(tmp_path: Path, network: PrivateNetwork) -> Iterator[ClientMachine]:
    """A machine for which the private network is the gateway."""
    assert network
    with ClientMachine(tmp_path / "machine") as machine:
        yield machine


@pytest.fixture
def dockerd_factory(tmp_path: Path, network: PrivateNetwork) -> Iterator[DockerdFactory]:
    """Start dockerds."""
    assert network
    with contextlib.ExitStack() as stack:

        def start(
            surroundings: Surroundings = DIRECT,
            *,
            mirrors: Sequence[str] = (),
            insecure_registries: Sequence[str] = (),
            options: Sequence[str] = (),
        ) -> Dockerd:
            new = Dockerd(
                tmp_path, surroundings, mirrors=mirrors, insecure_registries=insecure_registries, options=options
            )
            return stack.enter_context(new)

        yield start


@pytest.fixture
def containerd_factory(tmp_path: Path, network: PrivateNetwork) -> Iterator[ContainerdFactory]:
    """Start containerds."""
    assert network
    with contextlib.ExitStack() as stack:

        def start(surroundings: Surroundings = DIRECT) -> Containerd:
            return stack.enter_context(Containerd(tmp_path, surroundings))

        yield start


@pytest.fixture
def podman_factory(tmp_path: Path, network: PrivateNetwork) -> Iterator[PodmanFactory]:
    """Make podmans with storage of their own."""
    assert network
    with contextlib.ExitStack() as stack:

        def make(surroundings: Surroundings = DIRECT, *, registries_conf: Path | None = None) -> Podman:
            return stack.enter_context(Podman(tmp_path, surroundings, registries_conf=registries_conf))

        yield make


@pytest.fixture
def skopeo_factory(tmp_path: Path, network: PrivateNetwork) -> SkopeoFactory:
    """Make skopeos."""
    assert network

    def make(surroundings: Surroundings = DIRECT, *, registries_conf: Path | None = None) -> Skopeo:
        return Skopeo(tmp_path, surroundings, registries_conf=registries_conf)

    return make


@pytest.fixture
def curl_factory(tmp_path: Path, network: PrivateNetwork) -> CurlFactory:
    """Make curls."""
    assert network

    def make(surroundings: Surroundings = DIRECT) -> Curl:
        return Curl(tmp_path, surroundings)

    return make
