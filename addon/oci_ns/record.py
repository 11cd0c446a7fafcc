"""What is known of one registry request, and kept in its flow: what was asked for, decided, sent and found.

Knows the keys in `flow.metadata` and what they mean; they are flat, so that mitmproxy's `~meta` finds them, and plain,
so that they survive saving. A flow file may come from anywhere: what is not as it should be is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import fields
from typing import Any

from oci_ns.decision import Decision
from oci_ns.distribution import Operation, Target, parse
from oci_ns.value import value

PREFIX = "ns_"
"""All keys in the metadata begin so."""
UPSTREAM = f"{PREFIX}upstream"
OPERATION = f"{PREFIX}operation"
FINDINGS = f"{PREFIX}findings"


@value
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
    passed_over: tuple[str, ...] = ()
    error: str = ""
    findings: tuple[str, ...] = ()
    received: int | None = None


_FIELDS = tuple((each.name, PREFIX + each.name) for each in fields(Record))
_LISTS = frozenset({"passed_over", "findings"})


def record_of(decision: Decision, addressed: str, upstream: str, target: str, host: str) -> Record:
    """What a decision says of a request for the URL `addressed`, whose path and query are `target`.

    `upstream` is the URL that went upstream, where one did; `host` is the addressed host's name in normal form.
    """
    subject, error, registry = decision.subject, decision.error, decision.registry
    if subject is not None:
        image, named = str(subject), (subject.registry, subject.repository, subject.reference)
    else:
        image, named = _named(parse(target), host)
    return Record(
        (decision.operation or Operation.OTHER).value,
        decision.action.value,
        addressed,
        upstream if error is None else "",
        image,
        *named,
        namespace=decision.namespace or "",
        source=decision.source.value if decision.source is not None else "",
        endpoint=decision.place if error is None else "",
        entry=f"prefix {registry.prefix}, {registry.origin}" if registry is not None else "",
        error=str(error) if error is not None else "",
    )


def foreign_record(addressed: str, target: str, host: str) -> Record | None:
    """The record of a request that ns-inject never saw; None where it is none of the distribution API."""
    parsed = parse(target)
    if parsed is None:
        return None
    image, (_, repository, reference) = _named(parsed, host)
    return Record(parsed.operation.value, "", addressed, addressed, image, host, repository, reference, endpoint=host)


def _named(target: Target | None, host: str) -> tuple[str, tuple[str, str, str]]:
    """The image named after the host that was addressed, and in parts: nothing tells which registry that means."""
    repository, reference = (target.scope, target.suffix) if target is not None else ("", "")
    return f"{host}/{repository}{reference}" if repository else host, ("", repository, reference)


def metadata_of(record: Record) -> dict[str, str | int | list[str]]:
    """What is kept of the record: all that it says."""
    values = ((name, key, getattr(record, name)) for name, key in _FIELDS)
    return {key: list(value) if name in _LISTS else value for name, key, value in values if value or value == 0}


def write(record: Record, metadata: MutableMapping[str, Any]) -> None:
    """Keep the record; what it does not say is not there."""
    for _, key in _FIELDS:
        metadata.pop(key, None)
    metadata.update(metadata_of(record))


def read(metadata: Mapping[str, Any]) -> Record | None:
    """The record that is kept; None where there is none. Never raises."""
    if not isinstance(metadata.get(OPERATION), str):
        return None
    found: dict[str, Any] = {}
    for name, key in _FIELDS:
        value = metadata.get(key)
        if name in _LISTS:
            if isinstance(value, list | tuple):
                found[name] = tuple(each for each in value if isinstance(each, str))
        elif isinstance(value, int if name == "received" else str):
            found[name] = value
    return Record(**found)
