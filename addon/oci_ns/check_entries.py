"""What is odd about the entries of a configuration: those nothing can match, and those that another one hides."""

from __future__ import annotations

from collections.abc import Iterator

from oci_ns.conf_findings import NO_EFFECT, SPELLING, about
from oci_ns.hops import Route, hop_of, is_plain, split_location
from oci_ns.index import RouteIndex
from oci_ns.problems import SHADOWED, UNREACHABLE, Problem
from oci_ns.reference import DOCKER_HUB, is_digest, is_host, is_repository, is_tag, split_host
from oci_ns.registries_conf import Endpoint, PullFromMirror, Registry


def problems_of_entries(index: RouteIndex) -> Iterator[Problem]:
    """Each entry that cannot do what it says."""
    for route in index.routes():
        registry = route.registry
        if not registry.prefix.startswith("*"):
            yield from _prefix(route)
        other = index.used_instead(route)
        if other is not None:
            message = (
                f"prefix {registry.prefix} is the same registry as {other.prefix}, at "
                f"{other.origin}, which is used for requests; this one only for image names spelt so"
            )
            yield about(registry, SHADOWED, message, "make them one table")
        yield from _unused_keys(registry)
        yield from _hidden_mirrors(route)


def _prefix(route: Route) -> Iterator[Problem]:
    """A prefix that no image name begins with."""
    registry, place = route.registry, route.prefix
    if is_plain(registry.prefix):
        return
    host = registry.prefix.partition("/")[0]
    if not _is_address(host):
        message = f"prefix {registry.prefix} never matches: {host} is not a host[:port]"
        yield about(registry, UNREACHABLE, message)
    elif place.path and not is_repository(place.path):
        message = f"prefix {registry.prefix} never matches: no repository is called {place.path}"
        hint = (
            "repositories are in lower case"
            if place.path != place.path.lower()
            else "see containers-registries.conf(5)"
        )
        yield about(registry, UNREACHABLE, message, hint)
    elif place.reference and not _is_reference(place.reference):
        message = f"prefix {registry.prefix} never matches: {place.reference} is neither a :tag nor a @digest"
        yield about(registry, UNREACHABLE, message)
    elif place.registry == DOCKER_HUB and host != DOCKER_HUB:
        message = f"no image name begins with {host}: Podman never uses this entry, requests to {host} do"
        yield about(registry, UNREACHABLE, message, f"write {DOCKER_HUB}, which is right for both")
    elif host != host.lower():
        message = f"prefix {registry.prefix}: Podman matches it only in image names that are spelt so"
        yield about(registry, SPELLING, message, f"write {host.lower()}")


def _is_address(host: str) -> bool:
    try:
        split_host(host)
    except ValueError:
        return False
    return is_host(host)


def _is_reference(reference: str) -> bool:
    tag, _, digest = reference[1:].partition("@") if reference.startswith(":") else ("", "", reference[1:])
    return (not reference.startswith(":") or is_tag(tag)) and (not digest or is_digest(digest))


def _unused_keys(registry: Registry) -> Iterator[Problem]:
    if registry.blocked and registry.mirrors:
        message = (
            f"prefix {registry.prefix} is blocked: nothing is pulled from its mirrors; all they do is to have pulls "
            "refused that address them directly"
        )
        yield about(registry, UNREACHABLE, message, "remove the mirrors, or blocked = true", registry.mirrors[0])
    if registry.mirror_by_digest_only and not registry.mirrors:
        message = f"prefix {registry.prefix} has no mirrors, so mirror-by-digest-only changes nothing"
        yield about(registry, NO_EFFECT, message)


def _hidden_mirrors(route: Route) -> Iterator[Problem]:
    """A mirror that is asked only where the very same one has failed already."""
    registry = route.registry
    mirrors = registry.mirrors
    for number, mirror in enumerate(mirrors):
        for earlier, other in enumerate(mirrors[:number]):
            if _same_place(route, mirror, other) and other.pull_from_mirror in (
                PullFromMirror.ALL,
                mirror.pull_from_mirror,
            ):
                message = f"mirror {number + 1} is mirror {earlier + 1} again ({mirror.location})"
                yield about(registry, SHADOWED, message, "remove one of them", mirror)
                break
    if mirrors and registry.primary.location and _same_place(route, mirrors[-1], registry.primary):
        message = f"the last mirror is the registry's own location ({mirrors[-1].location}), which comes next anyway"
        yield about(registry, SHADOWED, message, "remove the mirror", mirrors[-1])


def _same_place(route: Route, one: Endpoint, other: Endpoint) -> bool:
    if split_location(one.location)[1:] != split_location(other.location)[1:]:
        return False
    source = "" if route.registry.prefix.startswith("*") else route.prefix.registry
    hops = hop_of(one, source), hop_of(other, source)
    if hops[0] is None or hops[1] is None:
        return False
    first, second = (
        (hop.scheme, hop.registry, hop.port, hop.path, hop.reference, hop.namespace, hop.endpoint.insecure)
        for hop in hops
        if hop is not None
    )
    return first == second
