"""One request as the decision sees it, and the decisions that leave it where it was addressed."""

from __future__ import annotations

from oci_ns.decision import Action, Decision, Source, Subject
from oci_ns.distribution import Operation, Target, join, namespaces_in, with_first_namespace_only, without_namespace
from oci_ns.hops import Route
from oci_ns.spec_error import SpecError
from oci_ns.value import value


@value
class Request:
    """A request below /v2. `text` is its target as sent, `addressed` the addressed host's name in normal form.

    `pull` is whether it reads content that any endpoint of the registry may serve, `override` whether the table
    decides about `ns` whatever the client sent.
    """

    scheme: str
    host: str
    port: int
    text: str
    target: Target
    addressed: str
    pull: bool
    override: bool

    @property
    def client_namespace(self) -> str:
        """The first `ns` of the client's that says anything; '' for none, and where the table overrides it."""
        query = self.target.query
        return next(filter(None, namespaces_in(query)), "") if query and not self.override else ""

    @property
    def own_target(self) -> str:
        """The target as it goes where no `ns` is due: without the client's where the table overrides it.

        The client's own is no more than one all the same.
        """
        query = self.target.query
        edited = without_namespace(query) if self.override else with_first_namespace_only(query)
        return self.text if edited is query else join(self.target.path, edited)

    @property
    def text_without_namespace(self) -> str:
        """The target as it goes to a place that has no `ns`."""
        query = self.target.query
        edited = without_namespace(query)
        return self.text if edited is query else join(self.target.path, edited)

    def has_repository_behind(self, strip: int) -> bool:
        """Whether a pull's repository is longer than `strip` characters; always where no repository is due."""
        target = self.target
        if target.operation is Operation.PING or target.operation is Operation.CATALOG:
            return True
        return len(target.scope) > strip

    def subject(self, source_host: str, named: int = 0) -> Subject:
        """What the request is about where its source registry is `source_host` (a name in normal form).

        The repository's first `named` characters are that registry's name, not the repository's.
        """
        return Subject(source_host, self.target.scope[named:], self.target.suffix)

    def keep(
        self,
        source: Source | None,
        namespace: str | None,
        target: str | None = None,
        route: Route | None = None,
        subject: Subject | None = None,
    ) -> Decision:
        """Send the request where it was addressed, as `target` (default: unchanged)."""
        unchanged = target is None or target == self.text
        return Decision(
            action=Action.PASS if unchanged else Action.REWRITE,
            namespace=namespace,
            source=source,
            scheme=self.scheme,
            host=self.host,
            port=self.port,
            target=self.text if target is None else target,
            registry=route.registry if route is not None else None,
            operation=self.target.operation,
            subject=subject,
        )

    def block(
        self,
        source: Source | None,
        error: SpecError,
        namespace: str | None = None,
        route: Route | None = None,
        subject: Subject | None = None,
    ) -> Decision:
        """Answer the request with an error."""
        return Decision(
            action=Action.BLOCK,
            namespace=namespace,
            source=source,
            scheme=self.scheme,
            host=self.host,
            port=self.port,
            target=self.text,
            registry=route.registry if route is not None else None,
            operation=self.target.operation,
            error=error,
            subject=subject,
        )
