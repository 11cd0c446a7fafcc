"""What is known of one registry request, and kept in its flow: what was asked for, decided, sent and found.

Knows the keys in `flow.metadata` and what they mean; they are flat, so that mitmproxy's `~meta` finds them, and plain,
so that they survive saving. A flow file may come from anywhere: what is not as it should be is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field, fields
from typing import Any

from oci_ns.decision import Decision
from oci_ns.distribution import Operation, Target, parse

PREFIX = "ns_"
"""All keys in the metadata begin so."""
UPSTREAM = f"{PREFIX}upstream"
OPERATION = f"{PREFIX}operation"


@dataclass(slots=True)
class Record:
    """One request. The names of the fields are those of the metadata, with PREFIX. '' stands for what is not known.

    `addressed` and `upstream` are URLs: what the client asked for, and what went upstream ('' where nothing did).
    `registry`, `repository` and `reference` (`:tag` or `@digest`) name the image as its user did; `image` is them
    together. `namespace` is the `ns` in force, `source` what told the registry. `endpoint` is the location that serves
    it, `entry` the table it comes from (prefix, file, line). `passed_over` names the endpoints that failed, each with
    the reason. `error` is the answer that ns-inject itself gave. `findings` are what was found wrong, each beginning
    with its kind. `received` counts the bytes of the body that came from the endpoint, None where nobody counted.
    """

    operation: str
    action: str = ""
    addressed: str = ""
    upstream: str = ""
    image: str = ""
    registry: str = ""
    repository: str = ""
    reference: str = ""
    namespace: str = ""
    source: str = ""
    endpoint: str = ""
    entry: str = ""
    passed_over: list[str] = field(default_factory=list)
    error: str = ""
    findings: list[str] = field(default_factory=list)
    received: int | None = None


_FIELDS = tuple((each.name, PREFIX + each.name) for each in fields(Record))
_LISTS = frozenset({"passed_over", "findings"})


def record_of(decision: Decision, addressed: str, target: str, host: str) -> Record:
    """What a decision says of a request for the URL `addressed`, whose path and query are `target`."""
    operation = (decision.operation or Operation.OTHER).value
    subject, error, registry = decision.subject, decision.error, decision.registry
    record = Record(operation, decision.action.value, addressed)
    if subject is not None:
        record.registry, record.repository, record.reference = subject.registry, subject.repository, subject.reference
        record.image = str(subject)
    else:
        _name(record, parse(target), host)
    record.namespace = decision.namespace or ""
    if decision.source is not None:
        record.source = decision.source.value
    if registry is not None:
        record.entry = f"prefix {registry.prefix}, {registry.origin}"
    if error is not None:
        record.error = f"{error.status} {error.code}: {error.message}"
    else:
        record.upstream = decision.upstream or ""
        record.endpoint = decision.place
    return record


def foreign_record(addressed: str, target: str, host: str) -> Record | None:
    """The record of a request that ns-inject never saw; None where it is none of the distribution API."""
    parsed = parse(target)
    if parsed is None:
        return None
    record = Record(parsed.operation.value, addressed=addressed, upstream=addressed, endpoint=host, registry=host)
    _name(record, parsed, host)
    return record


def _name(record: Record, target: Target | None, host: str) -> None:
    """Name the image after the host that was addressed: nothing tells which registry that means."""
    if target is not None:
        record.repository, record.reference = target.scope, target.suffix
    record.image = f"{host}/{record.repository}{record.reference}" if record.repository else host


def write(record: Record, metadata: MutableMapping[str, Any]) -> None:
    """Keep the record; what it does not say is not there."""
    for name, key in _FIELDS:
        value = getattr(record, name)
        if value or value == 0:
            metadata[key] = value
        else:
            metadata.pop(key, None)


def read(metadata: Mapping[str, Any]) -> Record | None:
    """The record that is kept; None where there is none. Never raises."""
    operation = metadata.get(OPERATION)
    if not isinstance(operation, str):
        return None
    record = Record(operation)
    for name, key in _FIELDS[1:]:
        value = metadata.get(key)
        if name in _LISTS:
            if isinstance(value, list | tuple):
                setattr(record, name, [each for each in value if isinstance(each, str)])
        elif name == "received":
            if isinstance(value, int):
                record.received = value
        elif isinstance(value, str):
            setattr(record, name, value)
    return record
