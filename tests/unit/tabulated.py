"""Reads a tabulation as an engine does: the smallest thing that answers from the table alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from oci_ns.decision import Decision, url_of
from oci_ns.distribution import Target, namespaces_in, parse
from oci_ns.export.tabulation import ANY, ITSELF, Host, Part, Refusal, Scopes, Step, Tabulation, Way, Ways, kind_of
from oci_ns.reference import (
    DOCKER_HUB,
    DOCKER_HUB_API,
    canonical_registry,
    is_host,
    looks_like_host,
    registry_name,
    split_host,
)

V = TypeVar("V")


@dataclass(frozen=True)
class Asked:
    """A request as it addresses a host."""

    method: str
    host: str
    port: int
    target: str


@dataclass(frozen=True)
class Outcome:
    """What becomes of a request: each URL it is sent to in turn, or the error."""

    urls: tuple[str, ...]
    keeps_credentials: tuple[bool, ...]
    error: tuple[int, str, str] | None

    def is_like(self, other: Outcome) -> bool:
        """Whether both are the same, the message of this error being an expression for the other's."""
        if self.error is None or other.error is None:
            return self == other
        return self.error[:2] == other.error[:2] and re.fullmatch(self.error[2], other.error[2], re.DOTALL) is not None


def outcome_of(decision: Decision) -> Outcome:
    """A decision in the same words."""
    if decision.error is not None:
        error = decision.error
        return Outcome((), (), (error.status, error.code, error.message))
    every = (decision, *decision.alternatives)
    return Outcome(tuple(str(each.upstream) for each in every), tuple(each.keeps_credentials for each in every), None)


def looked_up(table: Tabulation, asked: Asked) -> Outcome | None:
    """What the table says of a request; None for hosts that it does not have, and for what is not below /v2."""
    target = parse(asked.target)
    if target is None:
        return None
    name = registry_name(table.scheme, asked.host, asked.port)
    host = _longest(table.hosts, name) if is_host(name) or name in table.hosts else None
    if host is None:
        return None
    spoken = next(filter(None, namespaces_in(target.query)), "") if table.reads_namespaces else ""
    source = name
    if spoken:
        source = canonical_registry(spoken)
        ways = _in_scopes(_spoken(host, name, source), target)
    else:
        ways, source = _plain(table, host, name, target)
    way = ways[kind_of(asked.method, target)]
    return _outcome(table.scheme, asked, target, way, source)


def _spoken(host: Host, name: str, source: str) -> Scopes:
    if source == name and ITSELF in host.by_namespace:
        return host.by_namespace[ITSELF]
    if is_host(source):
        return _longest(host.by_namespace, source) or host.other_namespace
    # What is no host may still be the namespace of an endpoint, but is not one of the patterns.
    own = None if source.startswith(ANY) else host.by_namespace.get(source)
    return own or host.other_namespace


def _plain(table: Tabulation, host: Host, name: str, target: Target) -> tuple[Ways, str]:
    ways, key = _found(host.plain, target)
    if key or not host.reads_paths or not target.scope:
        return ways, name
    first, slash, rest = target.scope.partition("/")
    if not slash or not rest or not looks_like_host(first):
        return ways, name
    source = canonical_registry(first)
    paths = table.paths
    exact = target.scope + target.suffix, target.scope
    for place, keys in ((paths.exactly, exact), (paths.below, _above(target.scope))):
        for candidate in keys:
            if candidate in place:
                return place[candidate] or ways, source
    for pattern in _patterns(source):
        if pattern in host.patterns or pattern in paths.patterns:
            return (host.patterns if pattern in host.patterns else paths.patterns)[pattern] or ways, source
    return ways, name


def _in_scopes(scopes: Scopes, target: Target) -> Ways:
    return _found(scopes, target)[0]


def _found(scopes: Scopes, target: Target) -> tuple[Ways, str]:
    if not target.scope:
        return scopes.root, ""
    for key in (target.scope + target.suffix, target.scope):
        if key in scopes.exactly:
            return scopes.exactly[key], key
    key = next(key for key in _above(target.scope) if key in scopes.below)
    return scopes.below[key], key


def _above(scope: str) -> Iterator[str]:
    """What lies above a repository, the nearest first."""
    while "/" in scope:
        scope = scope.rpartition("/")[0]
        yield scope
    yield ""


def _patterns(name: str) -> Iterator[str]:
    at = name.find(".") if _has_no_port(name) else -1
    while at != -1:
        yield f"*{name[at:]}"
        at = name.find(".", at + 1)
    yield ANY


def _has_no_port(name: str) -> bool:
    return ":" not in name.rpartition("]")[2]


def _longest(table: Mapping[str, V], name: str) -> V | None:
    return next((table[key] for key in (name, *_patterns(name)) if key in table), None)


def _outcome(scheme: str, asked: Asked, target: Target, way: Way, source: str) -> Outcome:
    if way.refusal is not None:
        return Outcome((), (), _refused(way.refusal))
    urls = tuple(_url(scheme, asked, target, step, source) for step in way.steps)
    return Outcome(urls, tuple(step.keeps_credentials for step in way.steps), None)


def _url(scheme: str, asked: Asked, target: Target, step: Step, source: str) -> str:
    text = step.target(target, source)
    if step.to is None:
        return url_of(scheme, asked.host, asked.port, text)
    host, port = step.to.host, step.to.port
    if isinstance(host, Part):
        host, own_port = split_host(DOCKER_HUB_API if source == DOCKER_HUB else source)
        port = own_port or port
    return url_of(step.to.scheme, host, port, text)


def _refused(refusal: Refusal) -> tuple[int, str, str]:
    """The message as an expression: what the request fills in may be anything."""
    message = "".join(".+" if isinstance(part, Part) else re.escape(part) for part in refusal.message)
    return refusal.status, refusal.code, message
