"""A flow on its way: shaped as decided, sent to the endpoint that serves it, and looked at again when the answer comes.

Translates between mitmproxy's flows and the selection of endpoints; nothing is decided here.
"""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from weakref import WeakKeyDictionary

from mitmproxy import http

from oci_ns.decision import Action, Decision, Source, url_of
from oci_ns.distribution import Operation
from oci_ns.exchanges import (
    CREDENTIALS,
    Origin,
    again,
    answer_of,
    error_response,
    greeting,
    has_body,
    origin_of,
    response_of,
)
from oci_ns.fetch import Answer, FetchError, NotAuthorizedError
from oci_ns.log_line import decision_line, printable
from oci_ns.pull_access import PullAccess
from oci_ns.routes import RouteTable
from oci_ns.selection import NoEndpointError, Selected, Selection, is_passed_over, rejection_of
from oci_ns.spec_error import SpecError

logger = logging.getLogger(__name__)

METADATA = "ns_inject"
"""The key in `flow.metadata`: a dictionary of `addressed` and `upstream` (URLs), `namespace`, `source`, `operation`."""

_STREAMED_STATUS = frozenset({200, 206})


@dataclass(frozen=True, slots=True)
class _Carried:
    """A pull that mitmproxy carries to its endpoint: the decision with all its candidates, and the one chosen."""

    decision: Decision
    chosen: Decision
    sent: Decision
    origin: Origin
    access: PullAccess | None = None
    authorization: bytes | None = field(default=None, repr=False)
    """The addon's own, which is in the flow only from its last moment before it leaves until the answer's head."""


class Forwarding:
    """What happens to flows between the client's request and the answer it gets."""

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self.credentials = selection.endpoints.credentials
        self._carried: WeakKeyDictionary[http.HTTPFlow, _Carried] = WeakKeyDictionary()

    def request(self, table: RouteTable, flow: http.HTTPFlow) -> Coroutine[None, None, None] | None:
        """Decide by the table, and shape the flow; where endpoints have to be asked first, that is to be awaited."""
        request = flow.request
        if _is_decided(flow):
            request.stream = request.stream or _operation(flow) == Operation.UPLOAD.value
            return None
        host, port = table.addressed_host(request.scheme, request.host_header, request.host, request.port)
        decision = table.decide(request.method, request.scheme, host, port, request.path)
        if decision.operation is None:
            return None
        origin = origin_of(request, (request.scheme, host, port))
        if decision.subject is not None:
            settled = self.selection.settled(decision)
            if settled is None or self.credentials.access(settled.sent, origin.outgoing) is not None:
                return self._select(flow, origin, decision, settled)
            self._carry_out(flow, origin, decision, settled)
            return None
        self._carry_out(flow, origin, decision, None)
        if decision.operation is Operation.UPLOAD and flow.response is None:
            request.stream = True
        return None

    async def _select(self, flow: http.HTTPFlow, origin: Origin, decision: Decision, settled: Selected | None) -> None:
        whole = decision.operation is not Operation.BLOB and not has_body(flow.request)
        try:
            selected = settled or await self.selection.select(decision, origin.outgoing, whole=whole)
            access = self.credentials.access(selected.sent, origin.outgoing)
            authorization = None
            if access is not None and selected.answer is None:
                authorization = await self.credentials.authorization(access)
        except NotAuthorizedError as error:
            self._carry_out(flow, origin, _refused(decision, SpecError(502, "UNAVAILABLE", str(error))), None)
        except NoEndpointError as error:
            self._carry_out(flow, origin, _refused(decision, error.spec_error), None)
        except Exception:
            # mitmproxy would send the request on as it is, past everything that was configured.
            logger.exception("selecting an endpoint for %s failed", printable(str(decision.subject)))
            failure = SpecError(500, "UNKNOWN", "ns-inject failed to select an endpoint; its log has the reason")
            self._carry_out(flow, origin, _refused(decision, failure), None)
        else:
            self._carry_out(flow, origin, decision, selected)
            if selected.answer is None:
                carried = self._carried[flow]
                self._carried[flow] = replace(carried, access=access, authorization=authorization)

    def _carry_out(self, flow: http.HTTPFlow, origin: Origin, decision: Decision, selected: Selected | None) -> None:
        """Shape the flow as decided."""
        sent = selected.sent if selected is not None else decision
        addressed = url_of(*origin.addressed, flow.request.path)
        _log_rejections(decision, selected)
        logger.info("%s", decision_line(origin.method, addressed, sent))
        _apply(flow, sent, origin.addressed)
        _remember(flow, sent, addressed)
        if selected is None:
            return
        if selected.answer is not None:
            _answer(flow, sent, selected.answer)
        else:
            self._carried[flow] = _Carried(decision, selected.decision, selected.sent, origin)

    def leaves(self, flow: http.HTTPFlow) -> None:
        """The last moment before the request leaves."""
        carried = self._carried.get(flow)
        if carried is not None and carried.authorization is not None and flow.response is None:
            flow.request.headers["Authorization"] = carried.authorization.decode("latin-1")

    def close(self) -> None:
        """Take back what is on its way: at the end, mitmproxy saves the flows that have no answer yet, too."""
        for flow, carried in list(self._carried.items()):
            _hide(flow, carried)
        self.selection.endpoints.close()

    def response_head(self, flow: http.HTTPFlow) -> None:
        """Blobs are passed on as they come; what a person may want to read is kept."""
        response = flow.response
        if response is None:
            return
        carried = self._carried.get(flow)
        if carried is not None:
            _hide(flow, carried)
            if response.status_code != 401 or carried.access is None:
                _for_the_client(response, carried.sent)
            self.selection.answered(carried.decision, carried.chosen, response.status_code)
        if _operation(flow) == Operation.BLOB.value:
            response.stream = response.stream or response.status_code in _STREAMED_STATUS

    def response(self, flow: http.HTTPFlow) -> Coroutine[None, None, None] | None:
        """Where a remembered endpoint turns out not to have the image any more, the next ones are asked."""
        carried = self._carried.pop(flow, None)
        response = flow.response
        if carried is None or response is None or has_body(flow.request):
            return None
        operation = carried.decision.operation
        if response.status_code == 401 and carried.access is not None:
            return self._ask_again(flow, carried, carried.access, response)
        if operation is Operation.BLOB or not carried.decision.alternatives:
            return None
        return self._ask_others(flow, carried, response) if is_passed_over(operation, response.status_code) else None

    async def _ask_again(
        self, flow: http.HTTPFlow, carried: _Carried, access: PullAccess, response: http.Response
    ) -> None:
        """The Authorization was refused; with a better one, a manifest is fetched here, a blob by the client anew."""
        origin = carried.origin
        challenges = response.headers.get_all("WWW-Authenticate")
        try:
            better = await self.credentials.renewed(access, challenges, carried.authorization)
            if better is None:
                _for_the_client(response, carried.sent)
                return
            if carried.decision.operation is Operation.BLOB:
                flow.response = again(origin)
            else:
                _answer(flow, carried.sent, await self.credentials.fetch(carried.sent, origin.outgoing(carried.sent)))
        except FetchError as error:
            logger.warning("%s: %s", printable(str(carried.decision.subject)), printable(str(error)))

    async def _ask_others(self, flow: http.HTTPFlow, carried: _Carried, response: http.Response) -> None:
        failed = rejection_of(carried.chosen, answer_of(response))
        origin = carried.origin
        try:
            selected = await self.selection.after(carried.decision, failed, origin.outgoing)
        except NoEndpointError as error:
            flow.response = error_response(error.spec_error, origin.method)
            logger.warning("%s", printable(error.spec_error.message))
            return
        _log_rejections(carried.decision, replace(selected, rejections=(failed, *selected.rejections)))
        if selected.answer is not None:
            _answer(flow, selected.sent, selected.answer)

    def failed(self, flow: http.HTTPFlow) -> None:
        """An endpoint that did not answer is looked at before the next request goes there."""
        carried = self._carried.pop(flow, None)
        if carried is not None:
            _hide(flow, carried)
            self.selection.failed(carried.decision, carried.chosen)


