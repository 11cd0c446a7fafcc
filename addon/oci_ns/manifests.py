"""Image manifests, indexes and configurations: what stands in their JSON, as typed values.

Knows the OCI image-spec ("Image Manifest", "Image Index", "Image Configuration") and Docker's older media types for the
same; nothing of HTTP. What comes from a registry may be anything: a document is read as far as it makes sense.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field
from typing import Any

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_SCHEMA_1 = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)
"""Docker's manifests before digests of their configuration; made anew by the registry, so without a stable digest."""

MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
CONFIGS = frozenset({OCI_CONFIG, DOCKER_CONFIG})

_KNOWN_MAX = 64
_KNOWN_LENGTH_MAX = 32 * 1024
"""In bytes: of bodies no longer than this, the last _KNOWN_MAX are remembered with what is in them."""
_SIZE_MAX = 2**63 - 1
"""In bytes: a size is an int64 ("Content Descriptors")."""


@dataclass(frozen=True, slots=True)
class Platform:
    """What an image runs on: `os/architecture[/variant]`."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A reference to content (image-spec, "Content Descriptors"). `size` is in bytes; None where it is not said.

    `urls` are other places to fetch it from, foreign layers' own among them.
    """

    media_type: str
    digest: str
    size: int | None
    platform: Platform | None = None
    annotations: dict[str, str] = field(default_factory=dict)
    artifact_type: str = ""
    urls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageManifest:
    """An image for one platform, or an artifact: a configuration and layers. `media_type` may be ""."""

    media_type: str
    config: Descriptor | None
    layers: tuple[Descriptor, ...]
    subject: Descriptor | None = None
    annotations: dict[str, str] = field(default_factory=dict)
    artifact_type: str = ""

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """All that a client fetches for it: the configuration, then the layers in order."""
        return (*((self.config,) if self.config is not None else ()), *self.layers)


@dataclass(frozen=True, slots=True)
class Index:
    """Several images under one name, one per platform; referrers are listed in the same form."""

    media_type: str
    manifests: tuple[Descriptor, ...]
    subject: Descriptor | None = None
    annotations: dict[str, str] = field(default_factory=dict)
    artifact_type: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One line of an image's history; `empty` where it made no layer. `created` is as the document has it."""

    created_by: str
    created: str
    comment: str
    empty: bool


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """An image's configuration. `settings` is its `config` as it stands, `diff_ids` name its unpacked layers."""

    platform: Platform
    created: str
    author: str
    settings: dict[str, Any]
    diff_ids: tuple[str, ...]
    history: tuple[Step, ...]


def essence(content_type: str | None) -> str:
    """The media type in a Content-Type, without parameters, in lower case; '' for none (RFC 9110, section 8.3)."""
    return (content_type or "").partition(";")[0].strip().lower()


def document(body: bytes) -> dict[str, Any] | None:
    """The JSON object in a body; None where it is none. Never raises. Not to be changed: others may have the same."""
    return (_known_document if len(body) <= _KNOWN_LENGTH_MAX else _document)(body)


def _document(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


_known_document = functools.lru_cache(maxsize=_KNOWN_MAX)(_document)


def manifest_in(body: bytes) -> ImageManifest | Index | None:
    """The manifest or index in a body, by what is in it; None where it is neither. Never raises."""
    return (_known_manifest if len(body) <= _KNOWN_LENGTH_MAX else _manifest)(body)


def _manifest(body: bytes) -> ImageManifest | Index | None:
    value = document(body)
    if value is None:
        return None
    media_type = _text(value, "mediaType")
    if isinstance(value.get("manifests"), list) and media_type not in MANIFESTS:
        return Index(
            media_type=media_type,
            manifests=_descriptors(value.get("manifests")),
            subject=_descriptor(value.get("subject")),
            annotations=_annotations(value),
            artifact_type=_text(value, "artifactType"),
        )
    if isinstance(value.get("layers"), list) and media_type not in INDEXES:
        return ImageManifest(
            media_type=media_type,
            config=_descriptor(value.get("config")),
            layers=_descriptors(value.get("layers")),
            subject=_descriptor(value.get("subject")),
            annotations=_annotations(value),
            artifact_type=_text(value, "artifactType"),
        )
    return None


_known_manifest = functools.lru_cache(maxsize=_KNOWN_MAX)(_manifest)


def config_in(body: bytes) -> ImageConfig | None:
    """The image configuration in a body; None where it is none. Never raises."""
    value = document(body)
    rootfs = value.get("rootfs") if value is not None else None
    if value is None or not isinstance(rootfs, dict) or not isinstance(value.get("architecture"), str):
        return None
    settings = value.get("config")
    diff_ids = rootfs.get("diff_ids")
    history = value.get("history")
    return ImageConfig(
        platform=_platform(value) or Platform("", ""),
        created=_text(value, "created"),
        author=_text(value, "author"),
        settings=settings if isinstance(settings, dict) else {},
        diff_ids=tuple(each for each in diff_ids if isinstance(each, str)) if isinstance(diff_ids, list) else (),
        history=tuple(_step(each) for each in history if isinstance(each, dict)) if isinstance(history, list) else (),
    )


def _step(value: dict[str, Any]) -> Step:
    return Step(
        created_by=_text(value, "created_by"),
        created=_text(value, "created"),
        comment=_text(value, "comment"),
        empty=value.get("empty_layer") is True,
    )


def _text(value: dict[str, Any], key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else ""


def _annotations(value: dict[str, Any]) -> dict[str, str]:
    found = value.get("annotations")
    if not isinstance(found, dict):
        return {}
    return {key: text for key, text in found.items() if isinstance(text, str)}


def _descriptors(value: object) -> tuple[Descriptor, ...]:
    found = (_descriptor(each) for each in value) if isinstance(value, list) else ()
    return tuple(each for each in found if each is not None)


def _descriptor(value: object) -> Descriptor | None:
    if not isinstance(value, dict) or not _text(value, "digest"):
        return None
    size = value.get("size")
    platform = value.get("platform")
    urls = value.get("urls")
    return Descriptor(
        media_type=_text(value, "mediaType"),
        digest=_text(value, "digest"),
        size=size if isinstance(size, int) and not isinstance(size, bool) and 0 <= size <= _SIZE_MAX else None,
        platform=_platform(platform) if isinstance(platform, dict) else None,
        annotations=_annotations(value),
        artifact_type=_text(value, "artifactType"),
        urls=tuple(each for each in urls if isinstance(each, str)) if isinstance(urls, list) else (),
    )


def _platform(value: dict[str, Any]) -> Platform | None:
    system, architecture = _text(value, "os"), _text(value, "architecture")
    return Platform(system, architecture, _text(value, "variant")) if system or architecture else None
