"""A closed world (`ns_unresolved = reject`): what goes to a registry is read as HTTP, whatever it looks like.

mitmproxy passes on what does not begin as requests usually do, and a server may take it for a request all the same: one
behind an empty line, one whose first letter came alone, or one of another method than the usual ones.
"""

from __future__ import annotations

from collections.abc import Callable

from mitmproxy import ctx
from mitmproxy.proxy import layer, layers
from mitmproxy.proxy.layers.http import HTTPMode
from mitmproxy.proxy.mode_specs import ReverseMode


def read_as_http(data: layer.NextLayer, is_known: Callable[[str, str, int | None], bool]) -> None:
    """See to it, where mitmproxy has chosen otherwise. `is_known` tells of scheme, host and port."""
    chosen, client, address = data.layer, data.context.client, data.context.server.address
    # Without a flow it is passed on purpose: TLS of a host that no request is rewritten for.
    if not isinstance(chosen, layers.TCPLayer) or chosen.flow is None or address is None:
        return
    if isinstance(client.proxy_mode, ReverseMode) or ctx.options.tcp_hosts:
        return
    scheme = "https" if client.tls_established else "http"
    if any(is_known(scheme, host, address[1]) for host in (address[0], client.sni) if host):
        data.context.layers.remove(chosen)
        data.layer = layers.HttpLayer(data.context, HTTPMode.transparent)
