"""The decision as a table that an engine without Python can look up: hosts, client's `ns`, repositories, and steps.

Knows the shape of the table and how it is read; how it is made from a `RouteTable` is in `tabulate`. A request is
looked up by the host it addresses, then by the `ns` that the client sent, then by its repository; what is found says
where it goes for each kind of request. Nothing here depends on an engine.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from oci_ns.distribution import (
    Operation,
    Target,
    join,
    with_first_namespace_only,
    with_namespace,
    without_namespace,
)

ANY = "*"
"""The key of what holds for every host that no other key names."""


ITSELF = ""
"""The key, among namespaces, of the addressed host's own name, where that is one of a pattern's."""


class Kind(enum.Enum):
    """What a request is, as far as its way depends on it."""

    ROOT = "root"
    """GET or HEAD of `/v2/` or `/v2/_catalog`, which have no repository."""
    BY_TAG = "by-tag"
    """GET or HEAD of a manifest by its tag, or of a repository's tags."""
    BY_DIGEST = "by-digest"
    """GET or HEAD of a manifest by its digest, or of its referrers."""
    BLOB = "blob"
    """GET or HEAD of a blob."""
    REST = "rest"
    """Every other method, uploads, and what is no operation of the distribution API."""


_KINDS = {
    Operation.PING: Kind.ROOT,
    Operation.CATALOG: Kind.ROOT,
    Operation.TAGS: Kind.BY_TAG,
    Operation.REFERRERS: Kind.BY_DIGEST,
    Operation.BLOB: Kind.BLOB,
}


def kind_of(method: str, target: Target) -> Kind:
    """The kind of a request below `/v2`."""
    if method not in ("GET", "HEAD"):
        return Kind.REST
    if target.operation is Operation.MANIFEST:
        return Kind.BY_DIGEST if target.is_digested else Kind.BY_TAG
    return _KINDS.get(target.operation, Kind.REST)


class Part(enum.Enum):
    """What only the request itself can tell."""

    SOURCE = "source"
    """The source registry it is for, in normal form: the addressed host, the `ns`, or the first component."""
    ADDRESSED = "addressed"
    """The addressed host in normal form."""
    NAMESPACE = "namespace"
    """The client's `ns` as it sent it."""
    PATH = "path"
    """The request's path."""
    SUBJECT = "subject"
    """The image that it is about: source registry, repository and reference."""


Text = tuple[str | Part, ...]
"""A text with the parts that the request fills in."""


class NamespaceEdit(enum.Enum):
    """What becomes of `ns` in the query."""

    LEAVE = "leave"
    """The query stays as it is."""
    DROP = "drop"
    """No `ns` leaves."""
    FIRST = "first"
    """The first `ns` that is not empty, else the first, stays in its place and spelling; every other is dropped."""
    SET = "set"
    """Exactly the given one leaves: as it stands where it is the only one already, else at the end."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a connection goes.

    `host` is `Part.SOURCE` where that is the source registry's own host (of docker.io its API's); `port` is then for
    registries whose name has none.
    """

    scheme: str
    host: str | Part
    port: int


