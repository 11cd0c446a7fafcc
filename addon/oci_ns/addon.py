"""The mitmproxy hooks: a flow becomes a question to the table, and the decision becomes the flow's new shape.

Knows mitmproxy, and nothing of how a decision is made.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Collection, Coroutine
from pathlib import Path

from mitmproxy import ctx, exceptions, http, optmanager, tls
from mitmproxy.addonmanager import Loader
from mitmproxy.connection import Server
from mitmproxy.proxy import layer
from mitmproxy.proxy.mode_specs import ReverseMode

from oci_ns import (
    connection_ends,
    connection_log,
    flow_recording,
    http1_answers,
    http1_chunks,
    http1_requests,
    http_stream,
    options,
)
from oci_ns.ca_key import exposures
from oci_ns.certs_d import CertificatesError
from oci_ns.closed import read_as_http
from oci_ns.conf_files import find_sources
from oci_ns.decision import Decision, Policy, Unresolved
from oci_ns.endpoints import Carrier
from oci_ns.exchange_hook import HookedCarrier
from oci_ns.forwarding import Forwarding
from oci_ns.heap import HeapTrimming, trimmer
from oci_ns.hook_table import HookTable
from oci_ns.http1_client import HttpClient
from oci_ns.index import RouteIndex
from oci_ns.legacy_events import spare_legacy_events
from oci_ns.logins.auth_files import find_auth_files, load_logins
from oci_ns.network import network_of, tls_settings
from oci_ns.patience import Patience
from oci_ns.printable import printable
from oci_ns.problems import ConfigurationError
from oci_ns.reload import Reloader
from oci_ns.reload_triggers import watch
from oci_ns.routes import RouteTable
from oci_ns.selection import Selection
from oci_ns.upstream_tls import amend, refusal
from oci_ns.views import adapters

logger = logging.getLogger(__name__)

# With these, no connection to the source registry is opened for a request that will not go there: by default mitmproxy
# connects before it reads the request, and asks the origin for its certificate.
_QUIET_DEFAULTS: dict[str, object] = {"connection_strategy": "lazy", "upstream_cert": False}

# What is no blob is kept until all of it is there, so that it can be read; but not what has no end. Manifests have
# no more than 4 MiB (distribution-spec, "Pushing Manifests").
_BODY_DEFAULTS: dict[str, object] = {"stream_large_bodies": "16m"}

# What mitmweb shows of each flow by itself, and the comment.
_WEB_COLUMNS = ["tls", "icon", "path", "method", "status", "size", "time", "comment"]
_WEB_DEFAULTS: dict[str, object] = {"web_columns": _WEB_COLUMNS}


class LastWord:
    """The last addon of all: what it puts into a request, no other addon sees before the request leaves."""

    def __init__(self, addon: NsInject) -> None:
        self._addon = addon

    def ns_leaves(self, flow: http.HTTPFlow) -> None:
        """See the head of a request in its last moment, whose body is passed on as it comes."""
        self._addon.forwarding.leaves(flow)

    def request(self, flow: http.HTTPFlow) -> None:
        """See the request in its last moment."""
        self._addon.forwarding.leaves(flow)
        self._addon.forwarding.is_complete(flow)

    def next_layer(self, data: layer.NextLayer) -> None:
        """See what a connection is taken for."""
        table = self._addon.table
        if table.policy.unresolved is Unresolved.REJECT:
            read_as_http(data, table.index.may_rewrite)

    def tls_start_server(self, data: tls.TlsData) -> None:
        """Amend what mitmproxy has set up for a connection to an endpoint."""
        server = data.conn
        if not isinstance(server, Server) or server.address is None or data.ssl_conn is None or data.is_dtls:
            return
        # By the name that is verified: in transparent mode the address has none.
        host, port = server.sni or server.address[0], server.address[1]
        try:
            settings = tls_settings(ctx.options, self._addon.table.index, host, port)
            amend(data.ssl_conn, server, ctx.options, settings)
        except CertificatesError as error:
            # Without TLS settings mitmproxy ends the connection.
            data.ssl_conn = None
            logger.error("%s:%d: %s", host, port, error)

    def tls_failed_server(self, data: tls.TlsData) -> None:
        """Tell whose certificate was refused."""
        reason = refusal(data.conn) if isinstance(data.conn, Server) else None
        if reason is not None:
            logger.warning("%s", printable(reason))


class NsInject:
    """Rewrites `/v2` requests so that they reach the configured endpoint with its `ns`."""

    def __init__(self, carrier: Carrier | None = None) -> None:
        """`carrier` makes the addon's own exchanges, in place of an HTTP client with mitmproxy's settings."""
        self.table = RouteTable()
        if carrier is None:
            carrier = HookedCarrier(HttpClient(lambda: network_of(ctx.options, lambda: self.table.index)))
        self.forwarding = Forwarding(Selection(carrier), Patience())
        self.forwarding.trusts_alone = self._trusts_alone
        self._last = LastWord(self)
        self._running = False
        self.on_load: Callable[[bool], None] = lambda _: None
        """Called with each load of the configuration; True: it is in use now."""
        self._reloader = Reloader(self._use, failed=lambda: self.on_load(False))
        self._end_watch: Callable[[], None] = lambda: None
        self._heap = HeapTrimming(trimmer())

    def load(self, loader: Loader) -> None:
        """Declare the options, and see to it that mitmproxy does not connect where no request goes."""
        options.declare(loader)
        adapters.register()
        http_stream.install()
        http1_answers.install()
        http1_chunks.install()
        http1_requests.install()
        connection_ends.install()
        connection_log.install()
        flow_recording.install()
        defaults = _QUIET_DEFAULTS | _BODY_DEFAULTS | _WEB_DEFAULTS
        unset = {name: value for name, value in defaults.items() if _is_unset(ctx.options, name)}
        ctx.options.update(**unset)

    def running(self) -> None:
        """From here on an option that does not load is refused, where before it ended the start; files are watched."""
        self._running = True
        table = HookTable.take_over(ctx.master) if ctx.options.ns_hook_table else None
        if table is not None:
            spare_legacy_events(table)
        if self._last not in ctx.master.addons:
            ctx.master.addons.add(self._last)
        for exposure in exposures(Path(os.path.expanduser(ctx.options.confdir))):
            logger.warning("%s", printable(exposure))
        self._end_watch()
        self._end_watch = watch(self._reloader)
        self._heap.begin()

    def configure(self, updated: Collection[str]) -> None:
        """Read the files again where their options changed, and apply the policy's."""
        try:
            if options.SOURCE_OPTIONS & set(updated):
                self._read_files()
            if (options.SOURCE_OPTIONS | options.POLICY_OPTIONS) & set(updated):
                self.table = RouteTable(self.table.index, _policy())
            if options.LOGIN_OPTIONS & set(updated):
                self._read_logins()
            if options.CERTIFICATE_OPTIONS & set(updated):
                options.check_certs_d(ctx.options.ns_certs_d)
            if options.BLOB_OPTIONS & set(updated):
                self.forwarding.blobs = options.blobs_of(ctx.options.ns_blobs)
            if options.TIME_OPTIONS & set(updated):
                options.check_times({name: getattr(ctx.options, name) for name in options.TIME_OPTIONS})
                self.forwarding.selection.memory.ttl = ctx.options.ns_remember
                self.forwarding.patience.limit = ctx.options.ns_upstream_timeout
        except (ConfigurationError, ValueError) as error:
            if self._running:
                raise exceptions.OptionsError(str(error)) from error
            # During start-up an error in the log ends mitmproxy with exit status 1; an exception would add a traceback.
            logger.error("%s", error)

    def _read_files(self) -> None:
        conf, drop_ins = ctx.options.ns_registries_conf, ctx.options.ns_registries_conf_d
        self._reloader.replace(functools.partial(find_sources, conf, drop_ins, os.environ))

    def reload(self) -> None:
        """Read the files again, now, changed or not."""
        self._reloader.ask()

    def _use(self, index: RouteIndex) -> None:
        self.table = RouteTable(index, self.table.policy)
        self.on_load(True)
        if self._running and ctx.options.ns_authfile:
            try:
                self._read_logins()
            except ConfigurationError as error:
                logger.error("%s; the logins that were loaded before stay in use", error)

    def _read_logins(self) -> None:
        files = find_auth_files(ctx.options.ns_authfile, os.environ, os.getuid())
        logins = load_logins(files)
        for warning in logins.warnings:
            logger.warning("%s", warning)
        self.forwarding.selection.use(logins.authfile if files else None)

    def _trusts_alone(self, sent: Decision) -> bool:
        if sent.scheme != "https":
            return False
        try:
            settings = tls_settings(ctx.options, self.table.index, sent.host, sent.port)
        except CertificatesError:
            return True
        return bool(settings.certificates) or not settings.verify

    def tls_clienthello(self, data: tls.ClientHelloData) -> None:
        """TLS of a host that no request is rewritten for is passed through unread."""
        if isinstance(data.context.client.proxy_mode, ReverseMode):
            return
        address = data.context.server.address
        hosts = [host for host in (data.client_hello.sni, address[0] if address else None) if host]
        if self.table.policy.unresolved is not Unresolved.REJECT:
            # The name that the client means; of a closed world no other name is a way out.
            del hosts[1:]
        port = address[1] if address else None
        if not any(self.table.index.may_rewrite("https", host, port) for host in hosts):
            data.ignore_connection = True

    def requestheaders(self, flow: http.HTTPFlow) -> Coroutine[None, None, None] | None:
        """Decide, before the head of a streamed upload leaves."""
        if flow.response or flow.error or not flow.live:
            return None
        return self.forwarding.request(self.table, flow)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """See the answer's head before its body."""
        self.forwarding.response_head(flow)

    def response(self, flow: http.HTTPFlow) -> Coroutine[None, None, None] | None:
        """See the whole answer."""
        return self.forwarding.response(flow)

    def ns_unanswered(self, flow: http.HTTPFlow) -> Coroutine[None, None, None]:
        """Have another endpoint answer, or say why there is no answer."""
        return self.forwarding.unanswered(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        """See that there is no answer."""
        self.forwarding.failed(flow)

    def done(self) -> None:
        """End what goes on in the background."""
        self._end_watch()
        self._heap.end()
        adapters.unregister()
        if self._last in ctx.master.addons:
            ctx.master.addons.remove(self._last)
        self.forwarding.close()


def _policy() -> Policy:
    return options.policy_of(ctx.options)


def _is_unset(manager: optmanager.OptManager, name: str) -> bool:
    """Whether nobody chose a value: not even the default, which `has_changed` cannot tell from no choice."""
    return name in manager and manager._options[name].value is optmanager.unset
