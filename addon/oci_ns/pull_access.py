"""What a pull needs access to: an endpoint, and a repository, the catalog or nothing but an answer there."""

from __future__ import annotations

from dataclasses import dataclass

from oci_ns.decision import Decision
from oci_ns.distribution import Operation, escape_namespace, parse
from oci_ns.fetch import Outgoing
from oci_ns.reference import registry_name

_PULLS = frozenset(
    {
        Operation.PING,
        Operation.CATALOG,
        Operation.TAGS,
        Operation.MANIFEST,
        Operation.BLOB,
        Operation.REFERRERS,
    }
)


@dataclass(frozen=True, slots=True)
class Site:
    """An endpoint as it is asked. With a `namespace` (its `ns`) it may want something else than without.

    `insecure` leaves the certificate unverified.
    """

    scheme: str
    host: str
    port: int
    namespace: str | None = None
    insecure: bool = False

    @property
    def registry(self) -> str:
        """Its name as a registry, in the normal form of `reference.canonical_registry`."""
        # As a configuration has it, where no scheme is known: 80 is http's, 443 is https's.
        return registry_name("http" if self.port == 80 else "https", self.host, self.port)

    def ping(self) -> Outgoing:
        """The request that asks whether it is there and what it wants to see (distribution-spec, end-1)."""
        target = "/v2/" if self.namespace is None else f"/v2/?ns={escape_namespace(self.namespace)}"
        return Outgoing("GET", self.scheme, self.host, self.port, target, insecure=self.insecure)


@dataclass(frozen=True, slots=True)
class PullAccess:
    """Access to pull. `repository` is its name at the endpoint, '' for ping and catalog."""

    site: Site
    repository: str
    catalog: bool = False


def access_of(decision: Decision, method: str, connect_to: tuple[str, int] | None) -> PullAccess | None:
    """What a request needs that is sent as decided; None for what is not a pull, and where no login may go.

    A login goes to the host that it was written for, and nowhere that a client chose: `connect_to` is the address that
    is connected to where the connection is the client's own (`Outgoing.connect_to`; None: the decision's host), and
    what the client called that address proves nothing. It goes over plain http only where the endpoint says so.
    """
    if method not in ("GET", "HEAD") or decision.error is not None or decision.operation not in _PULLS:
        return None
    endpoint = decision.endpoint
    if connect_to is not None and connect_to != (decision.host, decision.port):
        return None
    if decision.scheme != "https" and not (endpoint is not None and (endpoint.plain_http or endpoint.insecure)):
        return None
    target = parse(decision.target)
    if target is None:
        return None
    insecure = endpoint is not None and endpoint.insecure
    site = Site(decision.scheme, decision.host, decision.port, decision.namespace, insecure)
    # An endpoint's location may break the grammar of repositories; then the target is OTHER, and of no repository.
    known = target.operation in _PULLS
    return PullAccess(site, target.scope if known else "", target.operation is Operation.CATALOG)
