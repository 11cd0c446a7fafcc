"""Where a client reads whom to trust: a `certs.d` directory per registry, or the system's store.

Sources: docker's "Verify repository client with certificates", containers-certs.d(5), containerd's docs/hosts.md (all
of them read every *.crt in the directory of a host); update-ca-certificates(8), update-ca-trust(8).
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass

from oci_ns.clients.plan import File, Files, Plan, SetupError

_BODY = re.compile(r"-----BEGIN CERTIFICATE-----(.+?)-----END", re.DOTALL)
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
    bundle: str
    """What that command makes, and programs read."""


_DEBIAN = _Store(
    "/usr/local/share/ca-certificates", "crt", "update-ca-certificates", "/etc/ssl/certs/ca-certificates.crt"
)
_STORES = (
    _DEBIAN,
    _Store(
        *("/etc/pki/ca-trust/source/anchors", "pem", "update-ca-trust extract"),
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    ),
    _Store("/etc/pki/trust/anchors", "pem", "update-ca-certificates", "/var/lib/ca-certificates/ca-bundle.pem"),
    _Store(
        *("/etc/ca-certificates/trust-source/anchors", "crt", "update-ca-trust extract"),
        "/etc/ca-certificates/extracted/tls-ca-bundle.pem",
    ),
)


def in_certs_d(files: Files, directory: str, hosts: Iterable[str], certificates: str) -> Plan:
    """The CA for these hosts, each host[:port] as image names have it."""
    paths = [f"{_directory_of(files, directory, host)}/{CERTIFICATE}" for host in hosts]
    return Plan(tuple(_file(files, path, certificates) for path in paths))


def _directory_of(files: Files, directory: str, host: str) -> str:
    # Of several directories for a host, containers/image reads the first alone: a new one would hide Docker's.
    theirs, dockers = f"{directory}/{host}", f"{DOCKER}/{host}"
    if directory == CONTAINERS and not files.exists(theirs) and files.exists(dockers):
        return dockers
    return theirs


def left_over(files: Files, directory: str, kept: Container[str]) -> tuple[str, ...]:
    """What to know of CAs of ours that are there beside the kept, by this client's directory or the system's store."""
    try:
        places = [f"{directory}/{host}/{CERTIFICATE}" for host in files.names(directory)]
        places += [_place(store) for store in _STORES]
        there = [place for place in places if place not in kept and files.exists(place)]
    except SetupError:
        # It is not for this to say that a client cannot be set up.
        return ()
    if not there:
        return ()
    return (f"trusted yet, and maybe by other clients, too: {', '.join(there)}: take out what is unused",)


def in_system_store(files: Files, certificates: str) -> Plan:
    """The CA for everything on the machine, where its distribution wants it."""
    store = next((each for each in _STORES if files.exists(each.directory)), _DEBIAN)
    return Plan((_file(files, _place(store), certificates),), (store.command,))


def not_taken_up(files: Files, path: str) -> str | None:
    """What is wrong with a CA in the system's store that its command has not taken up; None for any other file."""
    store = next((each for each in _STORES if _place(each) == path), None)
    if store is None:
        return None
    bundle = "".join((files.text(store.bundle) or "").split())
    missing = [each for each in _BODY.findall(files.text(path) or "") if "".join(each.split()) not in bundle]
    return f"{path} is not in {store.bundle}: run {store.command}" if missing else None


def _file(files: Files, path: str, certificates: str) -> File:
    # What was there is an earlier CA of ns-inject, by the file's name. p11-kit takes each file of its anchors for a
    # CA, whatever its name: a backup would stay trusted.
    return File(path, files.text(path), certificates, backed_up=False)


def _place(store: _Store) -> str:
    return f"{store.directory}/ns-inject.{store.suffix}"
