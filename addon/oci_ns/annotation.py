"""What a person reads beside a request in mitmproxy: one line that says image, decision, endpoint and faults.

Knows records and findings; nothing of mitmproxy.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

from oci_ns.discreet import shown_url
from oci_ns.distribution import Operation
from oci_ns.findings import Finding, Kind
from oci_ns.printable import printable
from oci_ns.record import Record

SEPARATOR = " · "
_KNOWN_MAX = 2048
_SAID_ALREADY = frozenset({Kind.BLOCKED, Kind.UNSERVED, Kind.UNRESOLVED, Kind.FELL_BACK})
_NAMED_BY_REFERENCE = frozenset({Operation.MANIFEST.value, Operation.BLOB.value})


def comment_on(record: Record, findings: Iterable[Finding]) -> str:
    """The comment: `image · ns=… (rule) · endpoint`, what was passed over, what was found, and the URL asked for."""
    return _comment(record, tuple(findings))


@functools.lru_cache(maxsize=_KNOWN_MAX)
def _comment(record: Record, findings: tuple[Finding, ...]) -> str:
    parts = [record.image if record.operation in _NAMED_BY_REFERENCE else f"{record.image} ({record.operation})"]
    if record.error:
        parts.append(record.error)
    else:
        parts += [_namespace(record), record.endpoint]
    parts += [f"passed over {each}" for each in record.passed_over]
    parts += [str(finding) for finding in findings if finding.kind not in _SAID_ALREADY]
    if record.addressed != record.upstream and record.addressed:
        parts.append(f"asked for {shown_url(record.addressed)}")
    return SEPARATOR.join(printable(part) for part in parts if part)


def _namespace(record: Record) -> str:
    if record.source:
        return f"ns={record.namespace} ({record.source})" if record.namespace else f"no ns ({record.source})"
    return "" if record.operation == Operation.OTHER.value else "unresolved"
