"""Watches registry traffic go by: annotates flows, checks answers, groups pulls, and tells those who keep account.

A mitmproxy addon of its own, behind the one that decides. It changes nothing that a client or an endpoint gets.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol
from weakref import WeakKeyDictionary

from mitmproxy import ctx, http

from oci_ns import record as records
from oci_ns.annotation import comment_on
from oci_ns.answer_check import check, decided
from oci_ns.distribution import Operation
from oci_ns.findings import Finding, Kind, marker_for
from oci_ns.log_line import is_heard
from oci_ns.meter import Meter
from oci_ns.no_answer import CLIENT_GONE, reason_of
from oci_ns.observed import answered, transfer_of
from oci_ns.printable import printable
from oci_ns.pull import Pull
from oci_ns.pull_text import pull_line
from oci_ns.pulls import Pulls
from oci_ns.record import Record
from oci_ns.transfer import Transfer

logger = logging.getLogger(__name__)

_BLOB = Operation.BLOB.value
_TICK_SECONDS = 0.5
_NOTED_MAX = 10_000
_HALF_A_BODY = "peer closed connection without sending complete message body"
"""h11's words for a connection that ends in the middle of a body, be it a request's or an answer's."""


class Account(Protocol):
    """Whoever keeps account of what goes by."""

    def decided(self, transfer: Transfer) -> None:
        """A request was decided about; there is no answer yet."""
        ...

    def answered(self, transfer: Transfer) -> None:
        """A request has its answer, or will have none."""
        ...

    def pulled(self, pull: Pull) -> None:
        """A pull is over."""
        ...


@dataclass(slots=True)
class _Watched:
    record: Record
    pull: Pull | None
    findings: tuple[Finding, ...]
    meter: Meter | None = None


