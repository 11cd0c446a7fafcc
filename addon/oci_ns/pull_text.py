"""A pull in words: as one line of a log, as a row of a table, and as an object for machines.

Knows pulls; nothing of terminals (`pull_table`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from oci_ns.pull import Pull
from oci_ns.views.text import human_size

HEADER = ("begun", "client", "image", "result", "digest", "platform", "layers", "bytes", "seconds", "endpoint")
_DIGEST_SHOWN = 19
"""In characters: the algorithm and the twelve digits that container tools show."""
_ERRORS_MAX = 3


def pull_line(pull: Pull) -> str:
    """`pull IMAGE: RESULT, digest, platform, layers, bytes in seconds from endpoint, fallbacks, errors [client]`."""
    parts = [pull.result]
    if pull.digest:
        parts.append(pull.digest)
    parts += pull.platforms
    if pull.layers:
        parts.append(f"{pull.layers} layers" if pull.layers != 1 else "1 layer")
    where = f" from {', '.join(pull.endpoints)}" if pull.endpoints else ""
    parts.append(f"{human_size(pull.received)} in {pull.seconds:.2f} s{where}")
    parts += notes(pull)
    return f"pull {pull.image}: {', '.join(parts)} [{pull.client} {agent_name(pull)}]"


def notes(pull: Pull) -> list[str]:
    """What a person should know besides: what was passed over, what the client had, what failed."""
    found = [f"passed over {each}" for each in pull.passed_over]
    if pull.result == "partial":
        found.append(f"{len(pull.complete)} of {len(pull.blobs)} blobs, the client had the others")
    found += [f"{kind}: {text}" for kind, text in pull.remarks.items()]
    errors = list(pull.errors.values())
    found += [f"error: {error}" for error in errors[:_ERRORS_MAX]]
    if len(errors) > _ERRORS_MAX:
        found.append(f"and {len(errors) - _ERRORS_MAX} more errors")
    return found


def agent_name(pull: Pull) -> str:
    """The client's program, as the beginning of its User-Agent names it; `-` where it has none."""
    return pull.agent.partition(" ")[0] or "-"


def pull_row(pull: Pull) -> tuple[str, ...]:
    """The pull as a row below HEADER; its notes are for beside it."""
    return (
        moment(pull.begun),
        f"{pull.client} {agent_name(pull)}",
        pull.image,
        pull.result,
        pull.digest[:_DIGEST_SHOWN],
        ", ".join(pull.platforms),
        str(pull.layers) if pull.layers else "",
        human_size(pull.received),
        f"{pull.seconds:.2f}",
        ", ".join(pull.endpoints),
    )


def pull_object(pull: Pull) -> dict[str, Any]:
    """The pull for machines; the fields are described in the README."""
    return {
        "begun": moment(pull.begun),
        "client": pull.client,
        "agent": pull.agent,
        "image": pull.image,
        "registry": pull.registry,
        "repository": pull.repository,
        "reference": pull.reference,
        "result": pull.result,
        "digest": pull.digest or None,
        "platforms": pull.platforms,
        "layers": pull.layers,
        "blobs": len(pull.blobs),
        "blobs_complete": len(pull.complete),
        "bytes": pull.received,
        "seconds": round(pull.seconds, 6),
        "endpoints": pull.endpoints,
        "passed_over": pull.passed_over,
        "findings": [f"{kind}: {text}" for kind, text in pull.remarks.items()],
        "errors": list(pull.errors.values()),
    }


def moment(seconds: float) -> str:
    """A point in time, UTC, as RFC 3339 with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
