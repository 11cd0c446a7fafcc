"""A flow shaped as decided, on its way there and back: URL, header fields, and what is noted in its metadata.

Knows mitmproxy's flows, and which header fields lead a client back; decides nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from urllib.parse import quote

from mitmproxy import ctx, http
from mitmproxy.proxy.mode_specs import ReverseMode, UpstreamMode

from oci_ns import record
from oci_ns.decision import Action, Decision, Source, url_of
from oci_ns.distribution import Operation, namespaces_in
from oci_ns.exchanges import CREDENTIALS, Origin, error_response, greeting, response_of
from oci_ns.fetch import Answer
from oci_ns.header_fields import HeaderFields
from oci_ns.spec_error import SpecError
from oci_ns.way_back import WayBack

_PRINTED = "".join(map(chr, range(0x21, 0x7F)))
_PROXY_LOGIN = b"proxy-authorization"
_REFERENCES = frozenset({b"location", b"link", b"www-authenticate"})


def is_decided(flow: http.HTTPFlow) -> bool:
    """Whether this is a replay of what a decision made, which must not be decided again."""
    upstream = flow.metadata.get(record.UPSTREAM)
    return upstream is not None and upstream == flow.request.url


def make_printable(flow: http.HTTPFlow) -> None:
    """Quote what no path may have, in a request that is not sent on: mitmdump prints the line breaks of HTTP/2."""
    flow.request.path = quote(flow.request.path, safe=_PRINTED, errors="surrogateescape")


def end(flow: http.HTTPFlow) -> None:
    """End the client's connection with the answer: what else it sends may not be what it seems."""
    if flow.response is not None and not (flow.request.is_http2 or flow.request.is_http3):
        flow.response.headers["Connection"] = "close"


def drop_upgrade(flow: http.HTTPFlow, fields: HeaderFields) -> None:
    """Let a client that asks for another protocol go on with this one, as any server may (RFC 9110, section 7.8).

    The other one (HTTP/2 in plain text, say) would be a tunnel that nobody reads. WebSockets are read, as messages.
    `fields` are the request's.
    """
    asked = fields.get("upgrade")
    if asked is not None and asked.strip().lower() != "websocket":
        flow.request.headers.pop("Upgrade", None)


def drop_login_of_listener(flow: http.HTTPFlow) -> None:
    """Take back what mitmproxy has added for the target of a listener (`upstream_auth`): this goes elsewhere."""
    login = ctx.options.upstream_auth if "upstream_auth" in ctx.options else None
    if login and isinstance(flow.client_conn.proxy_mode, ReverseMode):
        basic = b"Basic " + base64.b64encode(login.encode())
        fields = flow.request.headers.fields
        flow.request.headers.fields = tuple(
            each for each in fields if each[0].lower() != b"authorization" or each[1] != basic
        )


def _drop_login_at_proxy(flow: http.HTTPFlow) -> None:
    """What a client logs in with at its proxy ends here, unless there is a further proxy (RFC 9110, section 11.7.2)."""
    fields = flow.request.headers.fields
    if any(name.lower() == _PROXY_LOGIN for name, _ in fields):
        if isinstance(flow.client_conn.proxy_mode, UpstreamMode) and flow.request.scheme == "http":
            return
        flow.request.headers.fields = tuple(each for each in fields if each[0].lower() != _PROXY_LOGIN)


