"""Knows the certificate authority of the laboratory's own servers, and how to put several authorities in one file."""

from __future__ import annotations

from pathlib import Path

import trustme


class CertificateAuthority:
    """An authority nobody trusts unless told to."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self.authority = trustme.CA(organization_name="ns-inject laboratory")
        self.pem = directory / "lab-ca.pem"
        self.authority.cert_pem.write_to_path(str(self.pem))

    def issue(self, *names: str) -> tuple[Path, Path]:
        """A certificate (with its chain) and its key for a server with these names or addresses."""
        certificate = self.authority.issue_cert(*names)
        chain, key = self._directory / f"{names[0]}.crt", self._directory / f"{names[0]}.key"
        chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        key.write_bytes(certificate.private_key_pem.bytes())
        return chain, key


def bundle(target: Path, *authorities: Path) -> Path:
    """Write one file with all these authorities' certificates, for clients that take a single file."""
    target.write_text("\n".join(authority.read_text() for authority in authorities))
    return target
