"""mitmproxy's own TLS connections to endpoints: `insecure` and certs.d for those that have them, and nobody else.

Amends what mitmproxy has set up for a connection, so that its own options (versions, ciphers, ALPN) stay in force.
"""

from __future__ import annotations

import functools

from mitmproxy.connection import Server
from mitmproxy.net import tls as net_tls
from mitmproxy.optmanager import OptManager
from OpenSSL import SSL, crypto

from oci_ns.certs_d import CertificatesError, HostCertificates
from oci_ns.trust import Authorities, TlsSettings

_REFUSED = "Certificate verify failed: "


def amend(connection: SSL.Connection, server: Server, options: OptManager, settings: TlsSettings) -> None:
    """Apply to a connection that has not begun yet. Raises CertificatesError for a file that cannot be used."""
    if settings.certificates:
        # The connection keeps its versions, curves, ALPN and the name it verifies; the rest goes with the context.
        ciphers = _ciphers(connection, server, options)
        connection.set_context(_context(settings.authorities, settings.certificates, ciphers))
    if not settings.verify:
        connection.set_verify(SSL.VERIFY_NONE, None)


def refusal(server: Server) -> str | None:
    """Whose certificate was refused and why, in the words of the addon's own exchanges; None for other failures.

    mitmproxy tells the reason, but not the host.
    """
    before, mark, reason = (server.error or "").partition(_REFUSED)
    if not mark or before or server.address is None:
        return None
    return f"{server.sni or server.address[0]}:{server.address[1]}: its certificate is not trusted: {reason}"


def _ciphers(connection: SSL.Connection, server: Server, options: OptManager) -> tuple[str, ...]:
    """The ciphers that mitmproxy has chosen, and with them the level of security: old versions need the lowest."""
    if server.cipher_list:
        return tuple(server.cipher_list)
    names = (name for name in connection.get_cipher_list() if not name.startswith("TLS_"))
    old = net_tls.Version[options.tls_version_server_min] in net_tls.INSECURE_TLS_MIN_VERSIONS
    return (*(("@SECLEVEL=0",) if old else ()), *names)


@functools.lru_cache(maxsize=256)
def _context(authorities: Authorities, certificates: HostCertificates, ciphers: tuple[str, ...]) -> SSL.Context:
    # Not mitmproxy's cached context: what is added to that would hold for other hosts, too.
    context = net_tls.create_proxy_server_context.__wrapped__(
        method=net_tls.Method.TLS_CLIENT_METHOD,
        min_version=net_tls.Version.UNBOUNDED,
        max_version=net_tls.Version.UNBOUNDED,
        cipher_list=ciphers,
        ecdh_curve=None,
        verify=net_tls.Verify.VERIFY_PEER,
        ca_path=authorities.directory,
        ca_pemfile=authorities.file,
        client_cert=None,
        legacy_server_connect=False,
    )
    # Without this, a key with a passphrase would ask for it on the terminal.
    context.set_passwd_cb(lambda *_: b"")
    store = context.get_cert_store()
    if store is not None:
        # An intermediate CA will do, as for Go's clients.
        store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    for authority in certificates.authorities:
        try:
            context.load_verify_locations(str(authority.path))
        except SSL.Error:
            raise CertificatesError(f"{authority.path}: holds no certificate that can be used") from None
    # Of several with keys of one kind, the last to be loaded is presented (see `trust`).
    for certificate, key in reversed(certificates.pairs):
        try:
            context.use_certificate_chain_file(str(certificate.path))
            context.use_privatekey_file(str(key.path))
        except SSL.Error:
            raise CertificatesError(f"{certificate.path}: cannot be used with its key {key.path.name}") from None
    return context
