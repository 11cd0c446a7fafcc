"""What a registry answers about itself, for people: lists of tags, and errors with what their codes mean.

Knows the distribution-spec's "Listing Tags" and "Error Codes".
"""

from __future__ import annotations

from typing import Any

from oci_ns.distribution import Operation
from oci_ns.manifests import document
from oci_ns.printable import printable
from oci_ns.views.envelope import Envelope, may_be_object
from oci_ns.views.text import compact, counted, fields

MEANINGS = {
    "BLOB_UNKNOWN": "the registry does not have the blob",
    "BLOB_UPLOAD_INVALID": "the upload cannot go on as it is",
    "BLOB_UPLOAD_UNKNOWN": "the registry knows of no such upload",
    "DIGEST_INVALID": "the content does not have the digest that was named",
    "MANIFEST_BLOB_UNKNOWN": "the manifest names a blob or manifest that the registry does not have",
    "MANIFEST_INVALID": "the registry does not accept the manifest",
    "MANIFEST_UNKNOWN": "the repository has no such tag or manifest",
    "NAME_INVALID": "this is no name for a repository",
    "NAME_UNKNOWN": "the registry does not have the repository",
    "SIZE_INVALID": "the length named is not the content's",
    "UNAUTHORIZED": "a login is needed, or was not accepted",
    "DENIED": "this login may not do that",
    "UNSUPPORTED": "the registry does not do that",
    "TOOMANYREQUESTS": "too many requests: try again later",
}
"""The codes of the distribution-spec ("Error Codes")."""

_BEYOND_THE_SPEC = {
    "TAG_INVALID": "the manifest's tag is not the one in the URL",
    "UNAVAILABLE": "the registry cannot do it now",
    "UNKNOWN": "the registry does not say what went wrong",
}
"""Codes of Docker's registry that others use, too."""


def is_tags(body: bytes, envelope: Envelope) -> bool:
    """Whether it answers the question for a repository's tags."""
    if envelope.operation is not Operation.TAGS or not envelope.is_response or not may_be_object(body):
        return False
    return envelope.is_vague and tags_lines(body, envelope) is not None


def tags_lines(body: bytes, _: Envelope) -> list[str] | None:
    """A repository's tags in the order they came in, one a line; None where there are none. Never raises."""
    value = document(body)
    if value is None or "tags" not in value:
        return None
    # Docker's registry answers null where there is none.
    tags = value["tags"] if value["tags"] is not None else []
    if not isinstance(tags, list):
        return None
    name = compact(value.get("name")) or "(no name)"
    return [f"{printable(name)}: {counted(len(tags), 'tag')}", *(f"  {printable(compact(tag))}" for tag in tags)]


def is_errors(body: bytes, envelope: Envelope) -> bool:
    """Whether it is a registry's error: below /v2 others may live, who use the word `errors` as well."""
    if envelope.operation is None or not envelope.is_response or not envelope.is_vague or not may_be_object(body):
        return False
    errors = _errors_in(body)
    known = MEANINGS.keys() | _BEYOND_THE_SPEC.keys()
    return bool(errors) and (
        envelope.operation is not Operation.OTHER or any(error["code"] in known for error in errors)
    )


def errors_lines(body: bytes, _: Envelope) -> list[str] | None:
    """The errors in a body, each with what its code means; None where there are none. Never raises."""
    errors = _errors_in(body)
    if not errors:
        return None
    return [line for error in errors for line in _error(error)]


def _error(error: dict[str, Any]) -> list[str]:
    code = error["code"]
    meaning = MEANINGS.get(code) or _BEYOND_THE_SPEC.get(code) or "not a code of the distribution-spec"
    pairs = [(f"  {key}", compact(error.get(key))) for key in ("message", "detail")]
    return [f"{printable(code)}: {meaning}", *fields(pairs)]


def _errors_in(body: bytes) -> list[dict[str, Any]]:
    """The errors that have a code; none where one of them has none."""
    errors = (document(body) or {}).get("errors")
    if not isinstance(errors, list):
        return []
    coded = [each for each in errors if isinstance(each, dict) and isinstance(each.get("code"), str) and each["code"]]
    return coded if len(coded) == len(errors) else []
