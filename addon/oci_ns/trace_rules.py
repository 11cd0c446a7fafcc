"""How each rule of the decision turned out for a request: did it answer, and if not, why.

The rules themselves are in `routes`: which one answered is the decision's own word. What is told here of the others
comes from the same look-ups.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from oci_ns.decision import Decision, Source, Unresolved
from oci_ns.distribution import Operation
from oci_ns.locations import Location
from oci_ns.near_locations import ambiguous, near_locations, other_ports
from oci_ns.near_misses import Candidate, Wanted, may_be_near, near_misses
from oci_ns.reference import canonical_registry, looks_like_host
from oci_ns.registries_conf import SOURCE_HOST, Registry
from oci_ns.request import Request
from oci_ns.routes import RouteTable
from oci_ns.trace_steps import Near, Outcome, Step

REQUEST = "request"
UNRESOLVED = "unresolved"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, the table that was asked about it, and what it decided."""

    table: RouteTable
    request: Request
    decision: Decision

    @property
    def is_endpoint(self) -> bool:
        """Whether the request addresses an endpoint."""
        return self.table.index.is_endpoint(self.request.addressed)

    @property
    def place(self) -> Location | None:
        """The longest location that the request lies under."""
        target = self.request.target
        return next(iter(self.table.index.covering(self.request.addressed, target.scope, target.suffix)), None)

    @property
    def answered_by(self) -> Registry | None:
        """The entry that answered, for a decision that was made by prefix."""
        return self.decision.registry

    def name(self, host: str, scope: str) -> str:
        """The image name of a repository of a registry."""
        return f"{host}/{scope}{self.request.target.suffix}" if scope else host

    def near(self, host: str, scope: str) -> Near:
        """The entries that came close to a repository of a registry."""
        index = self.table.index
        found = index.find(host, scope, self.request.target.suffix)
        winner = found.route.registry if found is not None else None
        wanted = Wanted(self.name(host, scope), host, winner, is_endpoint=index.is_endpoint(host))
        routes = index.routes(may_be_near(host))
        return near_misses((Candidate(r.registry, r.prefix.name, r.claims) for r in routes), wanted)


def request_step(request: Request | None, target: str) -> Step:
    """Rule 1: is it a registry request? Where it is not, no other rule is reached."""
    if request is None:
        path = target.partition("?")[0]
        return Step(REQUEST, Outcome.ANSWERED, f"{path} is not below /v2: no request of the distribution API")
    found = request.target
    if found.operation is Operation.OTHER:
        return Step(REQUEST, Outcome.ANSWERED, "below /v2, but no operation of the distribution API")
    what = f" of {found.scope}{found.suffix}" if found.scope else ""
    return Step(REQUEST, Outcome.ANSWERED, f"below /v2: {found.operation.value}{what}")


def rule_steps(asked: Asked) -> tuple[Step, ...]:
    """Rule 2, which source registry: a step for each source, and one for a request that nothing resolves."""
    source = asked.decision.source
    steps = []
    for rule, explain in _RULES.items():
        if source is not None and rule is not source and not _reached(asked, rule, source):
            steps.append(Step(rule.value, Outcome.NOT_REACHED))
            continue
        step = explain(asked, rule is source)
        steps.append(replace(step, outcome=Outcome.ANSWERED) if rule is source else step)
    return (*steps, _unresolved(asked))


def _reached(asked: Asked, rule: Source, answered: Source) -> bool:
    """Whether a rule was asked before the one that answered. `path` is asked first where the location has no path."""
    if (rule, answered) == (Source.PATH, Source.LOCATION):
        place = asked.place
        return place is None or place.depth == 0
    order = list(Source)
    return order.index(rule) < order.index(answered)


def _told(rule: Source, why: str, near: Near | None = None, registry: Registry | None = None) -> Step:
    """The step of a rule that was asked; `rule_steps` marks the one that answered."""
    return Step(rule.value, Outcome.DID_NOT_ANSWER, why, registry, near=near or Near())


