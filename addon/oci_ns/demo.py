"""A namespace-aware registry proxy in one object: a tiny image for a few source registries, and answers to requests.

It obeys `ns` and needs it: without one, every request but the ping is answered 404. Pushing is not supported.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass

from mitmproxy import http

from oci_ns.distribution import Operation, Target, namespaces_in, parse
from oci_ns.exchanges import error_response
from oci_ns.reference import canonical_registry
from oci_ns.spec_error import SpecError

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"

REPOSITORIES: Mapping[str, tuple[str, ...]] = {
    "docker.io": ("demo/hello", "library/hello"),
    "quay.io": ("demo/hello",),
    "ghcr.io": ("demo/hello",),
    "gcr.io": ("demo/hello",),
    "registry.k8s.io": ("demo/hello",),
}
"""What is served: repositories by namespace."""
TAGS = ("1.0", "latest")
_ARCHITECTURES = ("amd64", "arm64")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True)
class Content:
    """A blob or manifest: its media type and bytes."""

    media_type: str
    data: bytes

    @property
    def digest(self) -> str:
        """By which it is addressed."""
        return f"sha256:{hashlib.sha256(self.data).hexdigest()}"

    def descriptor(self, **more: object) -> dict[str, object]:
        """As it is referred to (OCI image-spec, "Descriptors")."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.data), **more}


@dataclass(frozen=True)
class Image:
    """An image index for two architectures, and everything it refers to, by digest."""

    index: Content
    manifests: Mapping[str, Content]
    blobs: Mapping[str, Content]


def make_image(namespace: str, repository: str) -> Image:
    """The image of a repository. It says in its one file and in its labels where it comes from."""
    layer = Content(LAYER, _tar(f"hello from {namespace}/{repository}\n".encode()))
    blobs, manifests, entries = [layer], [], []
    for architecture in _ARCHITECTURES:
        config = Content(
            CONFIG,
            _json(
                {
                    "architecture": architecture,
                    "os": "linux",
                    "created": "1970-01-01T00:00:00Z",
                    "config": {"Labels": {"org.opencontainers.image.source": f"{namespace}/{repository}"}},
                    "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
                    "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "demo_registry"}],
                }
            ),
        )
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config.descriptor(),
            "layers": [layer.descriptor()],
        }
        manifest = Content(MANIFEST, _json(document))
        blobs.append(config)
        manifests.append(manifest)
        entries.append(manifest.descriptor(platform={"architecture": architecture, "os": "linux"}))
    index = Content(INDEX, _json({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}))
    return Image(index, {m.digest: m for m in [*manifests, index]}, {b.digest: b for b in blobs})


def _json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _tar(text: bytes) -> bytes:
    """A layer with one file, uncompressed: compressors differ from machine to machine, and so would the digest."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        entry = tarfile.TarInfo("hello.txt")
        entry.size, entry.mode = len(text), 0o644
        archive.addfile(entry, io.BytesIO(text))
    return buffer.getvalue()


class DemoRegistry:
    """Answers distribution-spec requests for the images of `REPOSITORIES`."""

    def __init__(self) -> None:
        self._images = {
            (namespace, repository): make_image(namespace, repository)
            for namespace, repositories in REPOSITORIES.items()
            for repository in repositories
        }

    def answer(self, method: str, path: str, headers: Mapping[str, str]) -> http.Response:
        """The response to a request for `path` (with its query)."""
        target = parse(path)
        if target is None or target.operation is Operation.OTHER:
            return error_response(SpecError(404, "UNSUPPORTED", f"{path} is not a path of this registry"), method)
        if method not in ("GET", "HEAD"):
            return error_response(SpecError(405, "UNSUPPORTED", "this demonstration registry is read-only"), method)
        namespaces = namespaces_in(target.query)
        if target.operation is Operation.PING:
            return _answer(method, Content("application/json", b"{}"), namespaces[0] if namespaces else None)
        if len(namespaces) != 1 or not namespaces[0]:
            message = f"which registry? this proxy needs one ns, and the request has {len(namespaces)}"
            return error_response(SpecError(404, "NAME_UNKNOWN", message, "OCI distribution-spec, proxying"), method)
        namespace = canonical_registry(namespaces[0])
        if namespace not in REPOSITORIES:
            message = f"{namespace} is not served here; these are: {', '.join(REPOSITORIES)}"
            return error_response(SpecError(404, "NAME_UNKNOWN", message), method)
        return self._content(method, target, namespace, headers)

    def _content(self, method: str, target: Target, namespace: str, headers: Mapping[str, str]) -> http.Response:
        repositories = REPOSITORIES[namespace]
        if target.operation is Operation.CATALOG:
            return _answer(method, Content("application/json", _json({"repositories": repositories})), namespace)
        image = self._images.get((namespace, target.scope))
        if image is None:
            message = f"{namespace}/{target.scope} is not served here; these are: {', '.join(repositories)}"
            return error_response(SpecError(404, "NAME_UNKNOWN", message), method)
        if target.operation is Operation.TAGS:
            document = {"name": target.scope, "tags": TAGS}
            return _answer(method, Content("application/json", _json(document)), namespace)
        if target.operation is Operation.REFERRERS:
            empty = {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}
            return _answer(method, Content(INDEX, _json(empty)), namespace)
        reference = target.suffix[1:]
        if target.operation is Operation.MANIFEST:
            found = image.index if reference in TAGS else image.manifests.get(reference)
            code, kind = "MANIFEST_UNKNOWN", "manifest"
        else:
            found, code, kind = image.blobs.get(reference), "BLOB_UNKNOWN", "blob"
        if found is None:
            return error_response(SpecError(404, code, f"{kind} {reference} is not in {target.scope}"), method)
        return _answer(method, found, namespace, headers.get("range"))


def _answer(method: str, content: Content, namespace: str | None, wanted: str | None = None) -> http.Response:
    headers = {
        "Content-Type": content.media_type,
        "Docker-Content-Digest": content.digest,
        "Docker-Distribution-Api-Version": "registry/2.0",
        "Accept-Ranges": "bytes",
    }
    if namespace is not None:
        headers["OCI-Namespace"] = canonical_registry(namespace)
    size = len(content.data)
    status, data = 200, content.data
    match = _RANGE.fullmatch(wanted) if wanted else None
    if match is not None and (match[1] or match[2]):
        first, last = _span(match[1], match[2], size)
        if first > last:
            headers["Content-Range"] = f"bytes */{size}"
            return http.Response.make(416, b"", headers)
        status, data = 206, content.data[first : last + 1]
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    response = http.Response.make(status, b"" if method == "HEAD" else data, headers)
    response.headers["Content-Length"] = str(len(data))
    return response


def _span(first: str, last: str, size: int) -> tuple[int, int]:
    """The first and last byte of a range (RFC 9110, section 14.1.2); first > last where none is satisfiable."""
    if not first:
        return (max(size - int(last), 0), size - 1) if int(last) else (1, 0)
    return int(first), min(int(last), size - 1) if last else size - 1
