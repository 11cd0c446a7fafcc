"""The requests of one pull as a waterfall in text: when each began, how long it waited, and how long its bytes took.

Knows one pull; nothing of terminals but how many columns there are.
"""

from __future__ import annotations

from collections.abc import Iterator

from oci_ns.pull import Pull
from oci_ns.transfer import Transfer
from oci_ns.views.text import human_size, table

WAITING, RECEIVING = "░", "█"
"""From the request to the head of the answer; from there to its end."""

_WIDTH_MIN = 20
_REFERENCE_SHOWN = 20


def timeline_lines(pull: Pull, width: int) -> list[str]:
    """A line for each request, in the order in which they began; `width` is how many columns a line may have."""
    transfers = sorted(pull.transfers, key=lambda each: each.begun)
    labels = table([_label(pull, transfer) for transfer in transfers], {0, 4, 5})
    columns = max(width - max(map(len, labels), default=0) - 3, _WIDTH_MIN)
    scale = columns / pull.seconds if pull.seconds else 0.0
    return [
        f"{label.ljust(max(map(len, labels)))} |{_bar(pull, transfer, scale, columns)}|"
        for label, transfer in zip(labels, transfers, strict=True)
    ]


def _label(pull: Pull, transfer: Transfer) -> tuple[str, ...]:
    record = transfer.record
    status = str(transfer.status) if transfer.status is not None else "-"
    return (
        f"{(transfer.begun - pull.begun) * 1000:.0f} ms",
        transfer.method,
        f"{record.operation} {record.reference.lstrip(':')[:_REFERENCE_SHOWN]}",
        status,
        human_size(transfer.received),
        f"{transfer.seconds * 1000:.0f} ms",
        record.endpoint,
    )


def _bar(pull: Pull, transfer: Transfer, scale: float, columns: int) -> str:
    begun = _column(transfer.begun - pull.begun, scale, columns - 1)
    ended = max(_column((transfer.ended or transfer.begun) - pull.begun, scale, columns), begun + 1)
    headed = _column((transfer.headed or transfer.ended or transfer.begun) - pull.begun, scale, columns)
    headed = min(max(headed, begun), ended)
    bar = " " * begun + WAITING * (headed - begun) + RECEIVING * (ended - headed)
    return bar.ljust(columns)


def _column(seconds: float, scale: float, most: int) -> int:
    return min(max(round(seconds * scale), 0), most)


def legend() -> Iterator[str]:
    """What the bars mean."""
    yield f"{WAITING} until the answer begins  {RECEIVING} until it has ended"