@dataclass(frozen=True, slots=True)
class Step:
    """One place a request is sent to, and what it asks for there."""

    to: Address | None
    """None: the addressed host itself, as the client addressed it."""
    strip: int
    """How many components the repository loses at its beginning."""
    put: str
    """What is put in their place, escaped as in a URL; '' for nothing."""
    reference: str
    """The tag or digest that replaces a manifest's; '' for none."""
    edit: NamespaceEdit
    namespace: str | Part | None
    """The `ns` of `NamespaceEdit.SET`, unescaped (or `Part.SOURCE`); None with the others."""
    keeps_credentials: bool
    """Whether the client's `Authorization` goes along."""
    insecure: bool
    """Whether the certificate there is not verified, and http is spoken where there is no TLS."""
    entry: str = field(default="", compare=False)
    """Where the endpoint is written, as `FILE:LINE`; '' for none."""

    def target(self, target: Target, source: str) -> str:
        """What a request for `target` asks for there; `source` is the source registry's name in normal form."""
        path = target.path
        if target.scope and (self.strip or self.put or self.reference):
            components = target.scope.split("/")
            stripped = "/".join(components[: self.strip])
            path = target.moved(len(stripped), self.put, self.reference)
        return join(path, self._query(target.query, source))

    def _query(self, query: str | None, source: str) -> str | None:
        if self.edit is NamespaceEdit.LEAVE:
            return query
        if self.edit is NamespaceEdit.DROP:
            return without_namespace(query)
        if self.edit is NamespaceEdit.FIRST:
            return with_first_namespace_only(query)
        return with_namespace(query, self.namespace if isinstance(self.namespace, str) else source)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The error that answers instead: HTTP status, the distribution-spec's code, message, and detail ('' for none)."""

    status: int
    code: str
    message: Text
    detail: str = ""
    is_greeted: bool = False
    """Whether a ping is told with status 200, as by the registry that its client believes to talk to."""


@dataclass(frozen=True, slots=True)
class Way:
    """What becomes of a request: sent to the first step, and to the next where that fails; or refused, without steps.

    `entry` names the entry of the configuration that it comes from, as `FILE:LINE`; '' for none.
    """

    steps: tuple[Step, ...] = ()
    refusal: Refusal | None = None
    entry: str = field(default="", compare=False)


Ways = Mapping[Kind, Way]
"""The ways of each kind of request; of a kind that there cannot be it has none."""


@dataclass(slots=True)
class Scopes:
    """The ways by repository, or by the rest of the path where no repository is recognised.

    `root` is for what has no repository: `/v2/` and `/v2/_catalog`, by any method. `exactly` has a key for the
    repository itself, `team/app`, or for one reference of it, `team/app:v1` or `team/app@sha256:…`; `below` for all
    that lies under it, but not itself. '' in `below` is for everything. The longest key counts, with a reference first.
    A key of `exactly` that ends with a slash is for just that path, which is no repository's.
    """

    root: Ways
    exactly: dict[str, Ways] = field(default_factory=dict)
    below: dict[str, Ways] = field(default_factory=dict)


@dataclass(slots=True)
class Paths:
    """The ways of a repository whose first component is a source registry: `quay.io/coreos/etcd`.

    Keys are as in `Scopes`, the registry's name being their first component, without '' and without root. None: these
    are not taken for a registry's. `patterns` has the first components that stand for many registries: `*.example.com`,
    and `*` for every other that looks like a host (it has a dot or a colon, or is localhost).
    """

    exactly: dict[str, Ways | None] = field(default_factory=dict)
    below: dict[str, Ways | None] = field(default_factory=dict)
    patterns: dict[str, Ways | None] = field(default_factory=dict)


@dataclass(slots=True)
class Host:
    """What holds for one addressed host, or for all hosts of a pattern.

    `plain` is for requests without an `ns` of the client's. Where it has no longer key than '' and `reads_paths` is
    true, the table's `paths` are asked first: their keys, then `patterns`, which has those of this host that differ.
    `by_namespace` is asked where the client sent an `ns`, by the name in normal form of the registry it names
    (`*.example.com` and `*` stand for many); `other_namespace` is for all others.
    """

    plain: Scopes
    by_namespace: dict[str, Scopes]
    other_namespace: Scopes
    reads_paths: bool = False
    patterns: dict[str, Ways | None] = field(default_factory=dict)


@dataclass(slots=True)
class Tabulation:
    """The whole table, for requests that come by one scheme.

    `hosts` has the addressed hosts by their names in normal form, and patterns (`*.example.com`, `*`): of those that
    match the longest counts. `reads_namespaces` is false where an `ns` of the client's changes nothing.
    """

    scheme: str
    hosts: dict[str, Host]
    paths: Paths
    reads_namespaces: bool


def is_pattern(name: str) -> bool:
    """Whether the name of a host stands for several."""
    return name == ANY or name.startswith("*.")
