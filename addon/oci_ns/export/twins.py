"""Entries that are configured alike, but for names of their own: what is decided about one holds for all.

A large configuration has thousands of them. Two entries are alike where swapping their own names changes nothing: each
name is only in its entry, and is to the patterns what the other is. Knows no engine, and decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from oci_ns.export.swapping import Swap, words_of
from oci_ns.hops import Route
from oci_ns.reference import DOCKER_HUB, looks_like_host
from oci_ns.registries_conf import Endpoint

_LENGTH_MAX = 200
"""Longer names are looked at in other ways."""
_SPECIAL = frozenset({"library", "manifests", "blobs", "tags", "list", "referrers", "uploads", "v2"})
"""Components that mean something else in some places."""
_is_plain_text = re.compile(r"[a-z0-9.:/_-]*").fullmatch
_is_name = re.compile(r"(?=.*[a-z])[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*").fullmatch
_split = re.compile(r"([/:@])").split
_SHARED = -1

Twins = dict[str, Swap]
"""By each name that is an entry's own, what makes of the first entry that is like it this one, and the reverse."""


def twins_of(routes: Sequence[Route], patterns: Iterable[str], apart: Iterable[str]) -> Twins:
    """The entries that are alike an earlier one. Names of `apart` are no entry's own."""
    owners = _owners(routes, apart)
    wildcards = [pattern for pattern in patterns if pattern.startswith("*.")]
    firsts: dict[tuple[object, ...], tuple[Route, list[str]]] = {}
    found: Twins = {}
    for number, route in enumerate(routes):
        own: dict[str, int] = {}
        shape = _shape(route, number, owners, own, wildcards)
        if shape is None or not own:
            continue
        names = list(own)
        first, theirs = firsts.setdefault(shape, (route, names))
        if first is not route:
            words = {**dict(zip(theirs, names, strict=True)), **dict(zip(names, theirs, strict=True))}
            one, other = _entries(first), _entries(route)
            entries = {**dict(zip(one, other, strict=True)), **dict(zip(other, one, strict=True))}
            swap = Swap(words, entries)
            found.update(dict.fromkeys(names, swap))
    return found


def twin_of(twins: Twins, text: str) -> Swap | None:
    """What makes a host, namespace or scope another's that is configured alike; None where it has no such name."""
    found = twins.get(text)
    if found is None and ("/" in text or ":" in text):
        return next((twins[word] for word in words_of(text) if word in twins), None)
    return found


def _owners(routes: Sequence[Route], apart: Iterable[str]) -> dict[str, int]:
    """The number of the only entry that has a name."""
    owners = {word: _SHARED for text in apart for word in words_of(text)}
    for number, route in enumerate(routes):
        for text in _texts(route):
            for word in words_of(text.lower()):
                if owners.setdefault(word, number) != number:
                    owners[word] = _SHARED
    return owners


def _texts(route: Route) -> list[str]:
    """Every text of an entry that names are in."""
    registry = route.registry
    texts = [registry.prefix]
    for endpoint in registry.endpoints:
        texts.append(endpoint.location)
        if endpoint.namespace is not None:
            texts.append(endpoint.namespace)
    return texts


def _shape(
    route: Route, number: int, owners: dict[str, int], own: dict[str, int], wildcards: Sequence[str]
) -> tuple[object, ...] | None:
    """All of an entry but its own names and lines; None where it cannot be read without knowing them.

    `own` is told its own names, in the order in which they occur.
    """
    registry = route.registry
    if route.broken or not all(_is_simple(text) for text in _texts(route)):
        return None
    prefix = _shape_of(registry.prefix, number, owners, own)
    endpoints = tuple([_endpoint(endpoint, number, owners, own) for endpoint in registry.endpoints])
    entries = _entries(route)
    return (
        prefix,
        endpoints,
        registry.blocked,
        registry.mirror_by_digest_only,
        route.primary_is_source,
        tuple([(looks_like_host(name), _covering(name, wildcards)) for name in own]),
        tuple(map(entries.index, entries)),
    )


def _is_simple(text: str) -> bool:
    behind = text.partition("/")[2]
    return text == "*" or (len(text) <= _LENGTH_MAX and _is_plain_text(text) is not None and ":" not in behind)


def _shape_of(text: str, number: int, owners: dict[str, int], own: dict[str, int]) -> tuple[str | int, ...]:
    return tuple([own.setdefault(part, len(own)) if _is_own(part, number, owners) else part for part in _split(text)])


def _is_own(word: str, number: int, owners: dict[str, int]) -> bool:
    return (
        owners.get(word) == number
        and word not in _SPECIAL
        and not word.endswith(DOCKER_HUB)
        and _is_name(word) is not None
    )


def _endpoint(endpoint: Endpoint, number: int, owners: dict[str, int], own: dict[str, int]) -> tuple[object, ...]:
    namespace = endpoint.namespace
    return (
        _shape_of(endpoint.location, number, owners, own),
        None if namespace is None else _shape_of(namespace, number, owners, own),
        endpoint.insecure,
        endpoint.pull_from_mirror,
        endpoint.plain_http,
        endpoint.forward_credentials,
    )


def _covering(name: str, wildcards: Sequence[str]) -> tuple[object, ...]:
    # A wildcard covers by its first occurrence, and the longer of it and the name counts (`PrefixIndex`).
    return tuple(
        [
            (wildcard, name.index(wildcard[1:]), len(wildcard) - len(name))
            if name.count(wildcard[1:]) > 1 or len(wildcard) >= len(name)
            else wildcard
            for wildcard in wildcards
            if name.endswith(wildcard[1:])
        ]
    )


def _entries(route: Route) -> list[str]:
    """Where the entry and each of its endpoints is written."""
    registry = route.registry
    return [str(registry.origin), *(str(registry.origin_of(endpoint)) for endpoint in registry.endpoints)]
