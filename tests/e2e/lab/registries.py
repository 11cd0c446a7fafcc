"""Knows the registries behind the registry proxy, and what was pushed to them.

``hub`` stands for the content of docker.io, ``quay`` for that of quay.io, and ``cache`` is a pull-through cache of
``quay``. All are real registries (distribution) with plain HTTP on a port of 127.0.0.1.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .images import Layout
from .process import Daemon, clean_env, free_port, listens, require, run

HELLO = "library/hello"
ETCD = "coreos/etcd"

_MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


@dataclass(frozen=True)
class Pushed:
    """An image in a registry, as that registry itself answered for it after the push."""

    repository: str
    tag: str
    digest: str
    media_type: str
    layers: tuple[str, ...] = ()
    platform_digests: Mapping[str, str] = field(default_factory=dict)
    """For a multi-platform image: the digest of each platform's manifest by architecture."""

    @property
    def digests(self) -> frozenset[str]:
        """Every digest a client may name as the image's: that of the tag and those of its platforms."""
        return frozenset({self.digest, *self.platform_digests.values()})


@dataclass(frozen=True)
class Answer:
    """What a server answered to a request."""

    status: int
    headers: Mapping[str, str]
    """Names are lower case."""
    body: bytes


class Registry:
    """A registry of its own; with ``upstream``, a pull-through cache of that URL."""

    def __init__(
        self,
        name: str,
        directory: Path,
        *,
        upstream: str | None = None,
        relative_urls: bool = False,
        address: str = "127.0.0.1",
        port: int | None = None,
        certificate: tuple[Path, Path] | None = None,
    ) -> None:
        """``relative_urls`` are for ``Location`` headers, which otherwise repeat the Host of the request.

        With a ``certificate`` (chain and key) it speaks TLS.
        """
        self.name = name
        self.port = port or free_port()
        self.address = address
        self._certificate = certificate
        self._directory = directory / name
        self._directory.mkdir(parents=True)
        self._upstream = upstream
        self._layouts = 0
        config = self._directory / "config.yml"
        # YAML is a superset of JSON.
        config.write_text(json.dumps(self._config(relative_urls), indent=1))
        self._daemon = Daemon(
            f"registry {name}",
            [require("docker-registry"), "serve", config],
            log=self._directory / "registry.log",
            ready=lambda: listens(self.port, self.address),
            env=clean_env(self._directory, OTEL_TRACES_EXPORTER="none"),
            cwd=self._directory,
        )

    def _config(self, relative_urls: bool) -> dict[str, Any]:
        storage = {
            "filesystem": {"rootdirectory": str(self.storage)},
            "delete": {"enabled": self._upstream is None},
            "redirect": {"disable": True},
            "maintenance": {"uploadpurging": {"enabled": False}},
        }
        config: dict[str, Any] = {
            "version": "0.1",
            "log": {"accesslog": {"disabled": False}, "level": "info"},
            "storage": storage,
            "http": {"addr": self.authority, "secret": "not a secret", "relativeurls": relative_urls},
        }
        if self._certificate is not None:
            chain, key = self._certificate
            config["http"]["tls"] = {"certificate": str(chain), "key": str(key)}
        if self._upstream is not None:
            config["proxy"] = {"remoteurl": self._upstream}
        return config

    @property
    def storage(self) -> Path:
        """The directory with its content."""
        return self._directory / "storage"

    @property
    def authority(self) -> str:
        """Host and port."""
        return f"{self.address}:{self.port}"

    @property
    def url(self) -> str:
        """Where it answers, without a path."""
        return f"{'http' if self._certificate is None else 'https'}://{self.authority}"

    def log(self) -> str:
        """Everything the registry printed so far, a line for every request among it."""
        return self._daemon.log()

    def push(
        self,
        repository: str,
        tag: str,
        text: str,
        *,
        architectures: Sequence[str] = (),
        more_layers: Sequence[int] = (),
        docker_format: bool = False,
    ) -> Pushed:
        """Push an image with one small file; with ``architectures``, one for several platforms.

        ``more_layers`` are the sizes of further layers' files. ``docker_format`` makes it a Docker "schema 2" image
        instead of an OCI image.
        """
        layout = Layout(self._new_layout())
        layout.write_image(text, architectures, more_layers)
        self._copy(layout, repository, tag, ["--all"], ["--format", "v2s2"] if docker_format else [])
        return self.pushed(repository, tag)

    def push_big(self, repository: str, tag: str, size: int, *, seed: int = 1) -> Pushed:
        """Push an image for this machine with a single layer of a little more than ``size`` incompressible bytes."""
        layout = Layout(self._new_layout())
        layout.write_big_image(size, seed)
        self._copy(layout, repository, tag)
        # A copy of it is in the registry now.
        shutil.rmtree(layout.directory)
        return self.pushed(repository, tag)

    def _new_layout(self) -> Path:
        self._layouts += 1
        return self._directory / f"layout-{self._layouts}"

    def _copy(self, layout: Layout, repository: str, tag: str, *options: Sequence[str]) -> None:
        flags = [flag for option in options for flag in option]
        skopeo = [require("skopeo"), "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false", *flags]
        target = f"docker://{self.authority}/{repository}:{tag}"
        run([*skopeo, f"oci:{layout.directory}", target], env=clean_env(self._directory), timeout=300)

    def pushed(self, repository: str, tag: str) -> Pushed:
        """What the registry has under this tag; an AssertionError when there is nothing."""
        answer = self.get(f"/v2/{repository}/manifests/{tag}")
        assert answer.status == 200, f"{self.name} has no {repository}:{tag}: {answer}"
        digest = answer.headers["docker-content-digest"]
        assert digest == f"sha256:{hashlib.sha256(answer.body).hexdigest()}"
        manifest = json.loads(answer.body)
        platforms = {entry["platform"]["architecture"]: entry["digest"] for entry in manifest.get("manifests", ())}
        layers = tuple(layer["digest"] for layer in manifest.get("layers", ()))
        return Pushed(repository, tag, digest, answer.headers["content-type"], layers, platforms)

    def has(self, repository: str, reference: str) -> bool:
        """Whether the registry has a manifest under this tag or digest."""
        return self.get(f"/v2/{repository}/manifests/{reference}").status == 200

    def get(self, path: str) -> Answer:
        """Ask the registry itself, past any proxy."""
        return fetch(f"{self.url}{path}", {"Accept": ", ".join(_MANIFEST_TYPES)})

    def delete(self, path: str) -> int:
        """Delete what is there, past any proxy; the status of the answer."""
        return fetch(f"{self.url}{path}", method="DELETE").status

    def pause(self) -> None:
        """Stop the registry and keep what was pushed to it; ``start`` goes on."""
        self._daemon.stop()

    def start(self) -> Self:
        """Start the registry."""
        self._daemon.start()
        return self

    def stop(self) -> None:
        """Stop the registry and throw away what was pushed to it."""
        self._daemon.stop()
        shutil.rmtree(self.storage, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def fetch(url: str, headers: Mapping[str, str] | None = None, *, method: str = "GET") -> Answer:
    """Ask a URL directly, with no proxy in between, whatever the status is and whosever the certificate."""
    unverified = ssl.create_default_context()
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    https = urllib.request.HTTPSHandler(context=unverified)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), https)
    request = urllib.request.Request(url, headers=dict(headers or {}), method=method)
    try:
        with opener.open(request, timeout=20) as response:
            return Answer(response.status, _lower(response.headers.items()), response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, _lower(error.headers.items()), error.read())


def _lower(headers: Sequence[tuple[str, str]]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}