def _query(asked: Asked, answered: bool) -> Step:
    request = asked.request
    if request.override:
        return Step(Source.QUERY.value, Outcome.NOT_ASKED, "ns_client_namespace=override: the table decides")
    if not answered:
        return _told(Source.QUERY, "the client sent no ns")
    namespace = request.client_namespace
    registry = asked.answered_by
    if registry is not None:
        return _told(Source.QUERY, f"the client sent ns={namespace}", registry=registry)
    source = canonical_registry(namespace)
    target = request.target
    here = asked.table.index.served_under(source, request.addressed, target.scope, target.suffix)
    if here is not None:
        why = f"the client sent ns={namespace}, and {request.addressed} is its endpoint"
        return _told(Source.QUERY, why, registry=asked.table.index.owner_of(here[1].endpoint))
    why = f"the client sent ns={namespace}, which is not configured for {request.addressed}"
    result = "" if asked.decision.error is not None else ": believed as it is"
    return _told(Source.QUERY, f"{why}{result}", asked.near(source, target.scope))


def _host(asked: Asked, answered: bool) -> Step:
    request = asked.request
    near = asked.near(request.addressed, request.target.scope)
    if answered:
        return _told(Source.HOST, f"{request.addressed} is a source registry", near, asked.answered_by)
    return _told(Source.HOST, f"no entry claims {asked.name(request.addressed, request.target.scope)}", near)


def _location(asked: Asked, answered: bool) -> Step:
    request, place = asked.request, asked.place
    if not asked.is_endpoint:
        return _told(
            Source.LOCATION, f"{request.addressed} is no endpoint", other_ports(asked.table.index, request.addressed)
        )
    name = asked.name(request.addressed, request.target.scope)
    if place is None:
        return _told(
            Source.LOCATION,
            f"{name} lies under no endpoint's location",
            near_locations(asked.table.index, request.addressed, name),
        )
    hop = next(iter(place.sources.values()))
    location = hop.location
    if answered:
        namespace = str(asked.decision.namespace)
        endpoint = place.namespaces.get(namespace)
        registry = asked.table.index.owner_of(endpoint) if endpoint is not None else None
        return Step(Source.LOCATION.value, Outcome.ANSWERED, f"{location} stands for {namespace}", registry, endpoint)
    if not place.namespaces:
        return _told(
            Source.LOCATION, f"{location} has no namespace-proxy", registry=asked.table.index.owner_of(hop.endpoint)
        )
    if len(place.namespaces) > 1:
        why = f"{location} is ambiguous: it stands for {', '.join(place.namespaces)}"
        return _told(Source.LOCATION, why, ambiguous(asked.table.index, place))
    if place.namespace is None:
        why = f'{location} stands for any registry (namespace-proxy = "{SOURCE_HOST}")'
        return _told(Source.LOCATION, why, registry=asked.table.index.owner_of(hop.endpoint))
    return _told(Source.LOCATION, f"a registry in the path goes before {location}, which has no path")


def _path(asked: Asked, answered: bool) -> Step:
    request = asked.request
    if not asked.is_endpoint:
        return _told(Source.PATH, f"{request.addressed} is no endpoint")
    first, _, rest = request.target.scope.partition("/")
    if not rest or not looks_like_host(first):
        scope = request.target.scope
        return _told(Source.PATH, f"{scope} does not begin with a registry" if scope else "there is no repository")
    source = canonical_registry(first)
    near = asked.near(source, rest)
    if answered:
        return _told(Source.PATH, f"the repository begins with {first}", near, asked.answered_by)
    return _told(Source.PATH, f"no entry claims {asked.name(source, rest)}", near)


def _default(asked: Asked, answered: bool) -> Step:
    default = asked.table.policy.default
    if not default:
        return Step(Source.DEFAULT.value, Outcome.NOT_ASKED, "ns_default is not set")
    if not answered:
        return _told(
            Source.DEFAULT, f"ns_default={default} speaks for endpoints, and {asked.request.addressed} is none"
        )
    return _told(Source.DEFAULT, f"ns_default={default}", registry=asked.answered_by)


def _unresolved(asked: Asked) -> Step:
    if asked.decision.source is not None:
        return Step(UNRESOLVED, Outcome.NOT_REACHED)
    rejected = asked.table.policy.unresolved is Unresolved.REJECT
    why = "ns_unresolved=reject: answered with an error" if rejected else "ns_unresolved=pass: sent on as it is"
    return Step(UNRESOLVED, Outcome.ANSWERED, why)


_RULES: dict[Source, Callable[[Asked, bool], Step]] = {
    Source.QUERY: _query,
    Source.HOST: _host,
    Source.LOCATION: _location,
    Source.PATH: _path,
    Source.DEFAULT: _default,
}