def _is_decided(flow: http.HTTPFlow) -> bool:
    """Whether this is a replay of what a decision made, which must not be decided again."""
    remembered = flow.metadata.get(METADATA)
    return isinstance(remembered, dict) and remembered.get("upstream") == flow.request.url


def _hide(flow: http.HTTPFlow, carried: _Carried) -> None:
    """Nobody who saves, prints or shows the flow finds the addon's own Authorization in it."""
    if carried.authorization is not None:
        flow.request.headers.pop("Authorization", None)


def _answer(flow: http.HTTPFlow, sent: Decision, answer: Answer) -> None:
    flow.response = response_of(answer, flow.request.method)
    _for_the_client(flow.response, sent)


def _for_the_client(response: http.Response, sent: Decision) -> None:
    """Make the response of the endpoint one of the registry that the client addressed."""
    if not sent.keeps_credentials:
        # The client would log in for the registry it believes to talk to, at whatever the endpoint names.
        response.headers.pop("WWW-Authenticate", None)


def _refused(decision: Decision, error: SpecError) -> Decision:
    return replace(decision, action=Action.BLOCK, namespace=None, error=error, alternatives=())


def _log_rejections(decision: Decision, selected: Selected | None) -> None:
    for rejection in selected.rejections if selected is not None else ():
        logger.warning("%s: passed over %s", printable(str(decision.subject)), printable(str(rejection)))


def _operation(flow: http.HTTPFlow) -> str | None:
    remembered = flow.metadata.get(METADATA)
    return remembered.get("operation") if isinstance(remembered, dict) else None


def _apply(flow: http.HTTPFlow, decision: Decision, addressed: tuple[str, str, int]) -> None:
    request = flow.request
    if decision.error is not None:
        # Podman and skopeo show nothing of a ping that fails but its status. So a client that believes to talk to the
        # source registry gets its ping, and then the error to the request it is about, which it prints.
        greeted = decision.operation is Operation.PING and decision.source is Source.HOST
        flow.response = greeting(request.method) if greeted else error_response(decision.error, request.method)
        return
    if decision.action is Action.PASS:
        return
    if (decision.scheme, decision.host, decision.port) != addressed:
        # The host's setter writes Host and :authority, with the port where the scheme does not imply it.
        request.scheme = decision.scheme
        request.port = decision.port
        request.host = decision.host
        if flow.server_conn.address == (decision.host, decision.port):
            # With keep_host_header, mitmproxy would present the name the client asked for to its own destination.
            flow.server_conn.sni = decision.host
    if not decision.keeps_credentials:
        for name in CREDENTIALS:
            request.headers.pop(name, None)
    request.path = decision.target


def _remember(flow: http.HTTPFlow, decision: Decision, addressed: str) -> None:
    flow.metadata[METADATA] = {
        "addressed": addressed,
        "upstream": flow.request.url if decision.error is None else None,
        "namespace": decision.namespace,
        "source": decision.source.value if decision.source is not None else None,
        "operation": decision.operation.value if decision.operation is not None else None,
    }
