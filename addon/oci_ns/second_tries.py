"""What is tried where the endpoint that a request went to has not served it: a better login, or another endpoint.

The client knows of nothing yet. Who was asked first, and how a request is carried there, is in `forwarding`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Iterable
from dataclasses import replace

from mitmproxy import http

from oci_ns import record as records
from oci_ns.decision import Decision
from oci_ns.distribution import Operation
from oci_ns.exchanges import answer_of, redirect
from oci_ns.fetch import FetchError, UnsendableError
from oci_ns.flows import answer_with, error_answer, for_the_client
from oci_ns.no_answer import cost_of, is_stale, reason_of
from oci_ns.printable import printable
from oci_ns.pull_access import PullAccess
from oci_ns.selection import NoEndpointError, Rejection, Selected, Selection, rejection_of
from oci_ns.spec_error import SpecError
from oci_ns.under_way import Carried, UnderWay

logger = logging.getLogger(__name__)


class SecondTries:
    """Belongs to one event loop. `under_way` has what is known of the requests."""

    def __init__(self, selection: Selection, under_way: UnderWay) -> None:
        self._selection = selection
        self._credentials = selection.endpoints.credentials
        self._under_way = under_way

    async def with_better_login(
        self, flow: http.HTTPFlow, carried: Carried, access: PullAccess, response: http.Response
    ) -> None:
        """The Authorization was refused; with a better one, a manifest is fetched here, a blob by the client anew."""
        origin = carried.origin
        challenges = response.headers.get_all("WWW-Authenticate")
        try:
            better = await self._credentials.renewed(access, challenges, carried.authorization)
            if better is None:
                for_the_client(flow, response, carried.sent, carried.origin)
                return
            if carried.decision.operation is Operation.BLOB:
                flow.response = redirect(origin.target)
            else:
                answer = await self._credentials.fetch(carried.sent, origin.outgoing(carried.sent))
                answer_with(flow, carried.sent, origin, answer)
        except FetchError as error:
            for_the_client(flow, response, carried.sent, carried.origin)
            logger.warning("%s: %s", printable(str(carried.decision.subject)), printable(str(error)))

    async def of_others(self, flow: http.HTTPFlow, carried: Carried, response: http.Response) -> None:
        """The answer is that it has no such thing: the next endpoints are asked."""
        failed = rejection_of(carried.chosen, answer_of(response))
        await self._answer_otherwise(
            flow, carried, failed, self._selection.after(carried.decision, failed, carried.origin.outgoing)
        )

    async def _answer_otherwise(
        self,
        flow: http.HTTPFlow,
        carried: Carried,
        failed: Rejection,
        selecting: Awaitable[Selected],
        *,
        status: int | None = None,
    ) -> None:
        """Have another endpoint serve the request; where none does, tell the client why, with this status."""
        origin = carried.origin
        try:
            selected = await selecting
        except UnsendableError:
            # It was sent by another way than the addon's own; that endpoint's answer stands.
            return
        except NoEndpointError as error:
            told = error.spec_error if status is None else replace(error.spec_error, status=status)
            self._turned_out(flow, "", error.rejections, told)
            flow.response = error_answer(carried.decision, told, origin.method)
            logger.warning("%s", printable(told.message))
            return
        served_after_all = selected.decision.endpoint == failed.decision.endpoint
        rejections = selected.rejections if served_after_all else (failed, *selected.rejections)
        log_rejections(carried.decision, rejections)
        self._turned_out(flow, selected.sent.place, rejections, None)
        if selected.answer is not None:
            answer_with(flow, selected.sent, origin, selected.answer)
        else:
            # The bytes of a blob are not for here: the client gets them when it asks again.
            flow.response = redirect(origin.target)

    async def unanswered(self, flow: http.HTTPFlow, carried: Carried, message: str, status: int | None) -> None:
        """No answer came, for the reason that mitmproxy gives in `message`: the next endpoints are asked.

        `status` is what the client is told where none of them has an answer either; None: what is usual.
        """
        took = cost_of(message, time.time() - flow.request.timestamp_start)
        failed = Rejection(carried.chosen, reason_of(message))
        selecting = self._select_after(carried, failed, took, stale=is_stale(flow))
        await self._answer_otherwise(flow, carried, failed, selecting, status=status)

    async def _select_after(self, carried: Carried, failed: Rejection, took: float, *, stale: bool) -> Selected:
        decision, outgoing = carried.decision, carried.origin.outgoing
        whole = decision.operation is not Operation.BLOB
        if not decision.pull or carried.origin.has_body:
            raise NoEndpointError(decision, [failed])
        if stale:
            try:
                return await self._selection.again(decision, carried.chosen, outgoing, whole=whole)
            except NoEndpointError as error:
                (failed,) = error.rejections
        return await self._selection.after(decision, failed, outgoing, whole=whole, took=took)

    def _turned_out(
        self, flow: http.HTTPFlow, endpoint: str, passed_over: Iterable[Rejection], error: SpecError | None
    ) -> None:
        """Note that another endpoint served the request after all, or, with `error`, that none did."""
        known = self._under_way.get(flow)
        if known is None:
            return
        over, failure = tuple(map(str, passed_over)), "" if error is None else str(error)
        known.record = replace(known.record, endpoint=endpoint, passed_over=over, error=failure)
        records.write(known.record, flow.metadata)


def log_rejections(decision: Decision, rejections: Iterable[Rejection]) -> None:
    """A warning for each endpoint that was passed over."""
    for rejection in rejections:
        logger.warning("%s: passed over %s", printable(str(decision.subject)), printable(str(rejection)))
