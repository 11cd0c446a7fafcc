"""How connections get to a server: mitmproxy's options on TLS and upstream proxies, certs.d, and the addon's timeouts.

For the addon's own exchanges and for mitmproxy's connections alike, so that both go the same way and trust the same.
"""

from __future__ import annotations

import base64
import os
import ssl
from collections.abc import Callable

import certifi
from mitmproxy.optmanager import OptManager
from mitmproxy.proxy.mode_specs import ProxyMode, UpstreamMode

from oci_ns.certs_d import CertificatesError, certificates_of, certs_d_directories
from oci_ns.client import Network, Via
from oci_ns.fetch import Outgoing, UnreachableError
from oci_ns.index import RouteIndex
from oci_ns.trust import Authorities, tls_context
from oci_ns.upstream_tls import TlsSettings


def network_of(options: OptManager, index: Callable[[], RouteIndex]) -> Network:
    """The settings in force for the addon's own exchanges."""

    def context_for(outgoing: Outgoing) -> ssl.SSLContext:
        try:
            settings = tls_settings(options, index(), outgoing.host, outgoing.port)
            return tls_context(settings.authorities, settings.certificates, verify=settings.verify)
        except CertificatesError as error:
            raise UnreachableError(str(error)) from None

    return Network(context_for, options.ns_connect_timeout, options.ns_response_timeout, _via(options))


def tls_settings(options: OptManager, index: RouteIndex, host: str, port: int) -> TlsSettings:
    """The settings in force for TLS with a host (a DNS name or an address). Raises CertificatesError."""
    file, directory = options.ssl_verify_upstream_trusted_ca, options.ssl_verify_upstream_trusted_confdir
    directories = certs_d_directories(options.ns_certs_d, os.environ)
    return TlsSettings(
        # As mitmproxy does where it is told nothing.
        Authorities(file or (None if directory else certifi.where()), directory),
        certificates_of(directories, host, port),
        verify=not options.ssl_insecure and not index.is_insecure(host, port),
    )


def _via(options: OptManager) -> Via | None:
    for spec in options.mode:
        mode = ProxyMode.parse(spec)
        if isinstance(mode, UpstreamMode):
            host, port = mode.address[:2]
            auth = options.upstream_auth
            authorization = b"Basic " + base64.b64encode(auth.encode()) if auth else None
            return Via(mode.scheme, host, port, authorization)
    return None
