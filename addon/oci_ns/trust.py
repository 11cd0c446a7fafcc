"""Whom a connection to an endpoint trusts and what it presents, as the settings of Python's TLS.

Source: containers-registries.conf(5) (`insecure`), containers-certs.d(5).
"""

from __future__ import annotations

import functools
import ssl
from dataclasses import dataclass

from oci_ns.certs_d import CertificatesError, HostCertificates


@dataclass(frozen=True, slots=True)
class Authorities:
    """The authorities for every host: a file, a directory, or both."""

    file: str | None
    directory: str | None


@dataclass(frozen=True, slots=True)
class Protocol:
    """Which TLS is spoken: the lowest and the highest version, and ciphers, as OpenSSL lists them; '' for the usual."""

    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    maximum: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED
    ciphers: str = ""


USUAL = Protocol()


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Whom a connection trusts (the authorities for every host, and those of this one), what it presents and speaks."""

    authorities: Authorities
    certificates: HostCertificates
    verify: bool
    protocol: Protocol = USUAL


@functools.lru_cache(maxsize=256)
def tls_context(
    authorities: Authorities, certificates: HostCertificates, *, verify: bool, protocol: Protocol = USUAL
) -> ssl.SSLContext:
    """The settings for a client's connection. Raises CertificatesError for a file that cannot be used."""
    try:
        context = ssl.create_default_context(cafile=authorities.file, capath=authorities.directory)
    except (OSError, ssl.SSLError) as error:
        place = authorities.file or authorities.directory
        raise CertificatesError(f"{place}: holds no certificates that can be trusted: {_why(error)}") from None
    context.minimum_version, context.maximum_version = protocol.minimum, protocol.maximum
    if protocol.ciphers:
        context.set_ciphers(protocol.ciphers)
    # What a host gives as its CA is trusted as it is, be it an intermediate or made without key identifiers: so do
    # Go's clients. Python's own defaults differ from one version to the next.
    context.verify_flags = (context.verify_flags | ssl.VERIFY_X509_PARTIAL_CHAIN) & ~ssl.VERIFY_X509_STRICT
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    for authority in certificates.authorities:
        try:
            context.load_verify_locations(cafile=authority.path)
        except (OSError, ssl.SSLError) as error:
            raise CertificatesError(f"{authority.path}: holds no certificate that can be used: {_why(error)}") from None
    # Of several with keys of one kind, the last to be loaded is presented: the first by name, as Go's clients do.
    for certificate, key in reversed(certificates.pairs):
        try:
            # A key with a passphrase would ask for it on the terminal.
            context.load_cert_chain(certificate.path, key.path, password=_no_passphrase)
        except (OSError, ssl.SSLError, ValueError) as error:
            reason = f"cannot be used with its key {key.path.name}: {_why(error)}"
            raise CertificatesError(f"{certificate.path}: {reason}") from None
    return context


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase")


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no PEM").replace("_", " ").lower()
    if isinstance(error, OSError):
        return error.strerror or "cannot be read"
    return str(error)
