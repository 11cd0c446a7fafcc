"""Where a client reads whom to trust: a `certs.d` directory per registry, or the system's store.

Sources: docker's "Verify repository client with certificates", containers-certs.d(5), containerd's docs/hosts.md (all
of them read every *.crt in the directory of a host); update-ca-certificates(8), update-ca-trust(8).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from oci_ns.clients.plan import File, Files, Plan

CERTIFICATE = "ns-inject.crt"
"""A name of its own, beside a CA that is there already."""
DOCKER = "/etc/docker/certs.d"
CONTAINERS = "/etc/containers/certs.d"
CONTAINERD = "/etc/containerd/certs.d"


@dataclass(frozen=True, slots=True)
class _Store:
    """Where a distribution takes further CAs from, and the command that takes them up."""

    directory: str
    suffix: str
    command: str


_DEBIAN = _Store("/usr/local/share/ca-certificates", "crt", "update-ca-certificates")
_STORES = (
    _DEBIAN,
    _Store("/etc/pki/ca-trust/source/anchors", "pem", "update-ca-trust extract"),
    _Store("/etc/pki/trust/anchors", "pem", "update-ca-certificates"),
    _Store("/etc/ca-certificates/trust-source/anchors", "crt", "update-ca-trust extract"),
)


def in_certs_d(files: Files, directory: str, hosts: Iterable[str], certificates: str) -> Plan:
    """The CA for these hosts, each host[:port] as image names have it."""
    paths = [f"{_directory_of(files, directory, host)}/{CERTIFICATE}" for host in hosts]
    return Plan(tuple(File(path, files.text(path), certificates) for path in paths))


def _directory_of(files: Files, directory: str, host: str) -> str:
    # Of several directories for a host, containers/image reads the first alone: a new one would hide Docker's.
    theirs, dockers = f"{directory}/{host}", f"{DOCKER}/{host}"
    if directory == CONTAINERS and not files.exists(theirs) and files.exists(dockers):
        return dockers
    return theirs


def in_system_store(files: Files, certificates: str) -> Plan:
    """The CA for everything on the machine, where its distribution wants it."""
    store = next((each for each in _STORES if files.exists(each.directory)), _DEBIAN)
    path = f"{store.directory}/ns-inject.{store.suffix}"
    return Plan((File(path, files.text(path), certificates),), (store.command,))
