"""One request that stands for many, and what a table's decision about it says of all of them.

Knows how to make such requests and how to read the decision as a `Way`; which requests to ask about is in `tabulate`.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import NamedTuple, TypeVar, cast
from urllib.parse import quote

from oci_ns.decision import Decision, Source
from oci_ns.distribution import Operation, Target, namespaces_in, parse, with_first_namespace_only, with_namespace
from oci_ns.export.tabulation import Address, Kind, NamespaceEdit, Part, Refusal, Step, Text, Way, Ways, kind_of
from oci_ns.reference import DEFAULT_PORTS, split_host
from oci_ns.registries_conf import PullFromMirror, Registry
from oci_ns.routes import RouteTable

T = TypeVar("T")

_UNLIKELY = "ns-inject-sample"
"""A component and tag that no configuration has: what it shows holds for whatever stands in its place."""
_KNOWN_MAX = 1024
_DIGEST = f"sha256:{'5a' * 32}"


class Key(NamedTuple):
    """A repository at which the decision can change ('' for all), and its `:tag` or `@digest` where only for that."""

    scope: str
    reference: str

    def __str__(self) -> str:
        return self.scope + self.reference


@dataclass(frozen=True, slots=True)
class Sample:
    """How a request that stands for many addresses a host, and which registry it is for.

    `addressed` is a name in normal form. `source` is the name that stands for any source registry in its place; '' for
    none. `namespace` is the `ns` that the client sends; '' for none. `anywhere` is whether what is decided holds for
    any other addressed host as well.
    """

    scheme: str
    addressed: str
    source: str
    namespace: str = ""
    anywhere: bool = False

    @property
    def query(self) -> str:
        """Parameters that show what becomes of `ns` and of its neighbours."""
        return _query(self.namespace)


@functools.lru_cache(_KNOWN_MAX)
def _query(namespace: str) -> str:
    if not namespace:
        return "x&ns=&y&ns="
    return f"x&ns=&{with_namespace(None, namespace)}&ns=other&y"


class Sampler:
    """Asks a table for its decisions."""

    def __init__(self, table: RouteTable, scheme: str) -> None:
        self._table = table
        self._port = DEFAULT_PORTS[scheme]
        self._known: dict[tuple[object, ...], object] = {}
        """What was found, so that what is the same is one thing: nobody has to look at it twice."""

    def root(self, sample: Sample) -> Ways:
        """The ways of `/v2/` and of the catalog."""
        return self._ways(sample, [("GET", "/v2/"), ("POST", "/v2/")])

    def below(self, sample: Sample, scope: str) -> Ways:
        """The ways of what lies under a repository, but not of itself."""
        repository = f"{scope}/{_UNLIKELY}" if scope else _UNLIKELY
        return self._ways(sample, _requests(repository, ""))

    def exactly(self, sample: Sample, key: Key) -> Ways:
        """The ways of a repository itself, or of one reference of it."""
        return self._ways(sample, _requests(key.scope, key.reference))

    def nothing_below(self, sample: Sample, scope: str) -> Ways:
        """The way of a path that ends with a slash where a repository would go on."""
        return self._ways(sample, [("GET", f"/v2/{scope}/")])

    def is_told_by_path(self, sample: Sample, key: Key) -> bool:
        """Whether the repository's first component is taken for its source registry, at `key` or under it."""
        requests = _requests(key.scope if "/" in key.scope else f"{key.scope}/{_UNLIKELY}", key.reference)
        method, path = requests[-1]
        return self._decide(sample, method, path).source is Source.PATH

    def _decide(self, sample: Sample, method: str, path: str) -> Decision:
        host, port = split_host(sample.addressed)
        return self._table.decide(method, sample.scheme, host, port or self._port, f"{path}?{sample.query}")

    def _ways(self, sample: Sample, requests: list[tuple[str, str]]) -> Ways:
        ways: dict[Kind, Way] = {}
        for method, path in requests:
            target = parse(f"{path}?{sample.query}")
            if target is None:
                raise ValueError(f"{path} is not below /v2")
            kind = kind_of(method, target)
            if kind in ways:
                continue
            decision = self._decide(sample, method, path)
            ways[kind] = self._way(sample, target, decision)
            if kind is Kind.BY_TAG and not _tells_references_apart(decision):
                ways[Kind.BY_DIGEST] = ways[Kind.BLOB] = ways[kind]
        return self._only(ways, *((kind.value, id(way)) for kind, way in ways.items()))

    def _only(self, found: T, *content: object) -> T:
        """The first that was found with this content."""
        return cast(T, self._known.setdefault((type(found), *content), found))

    def _way(self, sample: Sample, target: Target, decision: Decision) -> Way:
        registry = decision.registry
        if decision.error is not None:
            error = decision.error
            detail = error.detail if isinstance(error.detail, str) else ""
            message = _templated(error.message, sample, target, decision)
            refusal = Refusal(error.status, error.code, message, detail, _is_greeted(decision))
            entry = str(registry.origin) if registry is not None else ""
            return self._only(Way((), refusal, entry), refusal, entry)
        steps = tuple([self._step(sample, target, each) for each in (decision, *decision.alternatives)])
        entry = steps[0].entry or (str(registry.origin) if registry is not None else "")
        return self._only(Way(steps, None, entry), entry, *map(id, steps))

    def _step(self, sample: Sample, target: Target, decision: Decision) -> Step:
        path, question, query = decision.target.partition("?")
        endpoint, registry = decision.endpoint, decision.registry
        moved = decision.moved
        edit, namespace = _edit(sample, target, query if question else None, decision)
        reference = path[path.rindex("/") + 1 :]
        owner = registry if registry is not None else self._owner(decision)
        step = Step(
            to=self._address(sample, decision),
            strip=moved.client.count("/") + 1 if moved is not None and moved.client else 0,
            put=moved.endpoint if moved is not None else "",
            reference=reference if _is_manifest(target) and not target.tail.endswith(f"/{reference}") else "",
            edit=edit,
            namespace=namespace,
            keeps_credentials=decision.keeps_credentials,
            insecure=self._table.index.is_insecure(decision.host, decision.port),
            entry=str(owner.origin_of(endpoint)) if owner is not None and endpoint is not None else "",
        )
        return self._only(step, step, step.entry)

    def _owner(self, decision: Decision) -> Registry | None:
        return self._table.index.owner_of(decision.endpoint) if decision.endpoint is not None else None

    def _address(self, sample: Sample, decision: Decision) -> Address | None:
        host, port = split_host(sample.addressed)
        if (decision.scheme, decision.host, decision.port) == (sample.scheme, host, port or self._port):
            return None
        is_source = sample.source != "" and decision.host == split_host(sample.source)[0]
        return Address(decision.scheme, Part.SOURCE if is_source else decision.host, decision.port)


