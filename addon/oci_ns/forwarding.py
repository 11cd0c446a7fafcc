"""A flow on its way: shaped as decided, sent to the endpoint that serves it, and looked at again when the answer comes.

Translates between mitmproxy's flows and the selection of endpoints; nothing is decided here.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace

from mitmproxy import http
from mitmproxy.proxy.mode_specs import ReverseMode

from oci_ns import presence
from oci_ns import record as records
from oci_ns.blob_redirect import redirect_target
from oci_ns.decided import Decided, Decisions
from oci_ns.decision import Action, Decision
from oci_ns.distribution import Operation
from oci_ns.exchanges import Origin, origin_of, redirect
from oci_ns.fetch import NotAuthorizedError, UnsendableError
from oci_ns.flows import (
    answer_with,
    apply,
    drop_login_of_listener,
    drop_upgrade,
    end,
    for_the_client,
    is_decided,
    make_printable,
)
from oci_ns.header_fields import HeaderFields
from oci_ns.log_line import is_heard
from oci_ns.logins.token_scope import with_scopes_moved
from oci_ns.options import Blobs
from oci_ns.patience import Patience
from oci_ns.printable import printable
from oci_ns.pull_access import PullAccess
from oci_ns.record import Record
from oci_ns.routes import RouteTable
from oci_ns.second_tries import SecondTries, log_rejections
from oci_ns.selection import NoEndpointError, Rejection, Selected, Selection, is_passed_over
from oci_ns.spec_error import SpecError
from oci_ns.under_way import Carried, Known, UnderWay
from oci_ns.unfit import refusal

logger = logging.getLogger(__name__)

_STREAMED_STATUS = frozenset({200, 206})
_BLOB = Operation.BLOB.value
_HTTP_1 = frozenset({b"HTTP/1.0", b"HTTP/1.1"})


class Forwarding:
    """What happens to flows between the client's request and the answer it gets."""

    def __init__(self, selection: Selection, patience: Patience) -> None:
        self.selection = selection
        self.patience = patience
        self.credentials = selection.endpoints.credentials
        self.blobs = Blobs.STREAM
        self.trusts_alone: Callable[[Decision], bool] = lambda _: False
        """Whether an endpoint is trusted, or shown a certificate, as only mitmproxy does it here."""
        self._decisions = Decisions(RouteTable())
        self._under_way = UnderWay()
        self._second_tries = SecondTries(selection, self._under_way)

    def record(self, flow: http.HTTPFlow) -> Record | None:
        """What is known of the flow's request; None where it was not decided about."""
        known = self._under_way.get(flow)
        return known.record if known is not None else None

    def request(self, table: RouteTable, flow: http.HTTPFlow) -> Coroutine[None, None, None] | None:
        """Decide by the table, and shape the flow; where endpoints have to be asked first, that is to be awaited."""
        request = flow.request
        if is_decided(flow):
            self._replay(flow)
            return None
        if self._decisions.table is not table:
            self._decisions = Decisions(table)
        fields = HeaderFields(request.headers.fields)
        drop_upgrade(flow, fields)
        named = fields.get("host") if request.data.http_version in _HTTP_1 else request.host_header
        decided = self._decisions.decide(
            request.method, request.scheme, named, request.host, request.port, request.path
        )
        decision = decided.decision
        origin = origin_of(decided.asked, decided.addressed, request.headers.fields, fields)
        authority = None if request.data.http_version in _HTTP_1 else request.authority
        error = refusal(request.method, origin.target, origin.fields, fields, authority)
        if error is not None:
            self._refuse(flow, origin, decided, error)
            make_printable(flow)
            end(flow)
            return None
        if decision.operation is None:
            if request.path == presence.PATH and request.method == "GET":
                flow.response = http.Response.make(200, presence.answer(), {"Content-Type": "application/json"})
            elif isinstance(flow.client_conn.proxy_mode, ReverseMode):
                # A token service at the endpoint's own name is asked through the listener, too.
                moved = functools.partial(table.moved_repository, *decided.addressed)
                request.path = with_scopes_moved(request.path, moved)
            return None
        if decision.pull:
            settled = self.selection.settled(decision, origin.address)
            if settled is None or self.credentials.access(settled.sent, origin.outgoing) is not None:
                return self._select(flow, origin, decided, settled)
            self._carry_out(flow, origin, decided, settled)
            return None
        self._carry_out(flow, origin, decided, None)
        if decision.operation is Operation.UPLOAD and flow.response is None:
            request.stream = True
        return None

    def _replay(self, flow: http.HTTPFlow) -> None:
        record = records.read(flow.metadata)
        if record is not None:
            record = replace(record, findings=(), received=None)
            records.write(record, flow.metadata)
            self._under_way.begin(flow, record)
            flow.request.stream = flow.request.stream or record.operation == Operation.UPLOAD.value

    async def _select(self, flow: http.HTTPFlow, origin: Origin, decided: Decided, settled: Selected | None) -> None:
        decision = decided.decision
        whole = decision.operation is not Operation.BLOB and not origin.has_body
        try:
            selected = settled or await self.selection.select(decision, origin.outgoing, whole=whole)
            access = self.credentials.access(selected.sent, origin.outgoing)
            authorization = None
            if access is not None and selected.answer is None:
                authorization = await self.credentials.authorization(access)
        except NotAuthorizedError as error:
            self._refuse(flow, origin, decided, SpecError(502, "UNAVAILABLE", str(error)))
        except UnsendableError as error:
            self._refuse(flow, origin, decided, SpecError(400, "UNSUPPORTED", str(error)))
        except NoEndpointError as error:
            self._refuse(flow, origin, decided, error.spec_error)
        except Exception:
            # mitmproxy would send the request on as it is, past everything that was configured.
            logger.exception("selecting an endpoint for %s failed", printable(str(decision.subject)))
            message = "ns-inject failed to select an endpoint; its log has the reason"
            self._refuse(flow, origin, decided, SpecError(500, "UNKNOWN", message))
        else:
            self._carry_out(flow, origin, decided, selected, access, authorization)

    def _refuse(self, flow: http.HTTPFlow, origin: Origin, decided: Decided, error: SpecError) -> None:
        refused = replace(decided.decision, action=Action.BLOCK, namespace=None, error=error, alternatives=())
        self._shape(flow, origin, decided, refused, ())

    def _carry_out(
        self,
        flow: http.HTTPFlow,
        origin: Origin,
        decided: Decided,
        selected: Selected | None,
        access: PullAccess | None = None,
        authorization: bytes | None = None,
    ) -> None:
        """Shape the flow as decided."""
        decision = decided.decision
        chosen = selected.decision if selected is not None else decision
        sent = selected.sent if selected is not None else decision
        known = self._shape(flow, origin, decided, sent, selected.rejections if selected is not None else ())
        if flow.response is not None:
            return
        if selected is not None and selected.answer is not None:
            answer_with(flow, sent, origin, selected.answer)
            return
        if self.blobs is Blobs.REDIRECT:
            only_here = access is not None or self.trusts_alone(sent)
            target = redirect_target(sent, decided.url, origin.method, origin.fields, only_here=only_here)
            if target is not None:
                flow.response = redirect(target)
                return
        known.carried = Carried(decision, chosen, sent, origin, access, authorization)

    def _shape(
        self, flow: http.HTTPFlow, origin: Origin, decided: Decided, sent: Decision, rejections: tuple[Rejection, ...]
    ) -> Known:
        """Make the request the one that is sent, or answer it, and note that."""
        log_rejections(decided.decision, rejections)
        apply(flow, sent, origin)
        noted = decided.noted(sent, lambda: flow.request.url)
        level = logging.WARNING if sent.error is not None and sent.error.status >= 500 else logging.INFO
        if is_heard(level):
            logger.log(level, "%s", noted.line)
        record = noted.record
        if rejections:
            record = replace(record, passed_over=tuple(map(str, rejections)))
            records.write(record, flow.metadata)
        else:
            flow.metadata.update(noted.metadata)
        return self._under_way.begin(flow, record)

    def leaves(self, flow: http.HTTPFlow) -> None:
        """The last moment before the head of the request leaves; what comes of it later changes nothing any more."""
        known = self._under_way.get(flow)
        if known is None or known.carried is None or known.has_left:
            return
        known.has_left = True
        if known.carried.sent.rerouted:
            drop_login_of_listener(flow)
        if known.carried.authorization is not None and flow.response is None:
            flow.request.headers["Authorization"] = known.carried.authorization.decode("latin-1")

    def is_complete(self, flow: http.HTTPFlow) -> None:
        """All of the request is here: from now on it is the endpoint that is waited for."""
        carried = self._under_way.carried(flow)
        if carried is not None and carried.decision.pull and flow.response is None:
            self.patience.begin(flow)

    def close(self) -> None:
        """Take back what is on its way: at the end, mitmproxy saves the flows that have no answer yet, too."""
        for flow, carried in self._under_way.all_carried():
            _hide(flow, carried)
        self.patience.close()
        self.selection.endpoints.close()

    def response_head(self, flow: http.HTTPFlow) -> None:
        """Blobs are passed on as they come; what a person may want to read is kept."""
        response, known = flow.response, self._under_way.get(flow)
        if response is None or known is None:
            return
        carried = known.carried
        if carried is not None:
            _hide(flow, carried)
            if response.status_code != 401 or carried.access is None:
                for_the_client(flow, response, carried.sent, carried.origin)
            if carried.decision.pull:
                where = carried.origin.address
                self.selection.answered(carried.decision, carried.chosen, response.status_code, where)
        if known.record.operation == _BLOB:
            response.stream = response.stream or response.status_code in _STREAMED_STATUS

    def response(self, flow: http.HTTPFlow) -> Coroutine[None, None, None] | None:
        """Where a remembered endpoint turns out not to have the image any more, the next ones are asked."""
        carried = self._under_way.taken(flow)
        self.patience.end(flow)
        response = flow.response
        if carried is None or not carried.decision.pull or response is None or carried.origin.has_body:
            return None
        operation = carried.decision.operation
        if response.status_code == 401 and carried.access is not None:
            return self._second_tries.with_better_login(flow, carried, carried.access, response)
        if operation is Operation.BLOB or not carried.decision.alternatives:
            return None
        if not is_passed_over(operation, response.status_code):
            return None
        return self._second_tries.of_others(flow, carried, response)

    async def unanswered(self, flow: http.HTTPFlow) -> None:
        """No answer came, and the client does not know it yet: the next endpoints are asked."""
        carried, error = self._under_way.taken(flow), flow.error
        if carried is None or error is None:
            return
        self.patience.end(flow)
        _hide(flow, carried)
        status = 504 if self.patience.has_given_up(flow) else None
        await self._second_tries.unanswered(flow, carried, error.msg, status)

    def failed(self, flow: http.HTTPFlow) -> None:
        """An endpoint that did not answer is looked at before the next request goes there."""
        carried = self._under_way.taken(flow)
        self.patience.end(flow)
        if carried is not None:
            _hide(flow, carried)
            if carried.decision.pull:
                self.selection.failed(carried.decision, carried.chosen, carried.origin.address)


def _hide(flow: http.HTTPFlow, carried: Carried) -> None:
    """Nobody who saves, prints or shows the flow finds the addon's own Authorization in it."""
    if carried.authorization is not None:
        flow.request.headers.pop("Authorization", None)
