"""A registry's endpoints as addresses a request can be sent to, and the path its repositories have there.

Turns `location` strings (host[:port][/path][:tag]) into scheme, host, port and path: in a large table not before the
first request for a registry, so it has to be quick.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from oci_ns.distribution import Operation, Target, escape_namespace, join, with_namespace, without_namespace
from oci_ns.pull_sources import admits
from oci_ns.reference import DOCKER_HUB, DOCKER_HUB_API, canonical_registry, split_host
from oci_ns.registries_conf import SOURCE_HOST, Endpoint, PullFromMirror, Registry


# What is made while a request waits is not frozen, which would take it three times as long; nothing changes it.
@dataclass(slots=True, unsafe_hash=True)
class Prefix:
    """A prefix or location taken apart: its registry's name in normal form, path, and reference ('' where none)."""

    registry: str
    path: str
    reference: str

    @property
    def name(self) -> str:
        """The whole in normal form, as an image name begins."""
        path = f"/{self.path}" if self.path else ""
        return f"{self.registry}{path}{self.reference}"


class Address(NamedTuple):
    """Where a host[:port] is: its name in normal form, the host to connect to, and the port, None where none is given.

    `registry` names it even where it is not an address; then `host` is ''.
    """

    registry: str
    host: str
    port: int | None


_is_simple = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*").fullmatch


def is_plain(host: str) -> bool:
    """Whether a host[:port] is its own normal form and address, has no port, and needs no escaping: nearly all are."""
    return _is_simple(host) is not None and not host.endswith(DOCKER_HUB)


def address_of(text: str) -> Address:
    """The address that a host[:port] is as it is written in a configuration."""
    return Address(text, text, None) if is_plain(text) else _address_of(text)


@functools.lru_cache(maxsize=4096)
def _address_of(text: str) -> Address:
    registry = canonical_registry(text)
    try:
        host, port = split_host(text)
    except ValueError:
        return Address(registry, "", None)
    if text.endswith(":"):
        # A scheme: what follows the slashes would be taken for a path on a host of that name.
        return Address(registry, "", None)
    return Address(registry, DOCKER_HUB_API if registry == DOCKER_HUB else host, port)


def split_location(text: str) -> tuple[str, str, str]:
    """Split `host[:port][/path][:tag|@digest]` in these three, each as it is written, '' where there is none."""
    host, _, rest = text.partition("/")
    if ":" not in rest and "@" not in rest:
        return host, rest, ""
    end = min(at for at in (rest.find(":"), rest.find("@")) if at != -1)
    return host, rest[:end], rest[end:]


# RFC 3986, section 3.3.
_PATH_CHARACTERS = r"[A-Za-z0-9._~!$&'()*+,;=:@/-]*+"
_is_path = re.compile(rf"{_PATH_CHARACTERS}(?:%[0-9A-Fa-f]{{2}}{_PATH_CHARACTERS})*+").fullmatch


def fits_in_url(path: str, reference: str) -> bool:
    """Whether a location's path and reference can stand in a URL as they are written, and mean what they say there."""
    return not (path or reference) or _is_path(path + reference) is not None


def is_place(location: str) -> bool:
    """Whether requests can be sent to a location: its host is an address, and what is behind it fits in a URL."""
    host, path, reference = split_location(location)
    return bool(address_of(host).host) and fits_in_url(path, reference)


def take_apart(text: str) -> Prefix:
    """Split `host[:port][/path][:tag|@digest]`; what is behind the host keeps its spelling."""
    host, path, reference = split_location(text)
    return Prefix(address_of(host).registry, path, reference)


@dataclass(slots=True, unsafe_hash=True)
class Hop:
    """An endpoint with its address. `registry` is its name in normal form; `namespace` may still be `*`."""

    endpoint: Endpoint
    scheme: str
    host: str
    port: int
    registry: str
    path: str
    reference: str
    namespace: str | None
    escaped_namespace: str | None

    @property
    def location(self) -> str:
        """The endpoint's location in normal form."""
        return Prefix(self.registry, self.path, self.reference).name

    def namespace_for(self, source_host: str) -> tuple[str | None, str | None]:
        """The `ns` to send for an image of `source_host`, and the same escaped; None for none."""
        if self.namespace == SOURCE_HOST:
            return source_host, escape_namespace(source_host)
        return self.namespace, self.escaped_namespace

    def target(self, target: Target, strip: int, source_host: str) -> str:
        """The request target at this endpoint; `strip` characters of the repository are the prefix's, not the rest.

        '' where location and repository leave no repository. A location's path has no place in a ping or catalog.
        """
        unmoved = not (strip or self.path or self.reference) and target.scope
        if unmoved or target.operation is Operation.PING or target.operation is Operation.CATALOG:
            path = target.path
        else:
            path = target.moved(strip, self.path, self.reference[1:])
        return self.with_namespace(path, target.query, source_host) if path else ""

    def with_namespace(self, path: str, query: str | None, source_host: str) -> str:
        """`path` and `query` with this endpoint's `ns`, or with none if it has none."""
        namespace, escaped = self.namespace_for(source_host)
        if namespace is None:
            return join(path, without_namespace(query))
        return join(path, with_namespace(query, namespace, escaped))


