"""The actors that are real clients: dockerd, podman, containerd and skopeo pull images, and skopeo pushes them."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from lab.clients import Containerd, Dockerd, Podman, Skopeo
from lab.registries import Registry

from .actor import Actor
from .content import Image
from .ledger import Failure, Ledger
from .pushers import forget_repository

REGISTRY: Final = "quay.io"

_CUT: Final = re.compile(r"unexpected EOF|connection reset by peer|stream error|short read|httpReadSeeker: failed open")

Pull = Callable[[str], str]
"""Pulls a reference, all of it, and returns the digest it has."""


class Puller(Actor):
    """Pulls an image, and forgets it."""

    pause = 0.5

    def __init__(self, name: str, ledger: Ledger, seed: int, images: list[Image], pull: Pull) -> None:
        super().__init__(name, ledger, seed)
        self._images = images
        self._pull = pull

    def once(self) -> None:
        """One image."""
        image, begin = self.chance.choice(self._images), time.monotonic()
        reference = f"{REGISTRY}/{image.repository}:{image.tag}"
        try:
            digest = self._pull(reference)
        except AssertionError as error:
            said = str(error)
            cut = _CUT.search(said) is not None
            self.ledger.failed(Failure(self.name, f"pull {reference}", begin, time.monotonic(), said[-2000:], cut=cut))
            return
        if digest == image.manifest.digest:
            self.ledger.did(self.name, sum(blob.size for blob in image.blobs), pulls=1)
        else:
            self.ledger.got_wrong(self.name, f"{reference} is {digest} and not {image.manifest.digest}")


def skopeo_pull(skopeo: Skopeo, target: Path) -> Pull:
    """Copies to a directory."""

    def pull(reference: str) -> str:
        try:
            return skopeo.copy(f"docker://{reference}", f"dir:{target}")
        finally:
            shutil.rmtree(target, ignore_errors=True)

    return pull


def podman_pull(podman: Podman) -> Pull:
    """Pulls and removes."""

    def pull(reference: str) -> str:
        digest = podman.pull(reference)
        podman.remove_all()
        return digest

    return pull


def dockerd_pull(dockerd: Dockerd) -> Pull:
    """Pulls and removes."""

    def pull(reference: str) -> str:
        digest = dockerd.pull(reference)
        dockerd.remove(reference)
        return digest

    return pull


def containerd_pull(containerd: Containerd) -> Pull:
    """Pulls and removes, content included."""

    def pull(reference: str) -> str:
        digest = containerd.pull(reference)
        containerd.ctr("images", "rm", "--sync", reference)
        return digest

    return pull


class Pusher(Actor):
    """Pushes an image with skopeo, and reads it back from the registry itself."""

    pause = 0.2

    def __init__(
        self, name: str, ledger: Ledger, seed: int, images: list[Image], skopeo: Skopeo, registry: Registry, port: int
    ) -> None:
        super().__init__(name, ledger, seed)
        self._images = images
        self._skopeo = skopeo
        self._registry = registry
        self._port = port

    def once(self) -> None:
        """One image."""
        image, begin = self.chance.choice(self._images), time.monotonic()
        repository = f"soak/pushed-{self.chance.randrange(4)}"
        target = f"docker://127.0.0.1:{self._port}/{repository}:{image.tag}"
        try:
            self._skopeo.copy(f"oci:{image.layout}", target, tls_verify=False)
        except AssertionError as error:
            said = str(error)[-2000:]
            failure = Failure(self.name, f"push {target}", begin, time.monotonic(), said, restartable=False)
            self.ledger.failed(failure)
            return
        found = self._registry.pushed(repository, image.tag).digest
        there = all(self._has(repository, blob.digest, blob.size) for blob in image.blobs)
        if found == image.manifest.digest and there:
            self.ledger.did(self.name, sum(blob.size for blob in image.blobs))
        else:
            words = f"{target} is {found} and not {image.manifest.digest}, or its blobs are not there"
            self.ledger.got_wrong(self.name, words)
        forget_repository(self._registry, repository)

    def _has(self, repository: str, digest: str, size: int) -> bool:
        # The registry has made the digest of what was pushed, before it took it.
        answer = self._registry.get(f"/v2/{repository}/blobs/{digest}")
        return answer.status == 200 and len(answer.body) == size
