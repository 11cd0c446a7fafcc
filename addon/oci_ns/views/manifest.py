"""An image manifest for people: what it is, and its layers as a table.

Knows the image-spec's "Image Manifest" and Docker's schemas 2 and 1.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

from oci_ns.distribution import Operation
from oci_ns.manifests import (
    DOCKER_SCHEMA_1,
    INDEXES,
    MANIFESTS,
    Descriptor,
    ImageManifest,
    Index,
    document,
    manifest_in,
)
from oci_ns.media_names import short_name
from oci_ns.views.envelope import Envelope, may_be_object
from oci_ns.views.text import broken, compact, counted, fields, full_size, human_size, indented, table, with_notes


def is_manifest(body: bytes, envelope: Envelope) -> bool:
    """Whether it is a manifest of one image: what is in it counts for more than its label."""
    if not body:
        return False
    if envelope.media_type in DOCKER_SCHEMA_1:
        return True
    return is_shown_as(ImageManifest, MANIFESTS, body, envelope)


def is_shown_as(kind: type[ImageManifest | Index], labels: Set[str], body: bytes, envelope: Envelope) -> bool:
    """Whether a body that may be a manifest or an index is of this kind; one that is broken is what its label says."""
    if envelope.media_type in MANIFESTS | INDEXES:
        found = manifest_in(body)
        return isinstance(found, kind) or (found is None and envelope.media_type in labels)
    if envelope.operation is not Operation.MANIFEST or not envelope.is_vague or not may_be_object(body):
        return False
    return isinstance(manifest_in(body), kind)


def manifest_lines(body: bytes, envelope: Envelope) -> list[str] | None:
    """The manifest in a body; where it is broken, the reason and the text. None where it is none. Never raises."""
    found = manifest_in(body)
    if isinstance(found, ImageManifest):
        return [*_head(found, envelope), "", *_layers(found, dropped(body, "layers", len(found.layers)))]
    schema_1 = _schema_1(body)
    if schema_1 is not None:
        return schema_1
    if found is None and is_manifest(body, envelope):
        return broken("image manifest", body, "it has no list of layers, or its mediaType says that it is an index")
    return None


def head(document: ImageManifest | Index, envelope: Envelope) -> list[tuple[str, str]]:
    """What manifest and index both begin with."""
    return [
        ("media type", document.media_type or "not in the document"),
        ("sent as", envelope.media_type if envelope.media_type != document.media_type else ""),
        ("artifact type", document.artifact_type),
        ("subject", described(document.subject)),
    ]


def described(descriptor: Descriptor | None) -> str:
    """A descriptor on one line; '' for none."""
    if descriptor is None:
        return ""
    return f"{descriptor.digest}  {short_name(descriptor.media_type)}, {full_size(descriptor.size)}"


def sizes(descriptor: Descriptor) -> tuple[str, str]:
    """The two cells of a size: rounded and exact."""
    return ("?", "?") if descriptor.size is None else (human_size(descriptor.size), f"{descriptor.size:,}")


def dropped(body: bytes, key: str, read: int) -> list[str]:
    """The line that says how many entries of a list could not be read, so that no row's number misleads."""
    entries = (document(body) or {}).get(key)
    left = len(entries) - read if isinstance(entries, list) else 0
    return [f"left out, for they have no digest: {left:,} of {len(entries or ()):,}"] if left else []


def annotated(annotations: dict[str, str]) -> list[str]:
    """A document's own annotations under their title; nothing for none."""
    return ["annotations", *indented(annotations)] if annotations else []


def _head(manifest: ImageManifest, envelope: Envelope) -> list[str]:
    pairs = head(manifest, envelope)
    pairs.insert(3, ("config", described(manifest.config) or "(none)"))
    return ["image manifest", *fields(pairs), *annotated(manifest.annotations)]


def _layers(manifest: ImageManifest, left_out: list[str]) -> list[str]:
    known = [layer.size for layer in manifest.layers if layer.size is not None]
    unknown = len(manifest.layers) - len(known)
    total = f"{counted(len(manifest.layers), 'layer')}, {full_size(sum(known))}"
    summary = [f"{total} and {unknown:,} of unknown size" if unknown else total, *left_out]
    if not manifest.layers:
        return summary
    rows: list[Sequence[str]] = [("#", "size", "bytes", "type", "digest")]
    rows += [
        (str(number), *sizes(layer), short_name(layer.media_type), layer.digest)
        for number, layer in enumerate(manifest.layers, 1)
    ]
    notes = [_notes(layer) for layer in manifest.layers]
    return [*summary, *with_notes(table(rows, right={0, 1, 2}), notes, 5)]


def _notes(layer: Descriptor) -> dict[str, str]:
    """A layer's annotations, and where else it is to be had (image-spec, "Descriptor", urls)."""
    return layer.annotations | ({"urls": " ".join(layer.urls)} if layer.urls else {})


def _schema_1(body: bytes) -> list[str] | None:
    value = document(body)
    layers = value.get("fsLayers") if value is not None else None
    if value is None or not isinstance(layers, list):
        return None
    sums = [compact(each.get("blobSum")) if isinstance(each, dict) else "" for each in layers]
    names = [(key, compact(value.get(key))) for key in ("name", "tag", "architecture")]
    rows = [(str(number), blob_sum or "(none)") for number, blob_sum in enumerate(sums, 1)]
    listed = table(rows, right={0}) if rows else []
    return [
        "docker manifest, schema 1",
        *fields(names),
        "",
        f"{counted(len(sums), 'layer')}, the newest first",
        *listed,
    ]
