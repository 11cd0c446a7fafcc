"""The embedded default: the demonstration registry in the same mitmdump, and real clients without any network."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab.clients import ClientError, Surroundings
from lab.fixtures import CurlFactory, DockerdFactory, MitmdumpFactory, PodmanFactory, SkopeoFactory
from lab.mitmdump import ADDON, Mitmdump
from oci_ns.demo import REPOSITORIES, make_image

pytestmark = pytest.mark.usefixtures("source_registries_untouched")


@pytest.fixture
def demo(mitmdump_factory: MitmdumpFactory) -> Mitmdump:
    scripts = [ADDON, ADDON.with_name("demo_registry.py")]
    return mitmdump_factory(scripts=scripts, modes=["regular", "reverse:http://proxy.example.com"])


@pytest.mark.parametrize("kind", ["docker", "podman", "skopeo"])
def test_a_client_pulls_the_demo_image_of_every_registry(
    kind: str,
    demo: Mitmdump,
    dockerd_factory: DockerdFactory,
    podman_factory: PodmanFactory,
    skopeo_factory: SkopeoFactory,
) -> None:
    surroundings = Surroundings(proxy=demo.url, ca=demo.ca_pem)
    clients: dict[str, Callable[[], Callable[[str], str]]] = {
        "docker": lambda: dockerd_factory(surroundings).pull,
        "podman": lambda: podman_factory(surroundings).pull,
        "skopeo": lambda: skopeo_factory(surroundings).digest,
    }
    pull = clients[kind]()
    for registry in REPOSITORIES:
        assert pull(f"{registry}/demo/hello:latest") == make_image(registry, "demo/hello").index.digest


def test_docker_needs_no_setting_at_all_for_the_listener(demo: Mitmdump, dockerd_factory: DockerdFactory) -> None:
    docker = dockerd_factory()
    digest = docker.pull(f"127.0.0.1:{demo.ports[1]}/quay.io/demo/hello")
    assert digest == make_image("quay.io", "demo/hello").index.digest


def test_curl_sees_what_the_proxy_obeyed(demo: Mitmdump, curl_factory: CurlFactory) -> None:
    curl = curl_factory(Surroundings(proxy=demo.url, ca=demo.ca_pem))
    got = curl("https://quay.io/v2/demo/hello/tags/list")
    assert (got.status, got.headers["oci-namespace"]) == (200, "quay.io")
    got = curl("https://proxy.example.com/v2/demo/hello/tags/list")
    assert (got.status, got.json()["errors"][0]["code"]) == (404, "NAME_UNKNOWN")


def test_an_upload_is_refused_and_nothing_is_connected_to(demo: Mitmdump, curl_factory: CurlFactory) -> None:
    curl = curl_factory(Surroundings(proxy=demo.url, ca=demo.ca_pem))
    got = curl("https://proxy.example.com/v2/demo/hello/blobs/uploads/?ns=quay.io", method="POST", body=b"x" * 100_000)
    assert (got.status, got.json()["errors"][0]["code"]) == (405, "UNSUPPORTED")


def test_docker_prints_what_the_registry_says(demo: Mitmdump, dockerd_factory: DockerdFactory) -> None:
    docker = dockerd_factory()
    with pytest.raises(ClientError, match="not served here"):
        docker.pull(f"127.0.0.1:{demo.ports[1]}/quay.io/demo/nothing")
