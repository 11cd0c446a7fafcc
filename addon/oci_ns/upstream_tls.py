"""mitmproxy's own TLS connections to endpoints: `insecure` and certs.d for those that have them, and nobody else.

Amends what mitmproxy has set up for a connection, so that its own options (versions, ciphers, ALPN) stay in force.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from OpenSSL import SSL

from oci_ns.certs_d import CertificatesError, HostCertificates
from oci_ns.trust import Authorities


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Whom a connection trusts (the authorities for every host, and those of this one), and whether it verifies."""

    authorities: Authorities
    certificates: HostCertificates
    verify: bool


def amend(connection: SSL.Connection, settings: TlsSettings) -> None:
    """Apply to a connection that has not begun yet. Raises CertificatesError for a file that cannot be used."""
    if settings.certificates:
        connection.set_context(_context(settings.authorities, settings.certificates))
    if not settings.verify:
        connection.set_verify(SSL.VERIFY_NONE, None)


@functools.lru_cache(maxsize=256)
def _context(authorities: Authorities, certificates: HostCertificates) -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    # Without this, a key with a passphrase would ask for it on the terminal.
    context.set_passwd_cb(lambda *_: b"")
    context.load_verify_locations(authorities.file, authorities.directory)
    for authority in certificates.authorities:
        try:
            context.load_verify_locations(str(authority.path))
        except SSL.Error:
            raise CertificatesError(f"{authority.path}: holds no certificate that can be used") from None
    for certificate, key in certificates.pairs:
        try:
            context.use_certificate_chain_file(str(certificate.path))
            context.use_privatekey_file(str(key.path))
        except SSL.Error:
            raise CertificatesError(f"{certificate.path}: cannot be used with its key {key.path.name}") from None
    return context
