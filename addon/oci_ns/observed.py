"""A flow as a transfer: what mitmproxy has of a request and its answer, in the addon's own words.

Knows mitmproxy's flows, live ones and saved ones; judges nothing.
"""

from __future__ import annotations

from mitmproxy import http
from mitmproxy.flow import Flow

from oci_ns import record as records
from oci_ns.answer_check import Answered
from oci_ns.content_coding import decoded
from oci_ns.distribution import Operation
from oci_ns.findings import Finding, finding_in
from oci_ns.header_fields import HeaderFields
from oci_ns.meter import DOCUMENT_MAX
from oci_ns.record import Record
from oci_ns.transfer import Transfer

_MANIFEST = Operation.MANIFEST.value
_BODY_MAX = 8 * 1024 * 1024
"""In bytes: a manifest longer than this is not looked into (distribution-spec, "Pushing Manifests": 4 MiB at least)."""


def record_in(flow: http.HTTPFlow) -> Record | None:
    """What is known of the flow's request; where ns-inject never saw it, what its URL says. None for other traffic."""
    found = records.read(flow.metadata)
    if found is not None:
        return found
    request = flow.request
    return records.foreign_record(request.pretty_url, request.path, request.pretty_host)


def transfer_of(flow: http.HTTPFlow, record: Record, findings: tuple[Finding, ...] = ()) -> Transfer:
    """The flow's request, and its answer as far as it has come."""
    request, response, error = flow.request, flow.response, flow.error
    peer = flow.client_conn.peername
    fields = HeaderFields(request.headers.fields)
    method = request.method
    client, agent, begun = peer[0] if peer else "", fields.get("user-agent") or "", request.timestamp_start
    ended, message = (error.timestamp, error.msg) if error is not None else (None, "")
    if response is None:
        return Transfer(client, agent, method, record, begun, ended=ended, error=message, findings=findings)
    said = HeaderFields(response.headers.fields)
    return Transfer(
        client,
        agent,
        method,
        record,
        begun,
        response.status_code,
        response.timestamp_start,
        ended or response.timestamp_end,
        _received(record, response, said, method),
        _document(record, response, said),
        said.get("docker-content-digest") or "",
        message,
        response.status_code == 401 and not fields.has(b"authorization"),
        findings,
    )


def saved_transfer(flow: Flow) -> Transfer | None:
    """The transfer of a flow that is over, with what was found then; None for others, and for other traffic."""
    if not isinstance(flow, http.HTTPFlow) or (flow.live and not _is_over(flow)):
        return None
    record = record_in(flow)
    if record is None:
        return None
    findings = (finding_in(text) for text in record.findings)
    return transfer_of(flow, record, tuple(each for each in findings if each is not None))


def answered(
    flow: http.HTTPFlow, record: Record, response: http.Response, digest: str | None, expected_size: int | None
) -> Answered:
    """The answer as it is checked; `digest` and `expected_size` as Answered has them."""
    said = HeaderFields(response.headers.fields)
    return Answered(
        method=flow.request.method,
        status=response.status_code,
        header=said.get,
        request_header=flow.request.headers.get,
        body=_document(record, response, said),
        digest=digest,
        expected_size=expected_size,
        now=flow.request.timestamp_start,
    )


def _is_over(flow: http.HTTPFlow) -> bool:
    return flow.error is not None or (flow.response is not None and flow.response.timestamp_end is not None)


def _received(record: Record, response: http.Response, said: HeaderFields, method: str) -> int:
    if record.received is not None or record.error:
        return record.received or 0
    if response.raw_content is not None:
        return len(response.raw_content)
    told = said.get("content-length") or ""
    return int(told) if method != "HEAD" and response.status_code in (200, 206) and told.isdecimal() else 0


def _document(record: Record, response: http.Response, said: HeaderFields) -> bytes | None:
    """The body, decoded, where it is one that somebody may look into."""
    raw = response.raw_content
    most = _BODY_MAX if record.operation == _MANIFEST else DOCUMENT_MAX
    if raw is None or len(raw) > most or not raw:
        return None
    return decoded(raw, said.get("content-encoding") or "", most)
