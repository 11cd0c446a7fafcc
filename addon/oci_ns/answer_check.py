"""What an answer says of itself, held against what was asked: which registry, which content, which type, and why not.

Knows the distribution-spec and one request with its answer; nothing of mitmproxy. Sources: distribution-spec, "Registry
Proxying" (OCI-Namespace), "Pulling manifests" and "Pulling blobs" (Docker-Content-Digest), "Error Codes"; RFC 9110,
sections 8.3 and 10.2.3; RFC 6585, section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from oci_ns.distribution import Operation
from oci_ns.findings import Finding, Kind
from oci_ns.logins.bearer import expiry_in, token_in
from oci_ns.manifests import CONFIGS, DOCKER_SCHEMA_1, INDEXES, MANIFESTS, document, essence
from oci_ns.meter import digest_of
from oci_ns.record import Record
from oci_ns.reference import canonical_registry
from oci_ns.spec_error import first_error
from oci_ns.value import value
from oci_ns.views.text import utc

_CONTENT = frozenset({Operation.MANIFEST.value, Operation.BLOB.value})
_MANIFEST = Operation.MANIFEST.value
_BLOB = Operation.BLOB.value


@value
class Answered:
    """A request and its answer. `header` and `request_header` look a field up by name, in any case.

    `body` is decoded (None where nobody kept it), `digest` that of a body which was only seen passing. `expected_size`
    is what the manifest says of the blob, in bytes. `now` is in seconds since the epoch.
    """

    method: str
    status: int
    header: Callable[[str], str | None]
    request_header: Callable[[str], str | None]
    body: bytes | None = None
    digest: str | None = None
    expected_size: int | None = None
    now: float = 0.0


def check(record: Record, answered: Answered) -> list[Finding]:
    """All that is wrong with an endpoint's answer, what matters most first."""
    if answered.status in (200, 206):
        found = [*_namespace(record, answered)]
        if record.operation in _CONTENT:
            found += [*_digests(record, answered), *_size(record, answered)]
        if record.operation == _MANIFEST and answered.method != "HEAD":
            found += _media_type(record, answered)
        return found
    return list(_refusal(record, answered)) if answered.status >= 400 else []


def decided(record: Record) -> tuple[Finding, ...]:
    """What is to be noted about a decision, before there is an answer."""
    unresolved = not record.source and record.action == "pass" and record.operation != Operation.OTHER.value
    return _noted(record, unresolved) if unresolved or record.error or record.passed_over else ()


def _noted(record: Record, unresolved: bool) -> tuple[Finding, ...]:
    found = []
    if record.error:
        kind = Kind.BLOCKED if record.error.startswith("403 ") else Kind.UNSERVED
        found.append(Finding(kind if record.source else Kind.UNRESOLVED, record.error))
    if unresolved:
        found.append(Finding(Kind.UNRESOLVED, f"nothing in registries.conf tells which registry {record.image} is"))
    if record.passed_over:
        found.append(Finding(Kind.FELL_BACK, "; ".join(record.passed_over)))
    return tuple(found)


def _namespace(record: Record, answered: Answered) -> Iterator[Finding]:
    """The proxy says which registry it served; where it does not, it may have ignored the `ns`."""
    if not record.namespace or not record.upstream:
        return
    served = answered.header("OCI-Namespace")
    if served is None:
        text = f"{record.endpoint} does not say which registry it served (no OCI-Namespace): it may ignore ns"
        yield Finding(Kind.NAMESPACE_UNCONFIRMED, text)
    elif canonical_registry(served.strip()) != canonical_registry(record.namespace):
        text = f"{record.endpoint} served {served.strip()[:200]}, and was asked for ns={record.namespace}"
        yield Finding(Kind.WRONG_NAMESPACE, text)


def _digests(record: Record, answered: Answered) -> Iterator[Finding]:
    """What was asked for, what the endpoint says it sent, and what it sent."""
    asked = record.reference[1:] if record.reference.startswith("@") else ""
    said = (answered.header("Docker-Content-Digest") or "").strip()
    if asked and said and said != asked and _algorithm(said) == _algorithm(asked):
        yield Finding(Kind.WRONG_DIGEST, f"{record.endpoint} answers with {said[:200]} for {asked}")
    expected = asked or said
    if not expected or answered.status != 200 or answered.method == "HEAD":
        return
    made = answered.digest
    if record.operation == _MANIFEST and answered.body is not None:
        # Their digest leaves the signatures out, which stand in the body.
        signed = essence(answered.header("Content-Type")) in DOCKER_SCHEMA_1
        made = None if signed else digest_of(answered.body, expected)
    if made is not None and made != expected and _algorithm(made) == _algorithm(expected):
        whose = "was asked for" if asked else "is what the endpoint calls it"
        yield Finding(Kind.WRONG_DIGEST, f"the content is {made}, and {expected} {whose}")


def _algorithm(digest: str) -> str:
    return digest.partition(":")[0]


def _size(record: Record, answered: Answered) -> Iterator[Finding]:
    length = answered.header("Content-Length")
    if record.operation != _BLOB or answered.expected_size is None or length is None or answered.status != 200:
        return
    if answered.header("Content-Encoding") is None and length.isdecimal() and int(length) != answered.expected_size:
        text = f"{record.endpoint} has {int(length)} bytes of a blob that has {answered.expected_size} by its manifest"
        yield Finding(Kind.WRONG_SIZE, text)


def _media_type(record: Record, answered: Answered) -> Iterator[Finding]:
    told = essence(answered.header("Content-Type"))
    known = MANIFESTS | INDEXES | CONFIGS | DOCKER_SCHEMA_1
    value = document(answered.body) if answered.body is not None else None
    itself = value.get("mediaType") if value is not None else None
    if isinstance(itself, str) and itself != told:
        yield Finding(Kind.WRONG_MEDIA_TYPE, f"Content-Type is {told or 'missing'}, the manifest calls itself {itself}")
    elif value is None and answered.body is not None:
        kind = "" if told in known else f", but {told or 'something without a Content-Type'}"
        yield Finding(Kind.NOT_A_MANIFEST, f"{record.endpoint} answers 200 and no manifest{kind}")


def _refusal(record: Record, answered: Answered) -> Iterator[Finding]:
    """4xx and 5xx, with the endpoint's own words, and what a client may make of them."""
    status = answered.status
    text = _words(record, answered)
    token = token_in(answered.request_header("Authorization"))
    expires = expiry_in(token)
    if status == 429:
        after = (answered.header("Retry-After") or "").strip()
        yield Finding(Kind.RATE_LIMITED, f"{text}; retry after {_delay(after)}" if after else text)
    elif status >= 500:
        yield Finding(Kind.FAILED, text)
    elif status == 401 and expires is not None and expires <= answered.now:
        when = f"{utc(expires)}, {answered.now - expires:,.0f} s ago"
        yield Finding(Kind.TOKEN_EXPIRED, f"the client's token expired at {when}; {text}")
    elif status in (401, 403) and answered.request_header("Authorization") is not None:
        yield Finding(Kind.UNAUTHORIZED, f"{text}; a login was sent")
    elif status != 401 and answered.method != "HEAD":
        # 401 without a login is a challenge, and by HEAD a client asks whether something is there.
        yield Finding(Kind.REFUSED, text)


def _words(record: Record, answered: Answered) -> str:
    said = first_error(answered.body or b"")
    return f"{record.endpoint}: {answered.status}" + (f" {said}" if said else "")


def _delay(retry_after: str) -> str:
    return f"{int(retry_after)} s" if retry_after.isdecimal() and len(retry_after) < 10 else retry_after[:60]
