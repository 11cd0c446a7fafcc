"""How connections get to a server: mitmproxy's options on TLS and upstream proxies, certs.d, and the addon's timeouts.

For the addon's own exchanges and for mitmproxy's connections alike, so that both go the same way and trust the same.
"""

from __future__ import annotations

import base64
import os
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import certifi
from mitmproxy.net import tls as net_tls
from mitmproxy.optmanager import OptManager
from mitmproxy.proxy.mode_specs import ProxyMode, UpstreamMode

from oci_ns.certs_d import CertificatesError, Version, certificates_of, certs_d_directories, version_of
from oci_ns.fetch import NoCertificatesError, Outgoing
from oci_ns.http1_client import Network, Via
from oci_ns.index import RouteIndex
from oci_ns.trust import Authorities, Protocol, TlsSettings, tls_context

_VERSIONS = {
    "SSL3": ssl.TLSVersion.SSLv3,
    "TLS1": ssl.TLSVersion.TLSv1,
    "TLS1_1": ssl.TLSVersion.TLSv1_1,
    "TLS1_2": ssl.TLSVersion.TLSv1_2,
    "TLS1_3": ssl.TLSVersion.TLSv1_3,
}
_FOR_OLD_VERSIONS = "DEFAULT:@SECLEVEL=0"


def network_of(options: OptManager, index: Callable[[], RouteIndex]) -> Network:
    """The settings in force for the addon's own exchanges."""

    def context_for(outgoing: Outgoing) -> ssl.SSLContext:
        try:
            settings = tls_settings(options, index(), outgoing.host, outgoing.port, insecure=outgoing.insecure)
            return tls_context(
                settings.authorities, settings.certificates, verify=settings.verify, protocol=settings.protocol
            )
        except CertificatesError as error:
            raise NoCertificatesError(str(error)) from None

    return Network(context_for, options.ns_connect_timeout, options.ns_response_timeout, _via(options))


def tls_settings(
    options: OptManager, index: RouteIndex, host: str, port: int, *, insecure: bool = False
) -> TlsSettings:
    """The settings in force for TLS with a host (a DNS name or an address). Raises CertificatesError.

    `insecure` is for a host that no registry has as its endpoint: a token service, say, that an insecure one names.
    """
    file, directory = options.ssl_verify_upstream_trusted_ca, options.ssl_verify_upstream_trusted_confdir
    certificates = certificates_of(certs_d_directories(options.ns_certs_d, os.environ), host, port)
    if not certificates.pairs:
        certificates = replace(certificates, pairs=_client_certificate(options.client_certs, host))
    return TlsSettings(
        # As mitmproxy does where it is told nothing.
        Authorities(file or (None if directory else certifi.where()), directory),
        certificates,
        verify=not options.ssl_insecure
        and (_is_via(options, host, port) or not index.is_insecure(host, port, otherwise=insecure)),
        protocol=_protocol(options),
    )


def _client_certificate(option: str | None, host: str) -> tuple[tuple[Version, Version], ...]:
    """The certificate that mitmproxy's `client_certs` has for the host: a file, or a directory of `host.pem`."""
    if not option:
        return ()
    path = Path(os.path.expanduser(option))
    if path.is_dir():
        path /= f"{host}.pem"
    if not path.is_file():
        return ()
    version = version_of(path)
    return ((version, version),)


def _protocol(options: OptManager) -> Protocol:
    lowest, highest = options.tls_version_server_min, options.tls_version_server_max
    ciphers = options.ciphers_server or ""
    if not ciphers and net_tls.Version[lowest] in net_tls.INSECURE_TLS_MIN_VERSIONS:
        ciphers = _FOR_OLD_VERSIONS
    return Protocol(
        _VERSIONS.get(lowest, ssl.TLSVersion.MINIMUM_SUPPORTED),
        _VERSIONS.get(highest, ssl.TLSVersion.MAXIMUM_SUPPORTED),
        ciphers,
    )


def _is_via(options: OptManager, host: str, port: int) -> bool:
    """Whether a proxy on the way is there, which is no endpoint, not even one that a catch-all is for."""
    return any(mode.address[:2] == (host, port) for mode in _upstream_modes(options))


def _via(options: OptManager) -> Via | None:
    for mode in _upstream_modes(options):
        host, port = mode.address[:2]
        auth = options.upstream_auth
        authorization = b"Basic " + base64.b64encode(auth.encode()) if auth else None
        return Via(mode.scheme, host, port, authorization)
    return None


def _upstream_modes(options: OptManager) -> list[UpstreamMode]:
    modes = (ProxyMode.parse(spec) for spec in options.mode)
    return [mode for mode in modes if isinstance(mode, UpstreamMode)]
