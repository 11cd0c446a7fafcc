"""The table of registries as rows for people: each place that images come from, in order, and with which `ns`.

Knows registries; nothing of how they are drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from oci_ns.registries_conf import Endpoint, PullFromMirror, Registry

HEADER = ("prefix", "endpoint", "ns", "notes", "file")
ROWS_MAX = 1000


def rows(registries: Iterable[Registry], text: str = "") -> list[tuple[str, ...]]:
    """HEADER, and a row for each endpoint of the registries about which `text` is; ROWS_MAX at most."""
    found = [row for registry in registries if _is_about(registry, text) for row in _rows_of(registry)]
    more = len(found) - ROWS_MAX
    last = [(f"and {more} more; name a part of a prefix", "", "", "", "")] if more > 0 else []
    return [HEADER, *found[:ROWS_MAX], *last]


def _is_about(registry: Registry, text: str) -> bool:
    return text in registry.prefix or any(text in endpoint.location for endpoint in registry.endpoints)


def _rows_of(registry: Registry) -> Iterator[tuple[str, ...]]:
    prefix = registry.prefix
    for endpoint in registry.endpoints:
        location = endpoint.location or "the registry itself"
        notes = ", ".join(_notes(registry, endpoint))
        yield (prefix, location, endpoint.namespace or "", notes, str(registry.origin))
        prefix = ""


def _notes(registry: Registry, endpoint: Endpoint) -> Iterator[str]:
    is_mirror = endpoint is not registry.primary
    if registry.blocked:
        yield "blocked"
    if is_mirror and (registry.mirror_by_digest_only or endpoint.pull_from_mirror is PullFromMirror.DIGEST_ONLY):
        yield "by digest only"
    if endpoint.pull_from_mirror is PullFromMirror.TAG_ONLY:
        yield "by tag only"
    if endpoint.plain_http:
        yield "plain http"
    if endpoint.insecure:
        yield "insecure"
    if endpoint.forward_credentials:
        yield "forwards credentials"
