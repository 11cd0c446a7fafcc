"""One endpoint at a time: is it there, does it speak TLS, and what does it answer; with what is known of it already.

Knows how an endpoint that fails is told from one that answers; not which endpoints a pull has (`selection`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol, TypeVar

from oci_ns.decision import Decision
from oci_ns.fetch import (
    Address,
    Answer,
    FetchError,
    NoCertificatesError,
    NotAuthorizedError,
    NoTlsError,
    NotTrustedError,
    Outgoing,
    RefusedError,
    UnreachableError,
    UnsendableError,
)
from oci_ns.health import Failure, Health
from oci_ns.logins.authfile import Authfile
from oci_ns.logins.central import CentralCredentials
from oci_ns.logins.tokens import Authenticator
from oci_ns.reference import split_host

_Outcome = TypeVar("_Outcome")

Question = Callable[[Decision], Outgoing]
"""The client's own request, as it goes to the endpoint of the decision."""
Where = Callable[[Decision], Address]
"""Where a request is connected to. That, and not what a client calls it, is what is found to be there or not."""


def named(decision: Decision) -> Address:
    """The host and port of the decision: where its request is connected to, unless the connection is the client's."""
    return (decision.host, decision.port)


def asked_at(question: Question) -> Where:
    """Where the client's request is connected to."""
    return lambda decision: question(decision).address


class Carrier(Protocol):
    """Whoever makes the exchanges (`http1_client.HttpClient`)."""

    async def fetch(self, outgoing: Outgoing) -> Answer:
        """Bring the answer. Raises FetchError."""
        ...

    async def connect(self, outgoing: Outgoing, *, tls: bool) -> None:
        """See whether a connection can be made, and TLS on it where `tls`. Raises UnreachableError."""
        ...


class Endpoints:
    """Asks endpoints, each the one that a decision is about. Belongs to one event loop. `now` is a clock in seconds."""

    def __init__(self, carrier: Carrier, now: Callable[[], float] = time.monotonic) -> None:
        self._carrier = carrier
        self.credentials = CentralCredentials(carrier.fetch)
        self._now = now
        self._health = Health(now)
        self._visits: dict[Address, asyncio.Task[None]] = {}

    def use(self, logins: Authfile | None) -> None:
        """Log in with these from now on; None for not at all. What was learned with the former ones is forgotten."""
        if self.credentials.authenticator is not None:
            self.credentials.authenticator.close()
        self.credentials.authenticator = None if logins is None else Authenticator(logins, self._carrier.fetch)

    def ready(self, decision: Decision, where: Where = named) -> Decision | None:
        """The decision as it can be carried out without a look at its endpoint; None where a look is due."""
        if not self._health.is_confirmed(where(decision)):
            return None
        if _may_speak_plain(decision) and self._health.scheme(named(decision)) is None:
            return None
        return self._as_it_speaks(decision)

    def failure(self, decision: Decision, where: Where = named) -> Failure | None:
        """Why and since when its endpoint is not there; None where nothing is known against it."""
        return self._health.failure(where(decision))

    def may_be_tried_last(self, decision: Decision, where: Where = named) -> bool:
        """Whether its endpoint may be tried where no other is left: a look is due, or failing costs little."""
        failure = self.failure(decision, where)
        return failure is None or self._health.may_be_tried_last(failure)

    def age(self, failure: Failure) -> float:
        """Seconds since the failure."""
        return self._health.age(failure)

    def answered(self, decision: Decision, where: Where = named) -> None:
        """The endpoint has answered a request that somebody else carried to it."""
        self._health.answered(where(decision))

    def doubt(self, decision: Decision, where: Where = named) -> None:
        """The endpoint did not answer a request that somebody else carried to it: a look is due."""
        self._health.doubt(where(decision))

    def failed(self, decision: Decision, reason: str, took: float, where: Where = named) -> None:
        """The endpoint is there but gives no answer, which it took `took` seconds to find out."""
        self._health.failed(where(decision), reason, took)

    async def reach(self, decision: Decision, question: Question) -> Decision:
        """Connect to the endpoint, unless it was there just now; the decision as it can be carried out.

        Raises FetchError.
        """
        where = asked_at(question)
        ready = self.ready(decision, where)
        if ready is not None:
            return ready

        # TLS was seen to work a while ago: what is in question is whether somebody is there.
        tls = self._health.scheme(named(decision)) is None

        async def connect(sent: Decision) -> None:
            await self._carrier.connect(question(sent), tls=tls)

        return (await self._attempt(decision, where(decision), connect))[0]

    async def ask(self, decision: Decision, question: Question, method: str) -> tuple[Decision, Answer]:
        """Ask the endpoint with this method; the decision as it was carried out, and the answer. Raises FetchError."""

        async def fetch(sent: Decision) -> Answer:
            return await self.credentials.fetch(sent, replace(question(sent), method=method))

        return await self._attempt(decision, question(decision).address, fetch)

    def look_again(self, decision: Decision, question: Question) -> None:
        """See in the background whether an endpoint that was not there is back, if it is time for that."""
        where = asked_at(question)
        address, failure = where(decision), self.failure(decision, where)
        if failure is None or address in self._visits or not self._health.is_due(failure):
            return

        async def visit() -> None:
            with contextlib.suppress(FetchError):
                await self.reach(decision, question)

        task = asyncio.get_running_loop().create_task(visit())
        self._visits[address] = task
        task.add_done_callback(lambda _: self._visits.pop(address, None))

    def close(self) -> None:
        """End what goes on in the background."""
        for task in self._visits.values():
            task.cancel()
        if self.credentials.authenticator is not None:
            self.credentials.authenticator.close()

    def _as_it_speaks(self, decision: Decision) -> Decision:
        if _may_speak_plain(decision) and self._health.scheme(named(decision)) == "http":
            return _in_plain_http(decision)
        return decision

    async def _attempt(
        self, decision: Decision, address: Address, act: Callable[[Decision], Awaitable[_Outcome]]
    ) -> tuple[Decision, _Outcome]:
        started = self._now()
        sent = self._as_it_speaks(decision)
        try:
            try:
                outcome = await act(sent)
            except (NotTrustedError, NoCertificatesError):
                # Nothing says that it does not speak TLS.
                raise
            except UnreachableError as error:
                plain = _in_plain_http(decision)
                # Refused at the https port: http has a port of its own where the location names none.
                hopeless = not isinstance(error, NoTlsError) and plain.port == sent.port
                if sent is not decision or not _may_speak_plain(decision) or hopeless:
                    raise
                try:
                    sent, outcome = plain, await act(plain)
                except FetchError:
                    raise error from None
        except (NotAuthorizedError, UnsendableError):
            raise
        except FetchError as error:
            # That a busy process takes its time to see a refusal says nothing of what it costs.
            took = 0.0 if isinstance(error, RefusedError) else self._now() - started
            self._health.failed(address, str(error), took)
            raise
        self._health.answered(address)
        if address == named(decision) and self._health.scheme(address) is None:
            self._health.speaks(address, sent.scheme)
        return sent, outcome


def _may_speak_plain(decision: Decision) -> bool:
    """Whether http will do where the endpoint does not speak TLS: `insecure`, but not the client's own connection."""
    endpoint = decision.endpoint
    return endpoint is not None and endpoint.insecure and decision.rerouted and decision.scheme == "https"


def _in_plain_http(decision: Decision) -> Decision:
    endpoint = decision.endpoint
    location = (endpoint.location if endpoint is not None else "").partition("/")[0]
    named = not location or split_host(location)[1] is not None
    port = 80 if decision.port == 443 and not named else decision.port
    return replace(decision, scheme="http", port=port)
