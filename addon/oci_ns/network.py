"""How the addon's own exchanges get to a server: mitmproxy's options on TLS and upstream proxies, and its own timeouts.

So that they go the way, and trust whom, mitmproxy's connections do.
"""

from __future__ import annotations

import base64
import functools
import ssl

import certifi
from mitmproxy.optmanager import OptManager
from mitmproxy.proxy.mode_specs import ProxyMode, UpstreamMode

from oci_ns.client import Network, Via
from oci_ns.fetch import Outgoing


def network_of(options: OptManager) -> Network:
    """The settings in force."""

    def context_for(outgoing: Outgoing) -> ssl.SSLContext:
        return _context(
            outgoing.insecure or options.ssl_insecure,
            options.ssl_verify_upstream_trusted_ca,
            options.ssl_verify_upstream_trusted_confdir,
        )

    return Network(context_for, options.ns_connect_timeout, options.ns_response_timeout, _via(options))


def _via(options: OptManager) -> Via | None:
    for spec in options.mode:
        mode = ProxyMode.parse(spec)
        if isinstance(mode, UpstreamMode):
            host, port = mode.address[:2]
            auth = options.upstream_auth
            authorization = b"Basic " + base64.b64encode(auth.encode()) if auth else None
            return Via(mode.scheme, host, port, authorization)
    return None


@functools.lru_cache(maxsize=16)
def _context(insecure: bool, ca_file: str | None, ca_path: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file or (None if ca_path else certifi.where()), capath=ca_path)
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
