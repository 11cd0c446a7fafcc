"""Which entries came close to a request or an image without matching, and why they did not.

For people only: it looks at every entry, which no decision does. What matches is `pull_sources` and `index`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import itemgetter

from oci_ns.hops import address_of
from oci_ns.registries_conf import ANY_PREFIX, Registry
from oci_ns.trace_steps import Near, NearMiss

SHOWN_MAX = 5
"""Near misses of one rule; a table can have thousands of entries for one host."""

_DISTANT = 6
"""From this rank on an entry is a near miss only where no other entry matches."""
_BOUNDARIES = "/:@"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an entry should have matched: a name in normal form that begins with a host[:port] of `host`.

    `winner` is the entry that did match. `any_port` tells that a prefix without a port covers every port, as Podman has
    it for images; for a request another port is another registry. `is_endpoint` keeps a catch-all away.
    """

    name: str
    host: str
    winner: Registry | None = None
    any_port: bool = False
    is_endpoint: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """An entry under the name it is compared by, and whether it says anything but that a host is itself."""

    registry: Registry
    name: str
    claims: bool = True


_Why = tuple[int, str]


def near_misses(candidates: Iterable[Candidate], wanted: Wanted) -> Near:
    """The candidates that came close, closest first."""
    found: list[tuple[tuple[int, int, str], NearMiss]] = []
    for candidate in candidates:
        registry = candidate.registry
        if wanted.winner is not None and registry.primary.number == wanted.winner.primary.number:
            continue
        why = _wildcard(candidate, wanted) if candidate.name.startswith("*") else _exact(candidate, wanted)
        if why is not None:
            rank, text = why
            if rank >= _DISTANT and wanted.winner is not None:
                continue
            common = _common(candidate.name, wanted.name)
            found.append(((rank, -common, candidate.name), NearMiss(registry.prefix, registry.origin, text)))
    found.sort(key=itemgetter(0))
    return Near(tuple(miss for _, miss in found[:SHOWN_MAX]), max(len(found) - SHOWN_MAX, 0))


def may_be_near(host: str) -> Callable[[str], bool]:
    """What tells of a prefix as it is written whether it may come close to a name at `host`; most do not."""
    bare = without_port(host)

    def of_interest(prefix: str) -> bool:
        written = prefix.partition("/")[0]
        hosts = {without_port(written), without_port(address_of(written).registry)}
        return prefix.startswith("*") or any(own == bare or bare.endswith(f".{own}") for own in hosts)

    return of_interest


def _common(one: str, other: str) -> int:
    """How many characters two names begin with alike."""
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _exact(candidate: Candidate, wanted: Wanted) -> _Why | None:
    prefix, name = candidate.name, wanted.name
    host, _, path = prefix.partition("/")
    if name.startswith(prefix) and (wanted.any_port or len(prefix) >= len(wanted.host)):
        if name == prefix or name[len(prefix)] in _BOUNDARIES:
            return _covering(candidate, wanted)
        if path:
            return 1, f"ends inside a component of {name}"
    if host == wanted.host:
        return _same_host(path, wanted)
    if without_port(host) == without_port(wanted.host):
        return 4, f"another port is another registry: {host} is not {wanted.host}"
    if without_port(wanted.host).endswith(f".{host}"):
        return 7, f"covers {host} itself, not the hosts below it; those would be *.{host}"
    return None


def _same_host(path: str, wanted: Wanted) -> _Why:
    rest = wanted.name[len(wanted.host) + 1 :]
    if not rest:
        return 6, "has a path, and the request names no repository"
    repository, other = _repository(path), _repository(rest)
    if repository == other:
        return 5, "is for another tag or digest"
    if path.startswith(f"{rest}/"):
        return 5, f"is longer than {wanted.name}"
    return 6, f"is another path than {other}"


def _repository(path: str) -> str:
    end = min((at for at in (path.find(":"), path.find("@")) if at != -1), default=len(path))
    return path[:end]


def _covering(candidate: Candidate, wanted: Wanted) -> _Why:
    """Why an entry does not answer whose prefix does cover the name."""
    if not candidate.claims:
        return 0, "only maps the host to itself, so it claims nothing"
    if wanted.winner is not None:
        return 2, f"matches, too, but {wanted.winner.prefix} goes before it"
    return 2, "matches, too, but a longer prefix that claims nothing goes before it"


def _wildcard(candidate: Candidate, wanted: Wanted) -> _Why | None:
    prefix = candidate.registry.prefix
    if prefix == ANY_PREFIX:
        if wanted.winner is not None:
            return None
        if wanted.is_endpoint:
            return 0, f"never catches a host that is itself an endpoint, as {wanted.host} is"
        return 3, "catches only what no other prefix matches"
    suffix, bare = candidate.name[1:], without_port(wanted.host)
    if bare.endswith(suffix):
        if bare == wanted.host or wanted.any_port:
            return _covering(candidate, wanted)
        return 3, f"covers no port: {wanted.host} needs an entry of its own"
    if bare == suffix[1:]:
        return 3, f"covers the hosts below {bare}, not {bare} itself"
    return None


def without_port(host: str) -> str:
    """The host of `host[:port]`, an IPv6 address with its brackets."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