def apply(flow: http.HTTPFlow, decision: Decision, origin: Origin) -> None:
    """Shape the request as decided, or answer it with the decision's error."""
    request = flow.request
    if decision.error is not None:
        flow.response = error_answer(decision, decision.error, request.method)
        return
    if decision.action is Action.PASS:
        _drop_login_at_proxy(flow)
        return
    if origin.stays(decision):
        # At the client's own host: only a declared plain-http changes how that is spoken to.
        if (decision.scheme, decision.port) != (origin.addressed[0], origin.addressed[2]):
            request.scheme = decision.scheme
            request.data.port = decision.port
    else:
        # The host's setter writes Host and :authority, with the port where the scheme does not imply it.
        request.scheme = decision.scheme
        request.data.port = decision.port
        request.host = decision.host
        if flow.server_conn.address == (decision.host, decision.port):
            # With keep_host_header, mitmproxy would present the name the client asked for to its own destination.
            flow.server_conn.sni = decision.host
    if not decision.keeps_credentials and any(name.lower() in CREDENTIALS for name, _ in request.headers.fields):
        request.headers.fields = tuple(each for each in request.headers.fields if each[0].lower() not in CREDENTIALS)
    request.path = decision.target
    _drop_login_at_proxy(flow)


def error_answer(decision: Decision, error: SpecError, method: str) -> http.Response:
    """What the client gets instead of an answer."""
    # Podman and skopeo show nothing of a ping that fails but its status. So a client that believes to talk to the
    # source registry gets its ping, and then the error to the request it is about, which it prints.
    greeted = decision.operation is Operation.PING and decision.source is Source.HOST
    return (greeting if greeted else error_response)(error, method)


def for_the_client(flow: http.HTTPFlow, response: http.Response, sent: Decision, origin: Origin) -> None:
    """Make the endpoint's response one of the host that the client addressed."""
    headers = response.headers
    if not any(name.lower() in _REFERENCES for name, _ in headers.fields):
        return
    if not sent.keeps_credentials:
        # The client would log in for the registry it believes to talk to, at whatever the endpoint names.
        headers.pop("WWW-Authenticate", None)
    listening = isinstance(flow.client_conn.proxy_mode, ReverseMode)
    if sent.action is Action.PASS and not listening:
        return
    way_back = _way_back(sent, origin, listening=listening)
    redirect = 300 <= response.status_code < 400
    _map(headers, "Location", lambda told: _location(told, way_back, origin, redirect=redirect))
    _map(headers, "Link", way_back.link)
    if listening and not sent.rerouted:
        base = _listener(flow)
        _map(headers, "WWW-Authenticate", lambda value: way_back.challenge(value, base))


def _location(told: str, way_back: WayBack, origin: Origin, *, redirect: bool) -> str:
    mapped = way_back.reference(told)
    # A redirect from http to https at the endpoint, say, would lead the client to where it has just been.
    return told if redirect and mapped == origin.target else mapped


def _map(headers: http.Headers, name: str, mapped: Callable[[str], str]) -> None:
    values = headers.get_all(name)
    new = [mapped(value) for value in values]
    if new != values:
        headers.set_all(name, new)


def _way_back(sent: Decision, origin: Origin, *, listening: bool) -> WayBack:
    return WayBack(
        scheme=sent.scheme,
        host=sent.host,
        port=sent.port,
        moved=sent.moved,
        namespaced=sent.action is Action.REWRITE and sent.namespace is not None,
        client_namespace=next(filter(None, namespaces_in(origin.target.partition("?")[2])), None),
        rerouted=sent.rerouted,
        listening=listening,
    )


def _listener(flow: http.HTTPFlow) -> str:
    """Scheme and authority of the listener, as the client may have addressed it.

    mitmproxy overwrites the Host that would tell, unless it keeps it; else TLS tells the name, or there is the address.
    """
    client = flow.client_conn
    scheme = "https" if client.tls_established else "http"
    host, port = client.sockname[:2]
    if ctx.options.keep_host_header and flow.request.host_header:
        return f"{scheme}://{flow.request.host_header}"
    name = client.sni or host
    return url_of(scheme, name, port, "")


def answer_with(flow: http.HTTPFlow, sent: Decision, origin: Origin, fetched: Answer) -> None:
    """Answer with what the endpoint of `sent` has answered to the addon."""
    flow.response = response_of(fetched, origin.method)
    for_the_client(flow, flow.response, sent, origin)