def _is_greeted(decision: Decision) -> bool:
    """As in `flows.error_answer`."""
    return decision.operation is Operation.PING and decision.source is Source.HOST


def _requests(repository: str, reference: str) -> list[tuple[str, str]]:
    """Requests of each kind for a repository, or of those that have its reference."""
    path = f"/v2/{quote(repository, safe='/:')}"
    by_tag, by_digest = f"{path}/manifests/{_UNLIKELY}", f"{path}/manifests/{_DIGEST}"
    if reference.startswith(":"):
        return [("GET", f"{path}/manifests/{reference[1:]}"), ("PUT", f"{path}/manifests/{reference[1:]}")]
    if reference:
        blob = ("GET", f"{path}/blobs/{reference[1:]}")
        return [("GET", f"{path}/manifests/{reference[1:]}"), blob, ("PUT", f"{path}/manifests/{reference[1:]}")]
    return [("GET", by_tag), ("GET", by_digest), ("GET", f"{path}/blobs/{_DIGEST}"), ("PUT", by_tag)]


def _is_manifest(target: Target) -> bool:
    return target.operation is Operation.MANIFEST


def _tells_references_apart(decision: Decision) -> bool:
    """Whether a pull by digest may go another way than one by tag."""
    registry = decision.registry
    if registry is None:
        return False
    restricted = any(mirror.pull_from_mirror is not PullFromMirror.ALL for mirror in registry.mirrors)
    return registry.mirror_by_digest_only or restricted


def _edit(
    sample: Sample, target: Target, there: str | None, decision: Decision
) -> tuple[NamespaceEdit, str | Part | None]:
    """What became of the sample's `ns`; `there` is the query that the decision has."""
    edit = _edit_of(target.query, there)
    if edit is not NamespaceEdit.SET:
        return edit, None
    is_source = sample.source != "" and decision.namespace == sample.source
    return NamespaceEdit.SET, Part.SOURCE if is_source else decision.namespace


@functools.lru_cache(_KNOWN_MAX)
def _edit_of(here: str | None, there: str | None) -> NamespaceEdit:
    if there == here:
        return NamespaceEdit.LEAVE
    if not namespaces_in(there):
        return NamespaceEdit.DROP
    return NamespaceEdit.FIRST if there == with_first_namespace_only(here) else NamespaceEdit.SET


def _templated(message: str, sample: Sample, target: Target, decision: Decision) -> Text:
    """A message with what comes from the request taken out."""
    parts = {target.path: Part.PATH}
    if sample.namespace:
        parts[f"ns={sample.namespace}"] = Part.NAMESPACE
    if decision.subject is not None and any(each in str(decision.subject) for each in (_UNLIKELY, _DIGEST)):
        parts[str(decision.subject)] = Part.SUBJECT
    if sample.anywhere:
        parts[sample.addressed] = Part.ADDRESSED
    if sample.source:
        parts[sample.source] = Part.SOURCE
    longest_first = sorted(parts, key=len, reverse=True)
    pieces = re.split("(" + "|".join(map(re.escape, longest_first)) + ")", message)
    return tuple(parts.get(piece, piece) for piece in pieces if piece)
