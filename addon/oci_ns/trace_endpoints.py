"""Which endpoints a registry has for a request or an image: the one it goes to, those after it, those left out and why.

Which endpoint is chosen is in `placement` and `pull_sources`; this tells what they did.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from oci_ns.decision import Decision
from oci_ns.hops import Route
from oci_ns.placement import mirrors_for
from oci_ns.pull_sources import PullSource, admitted_mirrors, namespace_of
from oci_ns.reference import Image
from oci_ns.registries_conf import Endpoint, Registry
from oci_ns.request import Request
from oci_ns.trace_rules import Asked
from oci_ns.trace_steps import Outcome, Step

ENDPOINT = "endpoint"
BLOCKED = "blocked"
PRIMARY = "primary"

_TRIED = "tried where those before it fail"


def endpoint_steps(asked: Asked) -> tuple[Step, ...]:
    """Rule 3, which endpoint: nothing where no entry has a say."""
    decision = asked.decision
    registry, endpoint = decision.registry, decision.endpoint
    if registry is not None and asked.request.pull and not registry.blocked:
        return tuple(_pulled(asked, registry))
    if decision.error is not None and decision.source is not None:
        return (Step(BLOCKED, Outcome.ANSWERED, decision.error.message, registry),)
    if endpoint is not None:
        why = f"{_named(endpoint, decision.namespace)}: stays where it is addressed"
        return (Step(ENDPOINT, Outcome.ANSWERED, why, registry or asked.table.index.owner_of(endpoint), endpoint),)
    if registry is not None:
        return (Step(ENDPOINT, Outcome.ANSWERED, f"no pull: stays with {asked.request.addressed}", registry),)
    return ()


def _pulled(asked: Asked, registry: Registry) -> Iterator[Step]:
    """A step for each endpoint of the registry that a pull goes to."""
    decision, request = asked.decision, asked.request
    chosen = (decision, *decision.alternatives)
    order = {id(one.endpoint): number for number, one in enumerate(chosen)}
    by_endpoint = {id(one.endpoint): one for one in chosen}
    route = asked.table.index.route_of(registry)
    admitted = {id(mirror) for mirror in mirrors_for(request, registry)}
    for number, mirror in enumerate(registry.mirrors, start=1):
        rule = f"mirror {number}"
        if id(mirror) in order:
            namespace = by_endpoint[id(mirror)].namespace
            yield _placed(rule, order[id(mirror)], _named(mirror, namespace), registry, mirror)
        else:
            why = _left_out(registry, mirror, route, id(mirror) in admitted, digested=request.target.is_digested)
            yield Step(rule, Outcome.DID_NOT_ANSWER, f"{mirror.location}: {why}", registry, mirror)
    yield _primary(chosen, registry, route, request)


def _primary(chosen: Collection[Decision], registry: Registry, route: Route, request: Request) -> Step:
    """The registry's own location. A wildcard's is made for the request, so it is known by being no mirror."""
    mirrors = {id(mirror) for mirror in registry.mirrors}
    for number, one in enumerate(chosen):
        endpoint = one.endpoint
        if endpoint is not None and id(endpoint) not in mirrors:
            return _placed(PRIMARY, number, _named(endpoint, one.namespace), registry, endpoint)
    location = registry.primary.location or "the source registry"
    if location in route.broken:
        why = _NO_ADDRESS
    elif route.primary_is_source:
        why = f"the request addresses {request.addressed}, which never falls back to the source registry"
    else:
        why = _NO_REPOSITORY
    return Step(PRIMARY, Outcome.DID_NOT_ANSWER, f"{location}: {why}", registry, registry.primary)


_NO_ADDRESS = "is not a host[:port][/path]"
_NO_REPOSITORY = "location and repository leave no repository there"


def _placed(rule: str, number: int, name: str, registry: Registry, endpoint: Endpoint) -> Step:
    if number == 0:
        return Step(rule, Outcome.ANSWERED, f"{name}: tried first", registry, endpoint)
    return Step(rule, Outcome.NOT_REACHED, f"{name}: {_TRIED}", registry, endpoint)


def _named(endpoint: Endpoint, namespace: str | None) -> str:
    location = endpoint.location or "the source registry"
    return f"{location}, ns={namespace}" if namespace is not None else location


def _left_out(registry: Registry, mirror: Endpoint, route: Route, admitted: bool, *, digested: bool) -> str:
    if not admitted:
        return _not_admitted(registry, mirror, digested=digested)
    return _NO_ADDRESS if mirror.location in route.broken else _NO_REPOSITORY


def _not_admitted(registry: Registry, mirror: Endpoint, *, digested: bool) -> str:
    how = "is by digest" if digested else "is not by digest"
    if registry.mirror_by_digest_only:
        return f"mirror-by-digest-only, and this {how}"
    return f"pull-from-mirror = {mirror.pull_from_mirror.value}, and this {how}"


def image_steps(registry: Registry, image: Image, sources: list[PullSource]) -> tuple[Step, ...]:
    """The places an image is pulled from, in order, and the mirrors that do not serve it."""
    steps = []
    if registry.blocked:
        steps.append(Step(BLOCKED, Outcome.ANSWERED, "pulling is forbidden; the places below are not asked", registry))
    digested = bool(image.digest)
    order = {id(source.endpoint): number for number, source in enumerate(sources)}
    admitted = {id(mirror) for mirror in admitted_mirrors(registry, digested=digested)}
    numbered = [(f"mirror {number}", mirror) for number, mirror in enumerate(registry.mirrors, start=1)]
    for rule, endpoint in (*numbered, (PRIMARY, registry.primary)):
        name = _named(endpoint, namespace_of(endpoint, image.host))
        if rule != PRIMARY and id(endpoint) not in admitted:
            why = _not_admitted(registry, endpoint, digested=digested)
            steps.append(Step(rule, Outcome.DID_NOT_ANSWER, f"{name}: {why}", registry, endpoint))
        elif registry.blocked:
            steps.append(Step(rule, Outcome.NOT_ASKED, name, registry, endpoint))
        else:
            steps.append(_placed(rule, order[id(endpoint)], name, registry, endpoint))
    return tuple(steps)
