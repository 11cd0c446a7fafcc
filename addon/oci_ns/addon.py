"""The mitmproxy hooks: a flow becomes a question to the table, and the decision becomes the flow's new shape.

Knows mitmproxy, and nothing of how a decision is made.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Collection

from mitmproxy import ctx, exceptions, http, optmanager, tls
from mitmproxy.addonmanager import Loader
from mitmproxy.proxy.mode_specs import ReverseMode

from oci_ns import options
from oci_ns.conf_files import find_sources
from oci_ns.decision import Action, Decision, Policy, url_of
from oci_ns.distribution import Operation
from oci_ns.index import RouteIndex
from oci_ns.log_line import decision_line
from oci_ns.problems import ConfigurationError
from oci_ns.reload import Reloader
from oci_ns.reload_triggers import watch
from oci_ns.routes import RouteTable
from oci_ns.spec_error import SpecError

logger = logging.getLogger(__name__)

METADATA = "ns_inject"
"""The key in `flow.metadata`: a dictionary of `addressed` and `upstream` (URLs), `namespace`, `source`, `operation`."""

# With these, no connection to the source registry is opened for a request that will not go there: by default mitmproxy
# connects before it reads the request, and asks the origin for its certificate.
_QUIET_DEFAULTS = {"connection_strategy": "lazy", "upstream_cert": False}

_CREDENTIALS = ("authorization", "cookie")
_STREAMED_STATUS = frozenset({200, 206})


class NsInject:
    """Rewrites `/v2` requests so that they reach the configured endpoint with its `ns`."""

    def __init__(self) -> None:
        self.table = RouteTable()
        self._running = False
        self._reloader = Reloader(self._use)
        self._end_watch: Callable[[], None] = lambda: None

    def load(self, loader: Loader) -> None:
        """Declare the options, and see to it that mitmproxy does not connect where no request goes."""
        options.declare(loader)
        unset = {name: value for name, value in _QUIET_DEFAULTS.items() if _is_unset(ctx.options, name)}
        ctx.options.update(**unset)

    def running(self) -> None:
        """From here on an option that does not load is refused, where before it ended the start; files are watched."""
        self._running = True
        self._end_watch()
        self._end_watch = watch(self._reloader)

    def done(self) -> None:
        """Leave nothing behind that runs."""
        self._end_watch()

    def configure(self, updated: Collection[str]) -> None:
        """Read the files again where their options changed, and apply the policy's."""
        try:
            if options.SOURCE_OPTIONS & set(updated):
                self._read_files()
            if (options.SOURCE_OPTIONS | options.POLICY_OPTIONS) & set(updated):
                self.table = RouteTable(self.table.index, _policy())
        except (ConfigurationError, ValueError) as error:
            if self._running:
                raise exceptions.OptionsError(str(error)) from error
            # During start-up an error in the log ends mitmproxy with exit status 1; an exception would add a traceback.
            logger.error("%s", error)

    def _read_files(self) -> None:
        conf, drop_ins = ctx.options.ns_registries_conf, ctx.options.ns_registries_conf_d
        self._reloader.replace(functools.partial(find_sources, conf, drop_ins, os.environ))

    def _use(self, index: RouteIndex) -> None:
        self.table = RouteTable(index, self.table.policy)

    def tls_clienthello(self, data: tls.ClientHelloData) -> None:
        """TLS of a host that no request is rewritten for is passed through unread."""
        if isinstance(data.context.client.proxy_mode, ReverseMode):
            return
        address = data.context.server.address
        host = data.client_hello.sni or (address[0] if address else None)
        if host is None or not self.table.index.may_rewrite("https", host, address[1] if address else None):
            data.ignore_connection = True

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Decide, before the head of a streamed upload leaves."""
        request = flow.request
        if flow.response or flow.error or not flow.live:
            return
        if not self._is_decided(flow):
            table = self.table
            host, port = table.addressed_host(request.scheme, request.host_header, request.host, request.port)
            decision = table.decide(request.method, request.scheme, host, port, request.path)
            if decision.operation is None:
                return
            addressed = url_of(request.scheme, host, port, request.path)
            logger.info("%s", decision_line(request.method, addressed, decision))
            _apply(flow, decision, (request.scheme, host, port))
            _remember(flow, decision, addressed)
        if _operation(flow) == Operation.UPLOAD.value and flow.response is None:
            request.stream = True

    @staticmethod
    def _is_decided(flow: http.HTTPFlow) -> bool:
        """Whether this is a replay of what a decision made, which must not be decided again."""
        remembered = flow.metadata.get(METADATA)
        return isinstance(remembered, dict) and remembered.get("upstream") == flow.request.url

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Blobs are passed on as they come; what a person may want to read is kept."""
        response = flow.response
        if response is not None and _operation(flow) == Operation.BLOB.value:
            response.stream = response.stream or response.status_code in _STREAMED_STATUS


def _policy() -> Policy:
    return options.policy_of(ctx.options)


def _is_unset(manager: optmanager.OptManager, name: str) -> bool:
    """Whether nobody chose a value: not even the default, which `has_changed` cannot tell from no choice."""
    return name in manager and manager._options[name].value is optmanager.unset


def _operation(flow: http.HTTPFlow) -> str | None:
    remembered = flow.metadata.get(METADATA)
    return remembered.get("operation") if isinstance(remembered, dict) else None


def _apply(flow: http.HTTPFlow, decision: Decision, addressed: tuple[str, str, int]) -> None:
    request = flow.request
    if decision.error is not None:
        flow.response = error_response(decision.error, request.method)
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
    if decision.rerouted and not (decision.endpoint and decision.endpoint.forward_credentials):
        for name in _CREDENTIALS:
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


def error_response(error: SpecError, method: str) -> http.Response:
    """The error as the distribution-spec wants it; a HEAD gets the head alone."""
    headers = {"Content-Type": "application/json", "Docker-Distribution-Api-Version": "registry/2.0"}
    return http.Response.make(error.status, b"" if method == "HEAD" else error.body(), headers)
