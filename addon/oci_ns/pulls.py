"""Pulls, not requests: which transfers belong to one pull of an image, when it is over, and how it went.

A pull is what one client (address and User-Agent) asks for of one repository, from the first request for a manifest to
the last blob. Nothing on the wire says that a client is done, since it asks only for the blobs that it lacks: a pull is
over when all blobs of its manifests are there, or when nothing has come for a while. Knows no clock but the times it is
given, so that a saved file and live traffic are told in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from oci_ns.distribution import Operation
from oci_ns.pull import REQUESTS_MAX, Pull
from oci_ns.transfer import Transfer

_OPEN_MAX = 2000
_OPEN_OF_A_CLIENT_MAX = 8
"""Of one repository; whoever asks for an image again and again is not looked through at each request."""
_MANIFEST = Operation.MANIFEST.value
_BLOB = Operation.BLOB.value

_Client = tuple[str, str, str, str]


class Pulls:
    """Groups transfers. Each is told twice, when it begins and when it ends, in the order of time."""

    def __init__(self, *, keep_transfers: bool = False) -> None:
        """`keep_transfers`: each pull has its transfers, without their bodies, when it is over."""
        self._keep_transfers = keep_transfers
        self._open: dict[_Client, list[Pull]] = {}
        self._given_up: list[Pull] = []

    def begin(self, transfer: Transfer) -> Pull | None:
        """The pull that a request belongs to, to be given back to `end`; None where it is no part of one."""
        operation = transfer.record.operation
        if transfer.method not in ("GET", "HEAD") or operation not in (_MANIFEST, _BLOB):
            return None
        pull = self._of_manifest(transfer) if operation == _MANIFEST else self._of_blob(transfer)
        if pull is not None:
            pull.under_way += 1
            if transfer.method == "GET":
                pull.asked.add(transfer.record.reference)
        return pull

    def end(self, pull: Pull, transfer: Transfer) -> None:
        """The answer is there, or there is none."""
        pull.under_way -= 1
        pull.take(transfer)
        if self._keep_transfers:
            pull.transfers.append(transfer.without_body())

    def over(self, now: float) -> list[Pull]:
        """Those that are over by now, in the order in which they began. They are not open any more."""
        found = [pull for pull in self.open() if _is_over(pull, now)]
        excess = sum(map(len, self._open.values())) - len(found) - _OPEN_MAX
        if excess > 0:
            over = {id(pull) for pull in found}
            rest = [pull for pull in self.open() if id(pull) not in over]
            found += sorted(rest, key=lambda pull: pull.ended)[:excess]
        return self._close(found)

    def close(self) -> list[Pull]:
        """All that are still open: no more will come."""
        return self._close(list(self.open()))

    def open(self) -> Iterator[Pull]:
        """Those that are not over."""
        for pulls in self._open.values():
            yield from pulls

    def _close(self, found: list[Pull]) -> list[Pull]:
        for pull in found:
            client = (pull.client, pull.agent, pull.registry, pull.repository)
            rest = [each for each in self._open[client] if each is not pull]
            if rest:
                self._open[client] = rest
            else:
                del self._open[client]
        found, self._given_up = [*self._given_up, *found], []
        return sorted(found, key=lambda each: each.begun)

    def _of_manifest(self, transfer: Transfer) -> Pull:
        reference = transfer.record.reference
        listing = []
        for pull in self._open.get(_client(transfer), ()):
            if reference == pull.reference:
                again = transfer.method == "GET" and reference in pull.fetched
                if not again and pull.result != "complete":
                    return pull
            elif reference[1:] in pull.children or reference[1:] == pull.digest:
                listing.append(pull)
        # Of several pulls that this may be for, the first that lacks it.
        lacking = [pull for pull in listing if pull.lacks(reference)]
        return next(iter(lacking or listing[-1:]), None) or self._new(transfer, reference)

    def _of_blob(self, transfer: Transfer) -> Pull | None:
        digest = transfer.record.reference[1:]
        candidates = self._open.get(_client(transfer), [])
        listing = [pull for pull in candidates if digest in pull.blobs]
        lacking = [pull for pull in listing if pull.lacks(transfer.record.reference)]
        found = lacking[:1] or listing[-1:] or candidates[-1:]
        if found:
            return found[0]
        return self._new(transfer, "") if transfer.method == "GET" else None

    def _new(self, transfer: Transfer, reference: str) -> Pull:
        client, agent, registry, repository = _client(transfer)
        pull = Pull(client, agent, registry, repository, reference, transfer.begun, transfer.begun)
        of_client = self._open.setdefault(_client(transfer), [])
        if len(of_client) >= _OPEN_OF_A_CLIENT_MAX:
            idle = (at for at, each in enumerate(of_client) if not each.under_way)
            self._given_up.append(of_client.pop(next(idle, 0)))
        of_client.append(pull)
        return pull


def _is_over(pull: Pull, now: float) -> bool:
    quiet = not pull.under_way and now - pull.ended >= pull.patience
    return quiet or pull.requests >= REQUESTS_MAX


def pulls_in(transfers: Iterable[Transfer]) -> list[Pull]:
    """The pulls of transfers that are all over, in the order in which they began."""
    events: list[tuple[float, int, int, Transfer]] = []
    for number, transfer in enumerate(transfers):
        events.append((transfer.begun, 1, number, transfer))
        events.append((max(transfer.ended or transfer.begun, transfer.begun), 2, number, transfer))
    pulls, found = Pulls(keep_transfers=True), list[Pull]()
    under_way: dict[int, Pull | None] = {}
    for time, phase, number, transfer in sorted(events, key=lambda event: event[:3]):
        found += pulls.over(time)
        if phase == 1:
            under_way[number] = pulls.begin(transfer)
        else:
            pull = under_way.pop(number)
            if pull is not None:
                pulls.end(pull, transfer)
    found += pulls.close()
    return sorted(found, key=lambda pull: pull.begun)


def _client(transfer: Transfer) -> _Client:
    record = transfer.record
    registry = record.registry or record.image.partition("/")[0]
    return (transfer.client, transfer.agent, registry, record.repository)
