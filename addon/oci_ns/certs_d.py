"""The certificates of a host in `certs.d` directories: whom to trust besides everyone else, and what to present.

Knows the layout of containers-certs.d(5) and of Docker's certs.d; not how TLS is set up with it (`trust`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from oci_ns.reference import registry_name

_SYSTEM = (Path("/etc/containers/certs.d"), Path("/etc/docker/certs.d"))


class CertificatesError(Exception):
    """A directory that cannot be used. Its text names the file and says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Version:
    """A file at one moment: another mtime (in ns), size or inode is another version of it."""

    path: Path
    mtime: int
    size: int
    inode: int


@dataclass(frozen=True, slots=True)
class HostCertificates:
    """What one host's directory holds: CA certificates, and pairs of a client certificate and its key."""

    authorities: tuple[Version, ...] = ()
    pairs: tuple[tuple[Version, Version], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.authorities or self.pairs)


NOTHING = HostCertificates()


def certs_d_directories(option: str, environment: Mapping[str, str]) -> tuple[Path, ...]:
    """The directories that `ns_certs_d` means; '' is the user's, the system's, and Docker's, in this order."""
    if option:
        return (Path(os.path.expanduser(option)),)
    home = environment.get("HOME")
    user = (Path(home, ".config", "containers", "certs.d"),) if home else ()
    return (*user, *_SYSTEM)


def certificates_of(directories: tuple[Path, ...], host: str, port: int) -> HostCertificates:
    """The files for a host (a DNS name or an address) and port, as they are now.

    The first directory that has one for the host counts alone, as in containers/image. It is called `host:port`, or
    `host` where the port is 443 (`docker.io` for Docker Hub's API). Raises CertificatesError.
    """
    if not host or "/" in host or host.startswith("."):
        return NOTHING
    literal = f"[{host}]" if ":" in host else host
    names = dict.fromkeys((f"{literal}:{port}", registry_name("https", host, port)))
    for directory in directories:
        for name in names:
            try:
                entries = sorted(os.scandir(directory / name), key=lambda entry: entry.name)
            except (FileNotFoundError, NotADirectoryError, ValueError):
                # A ValueError: no file has such a name.
                continue
            except OSError as error:
                if isinstance(error, PermissionError) and not is_within_reach(directory):
                    # Not ours, as Docker's may be: passed over, as in containers/image.
                    continue
                raise CertificatesError(f"{directory / name}: cannot be listed: {error.strerror}") from None
            return _read(entries)
    return NOTHING


def is_within_reach(directory: Path) -> bool:
    """Whether there is such a directory, and what is in it can be asked for by name."""
    try:
        # The dot: for the directory itself, no permission on it is needed.
        os.stat(os.path.join(directory, "."))
    except OSError:
        return False
    return True


def _read(entries: list[os.DirEntry[str]]) -> HostCertificates:
    by_name = {entry.name: entry for entry in entries}
    authorities = tuple(version_of(entry) for entry in entries if entry.name.endswith(".crt") and not _dangles(entry))
    pairs = []
    for entry in entries:
        stem, _, kind = entry.name.rpartition(".")
        if kind == "cert":
            if f"{stem}.key" not in by_name:
                raise CertificatesError(
                    f"{entry.path}: its key {stem}.key is missing (the certificates of a CA end in .crt)"
                )
            pairs.append((version_of(entry), version_of(by_name[f"{stem}.key"])))
        elif kind == "key" and f"{stem}.cert" not in by_name:
            raise CertificatesError(f"{entry.path}: its certificate {stem}.cert is missing")
    return HostCertificates(authorities, tuple(pairs))


def _dangles(entry: os.DirEntry[str]) -> bool:
    """Whether this is a symbolic link to nothing: as a CA it trusts nobody, and is passed over as in containers/image.

    Red Hat's systems come with such a one, to the CA of a subscription.
    """
    try:
        entry.stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def version_of(file: os.DirEntry[str] | Path) -> Version:
    """The file as it is now. Raises CertificatesError where it is not there or out of reach."""
    try:
        status = file.stat()
    except OSError as error:
        raise CertificatesError(f"{os.fspath(file)}: cannot be read: {error.strerror}") from None
    return Version(Path(file), status.st_mtime_ns, status.st_size, status.st_ino)
