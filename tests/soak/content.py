"""Knows the content that is pulled: images on disk, laid out as a web server can serve them, and what is right."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.images import Layout

from .settings import Settings

MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE: Final = "application/vnd.oci.image.index.v1+json"
SMALL: Final = "soak/small"
BIG: Final = "soak/big"
APP: Final = "soak/app"
MULTI: Final = "soak/multi"

_SMALL_IMAGES: Final = 24
_SMALL_LAYERS: Final = (10_000, 100_000)
_APPS: Final = 3


@dataclass(frozen=True, slots=True)
class Thing:
    """Something at a path, and the digest of what it has to be."""

    path: str
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Image:
    """An image and its parts; `layout` is the directory of its OCI layout."""

    repository: str
    tag: str
    manifest: Thing
    blobs: tuple[Thing, ...]
    layout: Path


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest or an index that the server has under a path."""

    path: str
    digest: str
    media_type: str


class Content:
    """All images, and a tree of files to be served. The same settings make the same content."""

    def __init__(self, directory: Path, settings: Settings) -> None:
        self.root = directory / "root"
        self.root.mkdir(parents=True)
        self._layouts = directory / "layouts"
        self.documents: list[Document] = []
        self.small = [self._image(SMALL, f"v{n}", f"small {n}", _SMALL_LAYERS) for n in range(_SMALL_IMAGES)]
        self.big = self._image(BIG, "v1", "big", settings.big)
        self.apps = [self._image(APP, f"v{n}", f"app {n}", (settings.layer,) * settings.layers) for n in range(_APPS)]
        self.multi = self._image(MULTI, "v1", "multi", (settings.layer,), ("amd64", "arm64"))
        self.tags = self._tags(SMALL, [image.tag for image in self.small])

    def _image(
        self, repository: str, tag: str, text: str, layers: tuple[int, ...], architectures: tuple[str, ...] = ()
    ) -> Image:
        layout = Layout(self._layouts / repository / tag)
        top = layout.write_image(text, architectures, layers)
        blobs = layout.directory / "blobs" / "sha256"
        documents = {top.digest: top.media_type}
        document = json.loads((blobs / top.digest.partition(":")[2]).read_text())
        documents |= {each["digest"]: each["mediaType"] for each in document.get("manifests", ())}
        parts = []
        for file in sorted(blobs.iterdir()):
            digest, size = f"sha256:{file.name}", file.stat().st_size
            if digest in documents:
                self._serve_document(file, f"/v2/{repository}/manifests/{digest}", digest, documents[digest])
            else:
                path = f"/v2/{repository}/blobs/{digest}"
                self._serve(file, path)
                parts.append(Thing(path, digest, size))
        path = f"/v2/{repository}/manifests/{tag}"
        self._serve_document(blobs / top.digest.partition(":")[2], path, top.digest, top.media_type)
        return Image(repository, tag, Thing(path, top.digest, top.size), tuple(parts), layout.directory)

    def _serve_document(self, file: Path, path: str, digest: str, media_type: str) -> None:
        self._serve(file, path)
        self.documents.append(Document(path, digest, media_type))

    def _serve(self, file: Path, path: str) -> None:
        target = self.root / path.removeprefix("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            os.link(file, target)

    def _tags(self, repository: str, tags: list[str]) -> Thing:
        path = f"/v2/{repository}/tags/list"
        body = json.dumps({"name": repository, "tags": tags}).encode()
        target = self.root / path.removeprefix("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(body)
        return Thing(path, f"sha256:{hashlib.sha256(body).hexdigest()}", len(body))

    def remove(self) -> None:
        """Free the disk."""
        shutil.rmtree(self.root)
        shutil.rmtree(self._layouts)
