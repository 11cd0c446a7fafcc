"""What is decided about one request: the action, the namespace, where it was read from, and the URL upstream."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from oci_ns.distribution import Moved, Operation
from oci_ns.reference import DEFAULT_PORTS
from oci_ns.registries_conf import Endpoint, Registry
from oci_ns.spec_error import SpecError
from oci_ns.value import value


class Action(enum.Enum):
    """What happens to the request: sent on as it is, sent on changed, or answered with an error."""

    PASS = "pass"
    REWRITE = "rewrite"
    BLOCK = "block"


class Source(enum.Enum):
    """Where the source registry was read from, in the order of precedence."""

    QUERY = "query"
    HOST = "host"
    LOCATION = "location"
    PATH = "path"
    DEFAULT = "default"


class ClientNamespace(enum.Enum):
    """What is done with an `ns` that the client sent."""

    KEEP = "keep"
    OVERRIDE = "override"
    REJECT = "reject"


class Unresolved(enum.Enum):
    """What is done with a registry request whose source registry nothing tells."""

    PASS = "pass"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Policy:
    """The options a decision depends on. `default` is the namespace of `ns_default`, '' for none."""

    default: str = ""
    client_namespace: ClientNamespace = ClientNamespace.KEEP
    unresolved: Unresolved = Unresolved.PASS


@value
class Subject:
    """What a request is about, as the user named it: source registry (in normal form), repository, `@digest` or `:tag`.

    The repository is '' for a ping or catalog, the reference '' where there is none.
    """

    registry: str
    repository: str
    reference: str

    def __str__(self) -> str:
        return f"{self.registry}/{self.repository}{self.reference}" if self.repository else self.registry


@value
class Decision:
    """The outcome for one request.

    `namespace` is the `ns` in force (None: none). `scheme`, `host`, `port` and `target` say where the request goes;
    `rerouted` says that this is another registry than the client addressed. `error` is set where `action` is BLOCK.
    `operation` is None for what is not below `/v2`. `subject` is None where the source registry is not known.

    `pull` marks a pull that a registry's endpoints serve. It has `alternatives`: the same for each further endpoint, in
    order, to be tried where this one cannot be reached or does not have it. `moved` says what its repositories are
    called there instead; None where the same.
    """

    action: Action
    namespace: str | None
    source: Source | None
    scheme: str
    host: str
    port: int
    target: str
    rerouted: bool = False
    endpoint: Endpoint | None = None
    registry: Registry | None = None
    error: SpecError | None = None
    operation: Operation | None = None
    subject: Subject | None = None
    pull: bool = False
    alternatives: Sequence[Decision] = ()
    moved: Moved | None = None

    @property
    def keeps_credentials(self) -> bool:
        """Whether the client's Authorization goes along: it is meant for that host, or the endpoint may have it."""
        return not self.rerouted or (self.endpoint is not None and self.endpoint.forward_credentials)

    @property
    def place(self) -> str:
        """The endpoint as its configuration names it, else the host."""
        return (self.endpoint.location if self.endpoint is not None else "") or self.host

    @property
    def upstream(self) -> str | None:
        """The URL that goes upstream; None where nothing does."""
        if self.action is Action.BLOCK:
            return None
        return url_of(self.scheme, self.host, self.port, self.target)


def url_of(scheme: str, host: str, port: int, target: str) -> str:
    """A URL from its parts; the port is left out where it is the scheme's own."""
    literal = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return (
        f"{scheme}://{literal}{target}" if port == DEFAULT_PORTS.get(scheme) else f"{scheme}://{literal}:{port}{target}"
    )
