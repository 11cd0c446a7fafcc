"""`ns_blobs = redirect`: the manifest comes through mitmdump, the blobs' bytes do not, and every client follows."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.certificates import CertificateAuthority, bundle
from lab.clients import Surroundings
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
from lab.network import PROXY_NAME
from lab.nsproxy import NamespaceProxy, assert_namespaced
from lab.private_registries import PASSWORD_REGISTRY, PrivateRegistries, write_authfile

CONFIG = Path(__file__).parents[2] / "config"

pytestmark = pytest.mark.usefixtures("source_registries_untouched")


def blobs_through(mitmdump: Mitmdump) -> list[str]:
    """What mitmdump answered to each GET of a blob: its log has a line with the method and one with the answer."""
    return [
        answer[1]
        for line, after in itertools.pairwise(mitmdump.log().splitlines())
        if ": GET " in line and "/blobs/" in line and (answer := re.search(r"<< .*?\b(\d{3})\b", after))
    ]


@pytest.fixture
def listener(mitmdump_factory: MitmdumpFactory, nsproxy: NamespaceProxy) -> Mitmdump:
    assert nsproxy
    return mitmdump_factory(
        conf=CONFIG / "docker-mirror.conf",
        modes=[f"reverse:http://{PROXY_NAME}:5000"],
        options={"ns_default": "docker.io", "ns_blobs": "redirect"},
    )


@pytest.mark.parametrize("kind", ["docker", "podman", "skopeo", "containerd"])
def test_a_client_fetches_the_blobs_from_the_registry_proxy_itself(
    kind: str,
    listener: Mitmdump,
    nsproxy: NamespaceProxy,
    images: Images,
    tmp_path: Path,
    dockerd_factory: DockerdFactory,
    podman_factory: PodmanFactory,
    skopeo_factory: SkopeoFactory,
    containerd_factory: ContainerdFactory,
) -> None:
    name = f"127.0.0.1:{listener.port}/quay.io/{images.etcd.repository}:{images.etcd.tag}"
    clients: dict[str, Callable[[], str]] = {
        "docker": lambda: dockerd_factory().pull(name),
        "podman": lambda: podman_factory().pull(name, tls_verify=False),
        "skopeo": lambda: skopeo_factory().copy(f"docker://{name}", f"oci:{tmp_path / 'copy'}:v3", tls_verify=False),
        "containerd": lambda: containerd_factory().pull(name, plain_http=True),
    }
    assert clients[kind]() == images.etcd.digest
    assert_namespaced(nsproxy.requests(), "quay.io")
    assert set(blobs_through(listener)) == {"307"}
    arrived = [each for each in nsproxy.requests() if each.method == "GET" and "/blobs/" in each.path]
    assert len(arrived) == len(blobs_through(listener))


def test_docker_follows_from_its_registry_mirror(
    listener: Mitmdump, nsproxy: NamespaceProxy, images: Images, dockerd_factory: DockerdFactory
) -> None:
    docker = dockerd_factory(mirrors=[listener.url])
    assert docker.pull("docker.io/library/hello:latest") == images.hello.digest
    assert_namespaced(nsproxy.requests(), "docker.io")
    assert set(blobs_through(listener)) == {"307"}


def test_a_range_survives_the_redirect(
    listener: Mitmdump, images: Images, curl_factory: CurlFactory, nsproxy: NamespaceProxy
) -> None:
    (layer,) = images.hello.layers
    url = f"{listener.url}/v2/docker.io/library/hello/blobs/{layer}"
    curl = curl_factory()
    told = curl(url)
    assert (told.status, told.headers["location"]) == (
        307,
        f"http://{PROXY_NAME}:5000/v2/library/hello/blobs/{layer}?ns=docker.io",
    )
    whole = curl(url, follow=True)
    part = curl(url, follow=True, headers={"Range": "bytes=2-9"})
    assert (part.status, part.body) == (206, whole.body[2:10])
    assert curl(url, method="HEAD").status == 200
    assert all(request.namespaces == ["docker.io"] for request in nsproxy.requests())


@pytest.mark.parametrize("kind", ["podman", "skopeo"])
def test_behind_https_proxy_the_redirect_is_followed_through_it_once(
    kind: str,
    mitmdump_factory: MitmdumpFactory,
    nsproxy: NamespaceProxy,
    images: Images,
    podman_factory: PodmanFactory,
    skopeo_factory: SkopeoFactory,
    tmp_path: Path,
) -> None:
    mitmdump = mitmdump_factory(conf=CONFIG / "https-proxy.conf", options={"ns_blobs": "redirect"})
    surroundings = Surroundings(proxy=mitmdump.url, ca=mitmdump.ca_pem)
    name = f"quay.io/{images.etcd.repository}:{images.etcd.tag}"
    if kind == "podman":
        assert podman_factory(surroundings).pull(name) == images.etcd.digest
    else:
        copied = skopeo_factory(surroundings).copy(f"docker://{name}", f"oci:{tmp_path / 'copy'}:v3")
        assert copied == images.etcd.digest
    assert_namespaced(nsproxy.requests(), "quay.io")
    answers = blobs_through(mitmdump)
    assert answers.count("307") == answers.count("200") > 0


def test_a_client_that_bypasses_mitmdump_for_the_endpoint_follows_to_it(
    mitmdump_factory: MitmdumpFactory,
    nsproxy: NamespaceProxy,
    images: Images,
    lab_ca: CertificateAuthority,
    skopeo_factory: SkopeoFactory,
    tmp_path: Path,
) -> None:
    mitmdump = mitmdump_factory(conf=CONFIG / "https-proxy.conf", options={"ns_blobs": "redirect"})
    both = bundle(tmp_path / "both.pem", mitmdump.ca_pem, lab_ca.pem)
    skopeo = skopeo_factory(Surroundings(proxy=mitmdump.url, ca=both, no_proxy=PROXY_NAME))
    name = f"docker://quay.io/{images.etcd.repository}:{images.etcd.tag}"
    assert skopeo.copy(name, f"oci:{tmp_path / 'copy'}:v3") == images.etcd.digest
    assert_namespaced(nsproxy.requests(), "quay.io")
    assert set(blobs_through(mitmdump)) == {"307"}


def test_an_endpoint_that_only_the_addon_can_log_in_at_is_streamed_from(
    mitmdump_factory: MitmdumpFactory,
    private_registries: PrivateRegistries,
    images: Images,
    skopeo_factory: SkopeoFactory,
    tmp_path: Path,
) -> None:
    assert private_registries
    conf = tmp_path / "registries.conf"
    conf.write_text(
        f'[[registry]]\nprefix = "docker.io"\nlocation = "{PASSWORD_REGISTRY}"\nnamespace-proxy = "docker.io"\n'
    )
    authfile = write_authfile(tmp_path / "auth.json", PASSWORD_REGISTRY)
    options = {"ns_blobs": "redirect", "ns_authfile": str(authfile)}
    mitmdump = mitmdump_factory(conf=conf, options=options)
    skopeo = skopeo_factory(Surroundings(proxy=mitmdump.url, ca=mitmdump.ca_pem))
    copied = skopeo.copy("docker://docker.io/library/hello:latest", f"oci:{tmp_path / 'copy'}:latest")
    assert copied == images.hello.digest
    assert set(blobs_through(mitmdump)) == {"200"}
    assert json.loads(authfile.read_text())