def hop_of(endpoint: Endpoint, source_host: str) -> Hop | None:
    """The endpoint's address; None where its location is not one. `source_host` stands for `*` where it is known."""
    host, path, reference = split_location(endpoint.location)
    address = address_of(host)
    namespace = endpoint.namespace
    if namespace == SOURCE_HOST and source_host:
        namespace = source_host
    escaped = namespace if namespace is None or is_plain(namespace) else escape_namespace(namespace)
    if not address.host or not fits_in_url(path, reference):
        return None
    return _hop(endpoint, address, path, reference, namespace, escaped)


def _hop(
    endpoint: Endpoint, address: Address, path: str, reference: str, namespace: str | None, escaped: str | None
) -> Hop:
    registry, host, port = address
    scheme, own_port = ("http", 80) if endpoint.plain_http else ("https", 443)
    return Hop(endpoint, scheme, host, port or own_port, registry, path, reference, namespace, escaped)


@dataclass(slots=True, unsafe_hash=True)
class Route:
    """A `[[registry]]` ready for requests: its prefix taken apart and the addresses of its endpoints.

    `primary_is_source` tells that the primary is the source registry as the client knows it, not another place.
    `broken` holds the locations that are no addresses. Of the mirrors, `by_tag` and `by_digest` serve such pulls.
    `claims` is whether the entry says anything but that a host is itself.
    """

    registry: Registry
    prefix: Prefix
    mirrors: tuple[Hop, ...]
    elsewhere: Hop | None
    """The primary where it is not the source registry and has an address."""
    primary_is_source: bool
    broken: tuple[str, ...]
    by_tag: tuple[Hop, ...]
    by_digest: tuple[Hop, ...]
    claims: bool

    @property
    def primary(self) -> Hop | None:
        """None where the registry has no location (wildcards: the source registry itself), or it is no address."""
        if not self.primary_is_source:
            return self.elsewhere
        primary = self.registry.primary
        return hop_of(primary, _source_host(self.registry.prefix, self.prefix)) if primary.location else None

    @property
    def proxies(self) -> tuple[Hop, ...]:
        """The endpoints that are places of their own: mirrors in order, then a primary that is not the source."""
        primary = self.elsewhere
        if primary is None or (primary.registry == self.prefix.registry and primary.namespace is None):
            return self.mirrors
        return (*self.mirrors, primary)

    def is_served_at(self, registry: str) -> bool:
        """Whether one of the proxies is at `registry`, a name in normal form."""
        for hop in self.proxies:  # noqa: SIM110
            # A generator costs more than all that it would look at.
            if hop.registry == registry:
                return True
        return False


def _source_host(written: str, prefix: Prefix) -> str:
    """The host that images of a prefix are from; '' for a wildcard."""
    return "" if written.startswith("*") else prefix.registry


def prefix_of(written: str) -> Prefix:
    """The prefix of a registry, taken apart."""
    return Prefix(written.lower(), "", "") if written.startswith("*") else take_apart(written)


def route_of(registry: Registry) -> Route:
    """Prepare a registry for requests. Never raises."""
    prefix = prefix_of(registry.prefix)
    source_host = _source_host(registry.prefix, prefix)
    location = registry.primary.location
    mirrors = [hop_of(mirror, source_host) for mirror in registry.mirrors]
    is_source = (source_host != "" and location == registry.prefix) or not location or take_apart(location) == prefix
    elsewhere = None if is_source else hop_of(registry.primary, source_host)
    broken: list[str] = []
    if None in mirrors:
        broken += [mirror.location for mirror, hop in zip(registry.mirrors, mirrors, strict=True) if hop is None]
    if location and not is_plain(location) and not is_place(location):
        broken.append(location)
    hops = tuple([hop for hop in mirrors if hop is not None])
    return _route(registry, prefix, hops, elsewhere, is_source, tuple(broken))


def plain_route_of(registry: Registry, addresses: Sequence[Address]) -> Route:
    """The same as `route_of`, with less work: the prefix is a plain host and the primary is that host itself.

    `addresses` are those of the mirrors, none of them broken.
    """
    host = registry.prefix
    hops = []
    for mirror, address in zip(registry.mirrors, addresses, strict=True):
        _, path, reference = split_location(mirror.location)
        namespace = host if mirror.namespace == SOURCE_HOST else mirror.namespace
        escaped = namespace if namespace is None or namespace == host else escape_namespace(namespace)
        hops.append(_hop(mirror, address, path, reference, namespace, escaped))
    return _route(registry, Prefix(host, "", ""), tuple(hops), None, True, ())


def _route(
    registry: Registry,
    prefix: Prefix,
    hops: tuple[Hop, ...],
    elsewhere: Hop | None,
    is_source: bool,
    broken: tuple[str, ...],
) -> Route:
    by_tag = by_digest = hops
    if registry.mirror_by_digest_only or any(hop.endpoint.pull_from_mirror is not PullFromMirror.ALL for hop in hops):
        by_tag = tuple([hop for hop in hops if admits(registry, hop.endpoint, digested=False)])
        by_digest = tuple([hop for hop in hops if admits(registry, hop.endpoint, digested=True)])
    is_itself = is_source and registry.primary.namespace is None
    claims = bool(hops or broken or registry.blocked or not is_itself)
    return Route(registry, prefix, hops, elsewhere, is_source, broken, by_tag, by_digest, claims)