@dataclass(eq=False)
class Observer:
    """Watches. `accounts` are told everything, `pulls` groups transfers; `now` is in seconds since the epoch.

    `recorded` is what the addon that decides knows of a request, None where it did not see it.
    """

    recorded: Callable[[http.HTTPFlow], Record | None]
    accounts: Sequence[Account] = ()
    pulls: Pulls = field(default_factory=Pulls)
    now: Callable[[], float] = time.time
    _watched: WeakKeyDictionary[http.HTTPFlow, _Watched] = field(default_factory=WeakKeyDictionary)
    _noted: set[tuple[Kind, str]] = field(default_factory=set)
    _ticking: asyncio.Task[None] | None = None

    def running(self) -> None:
        """From here on pulls end by the clock, too."""
        self._ticking = asyncio.get_running_loop().create_task(self._tick())

    def done(self) -> None:
        """Tell of the pulls that are not over: no more will come."""
        if self._ticking is not None:
            self._ticking.cancel()
        self._tell(self.pulls.close())

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """See what was decided."""
        record = self.recorded(flow) if flow.live else None
        if record is None:
            return
        transfer = transfer_of(flow, record)
        watched = _Watched(record, self.pulls.begin(transfer), decided(record))
        self._watched[flow] = watched
        self._annotate(flow, watched)
        self._log(record, watched.findings)
        for account in self.accounts:
            account.decided(transfer)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Measure a blob that is passed on as it comes."""
        response = flow.response
        if response is None or response.stream is not True:
            return
        watched = self._watched.get(flow)
        if watched is None or watched.record.operation != _BLOB:
            return
        whole = response.status_code == 200 and "Content-Encoding" not in response.headers
        algorithm = watched.record.reference[1:].partition(":")[0] if ctx.options.ns_verify_blobs and whole else ""
        watched.meter = Meter(algorithm)
        response.stream = watched.meter

    def response(self, flow: http.HTTPFlow) -> None:
        """See the whole answer."""
        watched, response = self._watched.pop(flow, None), flow.response
        if watched is None or response is None:
            return
        record = self.recorded(flow) or watched.record
        meter = watched.meter
        if meter is not None:
            if response.raw_content is not None and not meter.length:
                # Another addon has answered: its answer never passed by.
                meter(response.raw_content)
            if response.raw_content is None:
                response.raw_content = meter.document
        findings = decided(record)
        if not record.error:
            digest = meter.digest if meter is not None else None
            size = watched.pull.blobs.get(record.reference[1:]) if watched.pull is not None else None
            found = check(record, answered(flow, record, response, digest, size))
            if found:
                findings = (*findings, *self._worth_noting(record, found))
        self._settle(flow, watched, record, findings)

    def error(self, flow: http.HTTPFlow) -> None:
        """See that the answer did not come, or not as a whole."""
        watched = self._watched.pop(flow, None)
        if watched is None or flow.error is None:
            return
        record = self.recorded(flow) or watched.record
        received = watched.meter.length if watched.meter is not None else 0
        broken_off = _broken_off(flow, record, flow.error.msg, received)
        self._settle(flow, watched, record, (*decided(record), broken_off))

    def _settle(self, flow: http.HTTPFlow, watched: _Watched, record: Record, findings: tuple[Finding, ...]) -> None:
        if record is not watched.record or findings != watched.findings:
            news = [finding for finding in findings if finding not in watched.findings]
            watched.record, watched.findings = record, findings
            self._annotate(flow, watched)
            self._log(record, news)
        if watched.meter is not None:
            watched.record = replace(watched.record, received=watched.meter.length)
            records.write(watched.record, flow.metadata)
        if watched.pull is None and not self.accounts:
            return
        transfer = transfer_of(flow, watched.record, findings)
        for account in self.accounts:
            account.answered(transfer)
        if watched.pull is not None:
            self.pulls.end(watched.pull, transfer)

    def _annotate(self, flow: http.HTTPFlow, watched: _Watched) -> None:
        if watched.findings or records.FINDINGS in flow.metadata:
            watched.record = replace(watched.record, findings=tuple(map(str, watched.findings)))
            records.write(watched.record, flow.metadata)
        flow.comment = comment_on(watched.record, watched.findings)
        flow.marked = marker_for(watched.findings)

    def _worth_noting(self, record: Record, findings: Iterable[Finding]) -> list[Finding]:
        """All but what was noted of the endpoint before."""
        return [each for each in findings if each.kind is not Kind.NAMESPACE_UNCONFIRMED or self._is_new(each, record)]

    def _is_new(self, finding: Finding, record: Record) -> bool:
        noted = (finding.kind, record.endpoint)
        if noted in self._noted:
            return False
        if len(self._noted) >= _NOTED_MAX:
            self._noted.clear()
        self._noted.add(noted)
        return True

    def _log(self, record: Record, findings: Iterable[Finding]) -> None:
        for finding in findings:
            if finding.is_news and (finding.kind is not Kind.UNRESOLVED or self._is_new(finding, record)):
                text = str(finding)
                whose = f" [{record.endpoint}]" if record.endpoint and record.endpoint not in text else ""
                logger.warning("%s: %s%s", printable(record.image), printable(text), printable(whose))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            self._tell(self.pulls.over(self.now()))

    def _tell(self, over: Iterable[Pull]) -> None:
        for pull in over:
            level = logging.WARNING if pull.result == "failed" else logging.INFO
            if is_heard(level):
                logger.log(level, "%s", printable(pull_line(pull)))
            for account in self.accounts:
                account.pulled(pull)


def _broken_off(flow: http.HTTPFlow, record: Record, message: str, received: int) -> Finding:
    if message == CLIENT_GONE or (flow.request.timestamp_end is None and _HALF_A_BODY in message):
        return Finding(Kind.ABORTED, "the client went away" + (f" after {received} bytes" if received else ""))
    if flow.response is None:
        return Finding(Kind.FAILED, f"{record.endpoint}: {reason_of(message)}")
    length = flow.response.headers.get("Content-Length", "")
    whole = f" of {length}" if length.isdecimal() else ""
    return Finding(Kind.TRUNCATED, f"{record.endpoint}: {message} after {received}{whole} bytes")
