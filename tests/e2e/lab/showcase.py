"""Knows the traffic that the tests of mitmproxy's user interfaces look at: pulls, and what can be wrong with them.

Real pulls of an index and of a single manifest; an image whose mirror is dead, one that is blocked, and a request that
nothing resolves.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from .clients import ClientError, Curl, Podman, Surroundings
from .mitmdump import Mitmdump
from .network import PROXY_NAME, PrivateNetwork
from .registries import Pushed, Registry
from .tripwire import Tripwire

DEAD_MIRROR = "mirror.example.com"
BLOCKED = "quay.io/untrusted/miner:latest"
UNRESOLVED = f"{PROXY_NAME}/library/redis:7"

CONF = f"""
[[registry]]
prefix = "docker.io"
location = "docker.io"

  [[registry.mirror]]
  location = "{DEAD_MIRROR}"
  namespace-proxy = "docker.io"

  [[registry.mirror]]
  location = "{PROXY_NAME}"
  namespace-proxy = "docker.io"

[[registry]]
prefix = "quay.io"
location = "quay.io"

  [[registry.mirror]]
  location = "{PROXY_NAME}/quay"
  namespace-proxy = "quay.io"

[[registry]]
prefix = "quay.io/untrusted"
location = "quay.io/untrusted"
blocked = true

[[registry]]
prefix = "ghcr.io"
location = "ghcr.io"

  [[registry.mirror]]
  location = "{PROXY_NAME}"
  namespace-proxy = "ghcr.io"
"""

_Program = TypeVar("_Program", bound=Mitmdump)

_ARCHITECTURES = ("amd64", "arm64")
_KB = 1000


@dataclass(frozen=True)
class Showcase:
    """The images, and the configuration that leads to them."""

    etcd: Pushed
    """quay.io/coreos/etcd:v3.5.9, an index."""
    app: Pushed
    """quay.io/team/app:2.1, a single manifest."""
    nginx: Pushed
    """docker.io/library/nginx:1.27, an index whose first mirror is dead."""
    conf: Path

    @contextlib.contextmanager
    def shown_in(
        self, program: type[_Program], directory: Path, trusted_ca: Path, tripwire: Tripwire
    ) -> Iterator[_Program]:
        """Start the program and pull all images through it; no source registry was asked for any."""
        tripwire.clear()
        with program(directory, conf=self.conf, trusted_ca=trusted_ca) as started:
            self.pull_all(started, directory)
            assert tripwire.touched == []
            yield started

    def pull_all(self, mitmproxy: Mitmdump, directory: Path) -> None:
        """Let podman pull the images through the proxy, and be refused what is to be refused."""
        surroundings = Surroundings(proxy=mitmproxy.url, ca=mitmproxy.ca_pem)
        with Podman(directory, surroundings) as podman:
            for registry, image in (("quay.io", self.etcd), ("quay.io", self.app), ("docker.io", self.nginx)):
                assert podman.pull(f"{registry}/{image.repository}:{image.tag}") in image.digests
            with pytest.raises(ClientError, match="blocked"):
                podman.pull(BLOCKED)
        repository, _, tag = UNRESOLVED.removeprefix(f"{PROXY_NAME}/").partition(":")
        answer = Curl(directory, surroundings)(f"http://{PROXY_NAME}/v2/{repository}/manifests/{tag}")
        assert answer.status == 404


def set_up(directory: Path, network: PrivateNetwork, hub: Registry, quay: Registry) -> Showcase:
    """Push the images, and let the dead mirror's name lead nowhere."""
    directory.mkdir(parents=True, exist_ok=True)
    network.add_host(DEAD_MIRROR, "127.0.0.9")
    conf = directory / "registries.conf"
    conf.write_text(CONF)
    return Showcase(
        etcd=quay.push(
            "coreos/etcd", "v3.5.9", "etcd", architectures=_ARCHITECTURES, more_layers=[620 * _KB, 2900 * _KB, 48 * _KB]
        ),
        app=quay.push("team/app", "2.1", "an app", more_layers=[1200 * _KB, 75 * _KB]),
        nginx=hub.push(
            "library/nginx", "1.27", "nginx", architectures=_ARCHITECTURES, more_layers=[2100 * _KB, 4 * _KB]
        ),
        conf=conf,
    )
