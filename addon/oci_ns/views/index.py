"""An image index for people, as a table by platform; and a list of referrers, by artifact type.

Knows the image-spec's "Image Index", the distribution-spec's "Listing Referrers", and how BuildKit attaches
attestations.
"""

from __future__ import annotations

from collections.abc import Sequence

from oci_ns.distribution import Operation
from oci_ns.manifests import INDEXES, Descriptor, Index, manifest_in
from oci_ns.media_names import short_name
from oci_ns.views.envelope import Envelope, may_be_object
from oci_ns.views.manifest import annotated, dropped, head, is_shown_as, sizes
from oci_ns.views.text import broken, counted, fields, table, with_notes

_ATTACHED = "vnd.docker.reference.type"
_ATTACHED_TO = "vnd.docker.reference.digest"


def is_index(body: bytes, envelope: Envelope) -> bool:
    """Whether it is an index of images: what is in it counts for more than its label."""
    if not body or is_referrers(body, envelope):
        return False
    return is_shown_as(Index, INDEXES, body, envelope)


def is_referrers(body: bytes, envelope: Envelope) -> bool:
    """Whether it answers the question for the referrers of a digest."""
    if envelope.operation is not Operation.REFERRERS or not envelope.is_response or not may_be_object(body):
        return False
    return (envelope.is_vague or envelope.media_type in INDEXES) and isinstance(manifest_in(body), Index)


def index_lines(body: bytes, envelope: Envelope) -> list[str] | None:
    """The index in a body; where it is broken, the reason and the text. None where it is none. Never raises."""
    found = manifest_in(body)
    if isinstance(found, Index):
        top = ["image index", *fields(head(found, envelope)), *annotated(found.annotations)]
        count = counted(len(found.manifests), "manifest")
        return [*top, "", count, *dropped(body, "manifests", len(found.manifests)), *_by_platform(found)]
    if found is None and is_index(body, envelope):
        return broken("image index", body, "it has no list of manifests, or its mediaType says that it is a manifest")
    return None


def referrers_lines(body: bytes, envelope: Envelope) -> list[str] | None:
    """The referrers in a body; None where there is no list of them. Never raises."""
    found = manifest_in(body)
    if not isinstance(found, Index):
        return None
    of = f" of {envelope.reference}" if envelope.operation is Operation.REFERRERS else ""
    count = f"{counted(len(found.manifests), 'referrer')}{of}"
    return [
        count,
        *dropped(body, "manifests", len(found.manifests)),
        *annotated(found.annotations),
        *_by_artifact(found),
    ]


def _by_platform(index: Index) -> list[str]:
    if not index.manifests:
        return []
    places = {each.digest: str(each.platform) for each in index.manifests if each.platform is not None}
    has_artifacts = any(each.artifact_type for each in index.manifests)
    rows: list[Sequence[str]] = [("platform", "size", "bytes", "type", "digest", "artifact type")]
    rows += [
        (_platform(each, places), *sizes(each), short_name(each.media_type), each.digest, each.artifact_type)
        for each in index.manifests
    ]
    if not has_artifacts:
        rows = [row[:-1] for row in rows]
    return with_notes(table(rows, right={1, 2}), [each.annotations for each in index.manifests], 4)


def _platform(entry: Descriptor, places: dict[str, str]) -> str:
    attached = entry.annotations.get(_ATTACHED)
    if attached is None:
        return str(entry.platform) if entry.platform is not None else "(none)"
    what = "attestation" if attached == "attestation-manifest" else attached
    to = places.get(entry.annotations.get(_ATTACHED_TO, ""))
    return f"{what} of {to}" if to else what


def _by_artifact(index: Index) -> list[str]:
    if not index.manifests:
        return []
    entries = sorted(index.manifests, key=lambda each: each.artifact_type)
    rows: list[Sequence[str]] = [("artifact type", "size", "bytes", "type", "digest")]
    rows += [
        (each.artifact_type or "(none)", *sizes(each), short_name(each.media_type), each.digest) for each in entries
    ]
    return with_notes(table(rows, right={1, 2}), [each.annotations for each in entries], 4)
