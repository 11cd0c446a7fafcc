"""A registry that registries.conf blocks: each client tells its user so, and which rule it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lab.clients import ClientError, Surroundings
from lab.fixtures import CurlFactory, DockerdFactory, MitmdumpFactory, PodmanFactory, SkopeoFactory
from lab.mitmdump import Mitmdump
from lab.network import PROXY_NAME

pytestmark = pytest.mark.usefixtures("source_registries_untouched")

CONF = f"""
[[registry]]
prefix = "quay.io/bad"
location = "quay.io/bad"
blocked = true

[[registry]]
prefix = "registry.example.com"
location = "registry.example.com"
blocked = true

[[registry]]
prefix = "quay.io"
location = "quay.io"
[[registry.mirror]]
location = "{PROXY_NAME}"
namespace-proxy = "quay.io"
"""


@pytest.fixture
def proxy(tmp_path: Path, mitmdump_factory: MitmdumpFactory, nsproxy: object) -> Mitmdump:
    assert nsproxy
    conf = tmp_path / "registries.conf"
    conf.write_text(CONF)
    return mitmdump_factory(conf=conf)


@pytest.mark.parametrize("image", ["quay.io/bad/app:v1", "registry.example.com/app:v1"])
@pytest.mark.parametrize("kind", ["docker", "podman", "skopeo"])
def test_a_client_prints_the_rule_that_blocks(
    kind: str,
    image: str,
    proxy: Mitmdump,
    dockerd_factory: DockerdFactory,
    podman_factory: PodmanFactory,
    skopeo_factory: SkopeoFactory,
) -> None:
    surroundings = Surroundings(proxy=proxy.url, ca=proxy.ca_pem)
    clients: dict[str, Callable[[], Callable[[str], str]]] = {
        "docker": lambda: dockerd_factory(surroundings).pull,
        "podman": lambda: podman_factory(surroundings).pull,
        "skopeo": lambda: skopeo_factory(surroundings).digest,
    }
    with pytest.raises(ClientError) as failure:
        clients[kind]()(image)
    prefix = image.rpartition("/")[0]
    assert f"pulling is blocked by registries.conf: prefix {prefix}" in str(failure.value)


def test_a_blocked_pull_is_denied_with_file_and_line(proxy: Mitmdump, curl_factory: CurlFactory) -> None:
    curl = curl_factory(Surroundings(proxy=proxy.url, ca=proxy.ca_pem))
    got = curl("https://quay.io/v2/bad/app/manifests/v1")
    (error,) = got.json()["errors"]
    assert (got.status, error["code"]) == (403, "DENIED")
    assert error["detail"].endswith("registries.conf:2")
    assert curl("https://quay.io/v2/coreos/etcd/tags/list").status == 200
