"""Knows how a small container image is made, byte by byte, as an OCI image layout that skopeo can push.

The same arguments make the same image, so digests can be compared across test runs.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import random
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_INDEX: Final = "application/vnd.oci.image.index.v1+json"
_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
_LAYER: Final = "application/vnd.oci.image.layer.v1.tar+gzip"

_CREATED = "2024-01-01T00:00:00Z"
_CHUNK = 1 << 20

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "ppc64le": "ppc64le", "s390x": "s390x"}


def machine_architecture() -> str:
    """The architecture of this machine, as images call it."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


@dataclass(frozen=True)
class Blob:
    """Something in a registry: what it is, under which digest, how long."""

    media_type: str
    digest: str
    size: int

    def descriptor(self, **more: Any) -> dict[str, Any]:
        """The blob as manifests and indexes refer to it."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size, **more}


class Layout:
    """An OCI image layout in a directory, with one image or one image index in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._blobs = directory / "blobs" / "sha256"
        self._blobs.mkdir(parents=True)
        (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def write_image(self, text: str, architectures: Sequence[str] = (), more_layers: Sequence[int] = ()) -> Blob:
        """An image with one file that contains ``text``; with ``architectures``, an index of one such image for each.

        Without them it is a single image for this machine's architecture. ``more_layers`` are the sizes of the files of
        further layers, which cannot be compressed.
        """
        if architectures:
            manifests = [self._image(f"{text} on {each}", each, more_layers) for each in architectures]
            platforms = [{"architecture": each, "os": "linux"} for each in architectures]
            entries = [blob.descriptor(platform=where) for blob, where in zip(manifests, platforms, strict=True)]
            return self._publish(self._json(_INDEX, {"schemaVersion": 2, "mediaType": _INDEX, "manifests": entries}))
        return self._publish(self._image(text, machine_architecture(), more_layers))

    def write_big_image(self, size: int, seed: int = 1) -> Blob:
        """An image with one layer of a little more than ``size`` bytes, which cannot be compressed."""
        return self._publish(self._manifest([self._big_layer(size, seed)], machine_architecture()))

    def _image(self, text: str, architecture: str, more_layers: Sequence[int]) -> Blob:
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            content = text.encode()
            archive.addfile(_tar_entry("hello.txt", len(content)), io.BytesIO(content))
        diff_id = f"sha256:{hashlib.sha256(tar.getvalue()).hexdigest()}"
        layer = self._bytes(_LAYER, _gzip(tar.getvalue()))
        more = [self._big_layer(size, seed) for seed, size in enumerate(more_layers)]
        return self._manifest([(layer, diff_id), *more], architecture)

    def _big_layer(self, size: int, seed: int) -> tuple[Blob, str]:
        generator = random.Random(seed)
        temporary = self._blobs / "incomplete"
        uncompressed = hashlib.sha256()
        # Compressing noise would only cost time.
        with temporary.open("wb") as raw, gzip.GzipFile("", "wb", compresslevel=0, fileobj=raw, mtime=0) as packed:

            def emit(data: bytes) -> None:
                uncompressed.update(data)
                packed.write(data)

            emit(_tar_entry("noise", size).tobuf(tarfile.USTAR_FORMAT))
            for start in range(0, size, _CHUNK):
                emit(generator.randbytes(min(_CHUNK, size - start)))
            emit(bytes(-size % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE))
        with temporary.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        length = temporary.stat().st_size
        temporary.rename(self._blobs / digest)
        return Blob(_LAYER, f"sha256:{digest}", length), f"sha256:{uncompressed.hexdigest()}"

    def _manifest(self, layers: Sequence[tuple[Blob, str]], architecture: str) -> Blob:
        config = {
            "created": _CREATED,
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["/hello.txt"]},
            "rootfs": {"type": "layers", "diff_ids": [diff_id for _, diff_id in layers]},
            "history": [{"created": _CREATED, "created_by": "ns-inject laboratory"} for _ in layers],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": self._json(_CONFIG, config).descriptor(),
            "layers": [layer.descriptor() for layer, _ in layers],
        }
        return self._json(_MANIFEST, manifest)

    def _publish(self, top: Blob) -> Blob:
        index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [top.descriptor()]}
        (self.directory / "index.json").write_text(json.dumps(index))
        return top

    def _json(self, media_type: str, value: dict[str, Any]) -> Blob:
        return self._bytes(media_type, json.dumps(value, separators=(",", ":")).encode())

    def _bytes(self, media_type: str, data: bytes) -> Blob:
        digest = hashlib.sha256(data).hexdigest()
        (self._blobs / digest).write_bytes(data)
        return Blob(media_type, f"sha256:{digest}", len(data))


def _gzip(data: bytes) -> bytes:
    # gzip.compress writes a header that differs between versions of Python.
    packed = io.BytesIO()
    with gzip.GzipFile("", "wb", fileobj=packed, mtime=0) as file:
        file.write(data)
    return packed.getvalue()


def _tar_entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size = size
    entry.mode = 0o644
    return entry
