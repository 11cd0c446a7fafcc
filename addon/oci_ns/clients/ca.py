"""The CA certificate that a client shall trust, and what it may not be: a private key, or a server's certificate."""

from __future__ import annotations

import re
import ssl

from oci_ns.clients.plan import SetupError

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\s.+?-----END CERTIFICATE-----", re.DOTALL)
_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")


def ca_certificates(text: str, name: str) -> str:
    """The certificates in a PEM file, and nothing else that is in it. `name` is the file's.

    Raises SetupError: a private key is in it, there is no certificate, or one is not a CA's.
    """
    if _KEY.search(text):
        raise SetupError(
            f"{name} has a private key in it, which belongs on no client: "
            "take the certificate alone, which mitmproxy keeps in mitmproxy-ca-cert.pem"
        )
    certificates = _CERTIFICATE.findall(text)
    if not certificates:
        raise SetupError(f"{name} has no certificate in PEM in it (-----BEGIN CERTIFICATE-----)")
    for number, certificate in enumerate(certificates, 1):
        which = name if len(certificates) == 1 else f"{name}, certificate {number}"
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(cadata=certificate)
        except (ssl.SSLError, ValueError) as error:
            reason = error.reason if isinstance(error, ssl.SSLError) and error.reason else str(error)
            raise SetupError(f"{which} is not a certificate: {reason.replace('_', ' ').lower()}") from None
        if context.cert_store_stats()["x509_ca"] == 0:
            raise SetupError(f"{which} is a server's certificate, not a CA's: take mitmproxy-ca-cert.pem")
    return "\n".join((*certificates, ""))


def trusting_only(certificates: str) -> ssl.SSLContext:
    """TLS for a client that trusts these certificates and no others."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # As Go's clients: Python's own defaults differ from one version to the next.
    context.verify_flags = (context.verify_flags | ssl.VERIFY_X509_PARTIAL_CHAIN) & ~ssl.VERIFY_X509_STRICT
    context.load_verify_locations(cadata=certificates)
    return context


def trusting_anyone() -> ssl.SSLContext:
    """TLS that verifies nothing: to find out who is there, never to believe it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
