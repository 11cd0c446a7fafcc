"""Which registry an image belongs to and where Podman would pull it from, in order.

The image's side of registries.conf, answered as the reference implementation does (containers-registries.conf(5),
"Choosing a [[registry]] TOML table" and "Remapping and mirroring registries"), by look-ups and never by a scan.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from oci_ns.reference import HOST_LENGTH_MAX, NAME_LENGTH_MAX, Image, is_host, parse_image
from oci_ns.registries_conf import ANY_PREFIX, SOURCE_HOST, Endpoint, PullFromMirror, Registry


class Match(NamedTuple):
    """The number of a registry and how many characters of the image name its prefix covers (a wildcard's: the host)."""

    registry: int
    length: int


@dataclass(frozen=True, slots=True)
class PullSource:
    """One place to try: the endpoint, the image's name there, and the `ns` to send (None: none)."""

    endpoint: Endpoint
    image: Image
    namespace: str | None


class PrefixIndex:
    """Registries by prefix: the longest prefix of an image name, in a few look-ups per path component."""

    def __init__(self, numbers: dict[str, int]) -> None:
        """The number of each registry by its prefix, as written or in normal form. The mapping is the index's own."""
        self._exact = numbers
        self._wildcards = {prefix[1:]: numbers.pop(prefix) for prefix in list(numbers) if prefix[:2] == "*."}
        self.catch_all = numbers.pop(ANY_PREFIX, None)
        self._longest = max(map(len, numbers), default=0)
        self._divided = dict.fromkeys(prefix.partition("/")[0] for prefix in numbers if "/" in prefix)

    def parts(self) -> list[Collection[str]]:
        """All that takes long to free."""
        return [self._exact, self._wildcards, self._divided]

    def number(self, prefix: str) -> int | None:
        """The registry with this very prefix."""
        if prefix == ANY_PREFIX:
            return self.catch_all
        return self._wildcards.get(prefix[1:]) if prefix[:2] == "*." else self._exact.get(prefix)

    def is_whole(self, host: str) -> bool:
        """Whether no prefix says anything of a part of the host[:port] alone, or of several hosts."""
        return host not in self._divided and not self._wildcards

    def get(self, prefix: str) -> int | None:
        """The registry with this very prefix, which is no wildcard."""
        return self._exact.get(prefix)

    def longest(self, name: str, host_length: int, first: int = 0, last: int = 0) -> Match | None:
        """The registry with the longest prefix of `name`, whose first `host_length` characters are the host[:port].

        `first` is the shortest prefix to consider, in characters; before `last` a prefix ends at a slash, and not at a
        colon or `@`. The catch-all is not considered. A wildcard counts
        with the length it is written with, and comes first on a tie (the reference compares in sorted order).
        """
        exact = self._exact
        found, length = exact.get(name), len(name)
        last = max(first, last)
        if length > NAME_LENGTH_MAX:
            length = min(length, self._longest + 1)
        while found is None:
            length = max(name.rfind("/", first, length), name.rfind(":", last, length), name.rfind("@", last, length))
            if length <= 0:
                break
            found = exact.get(name[:length])
        if self._wildcards:
            wildcard = self._wildcard(name[:host_length])
            if wildcard is not None and (found is None or wildcard[1] >= length):
                return wildcard[0]
        return None if found is None else Match(found, length)

    def _wildcard(self, host: str) -> tuple[Match, int] | None:
        """`*.example.com` covers the host without its port, by the suffix's first occurrence (as in the reference).

        The second is the length of the prefix. What a client calls a registry may be no host, and ends like one only.
        """
        bare = host.partition(":")[0]
        at = bare.find(".") if len(bare) <= HOST_LENGTH_MAX else -1
        while at != -1:
            suffix = bare[at:]
            registry = self._wildcards.get(suffix)
            if registry is not None and bare.find(suffix) == at and is_host(host):
                return Match(registry, len(bare)), len(suffix) + 1
            at = bare.find(".", at + 1)
        return None

    def has_wildcard_for(self, host: str) -> bool:
        """Whether a `*.` prefix covers the host. Another port is another host: none covers host:port."""
        return bool(self._wildcards) and ":" not in host and self._wildcard(host) is not None


def admitted_mirrors(registry: Registry, *, digested: bool, either: bool = False) -> Iterator[Endpoint]:
    """The mirrors that serve a pull by digest (`digested`) or by tag, in order; `either`: those that serve any pull."""
    return (mirror for mirror in registry.mirrors if either or admits(registry, mirror, digested=digested))


def admits(registry: Registry, mirror: Endpoint, *, digested: bool) -> bool:
    """Whether a mirror of the registry serves a pull by digest (`digested`) or by tag."""
    if registry.mirror_by_digest_only and not digested:
        return False
    pull = mirror.pull_from_mirror
    return pull is PullFromMirror.ALL or (pull is PullFromMirror.DIGEST_ONLY) == digested


def namespace_of(endpoint: Endpoint, source_host: str) -> str | None:
    """The `ns` to send to the endpoint for an image of `source_host`; None for none."""
    return source_host if endpoint.namespace == SOURCE_HOST else endpoint.namespace


def pull_sources(registry: Registry, length: int, image: Image) -> list[PullSource]:
    """Where the image is pulled from, in order. `length` is how much of its name the registry's prefix covers.

    Raises ValueError where a location and the rest of the name do not make the name of an image.
    """
    name = str(image)
    sources = []
    for endpoint in (*admitted_mirrors(registry, digested=bool(image.digest)), registry.primary):
        moved = image
        if endpoint.location:
            text = endpoint.location + name[length:]
            moved = parse_image(text)
            if str(moved) != text:
                raise ValueError(f'location "{endpoint.location}" turns {name} into "{text}", which names no registry')
        sources.append(PullSource(endpoint, moved, namespace_of(endpoint, image.host)))
    return sources
