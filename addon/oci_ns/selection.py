"""Which of a registry's endpoints serves a pull: tried in order, remembered for a while, passed over where they fail.

Knows which answers pass a pull on to the next endpoint, and in which order they are asked; how one is asked is in
`endpoints`. Source: containers-registries.conf(5), "Remapping and mirroring registries"; containers/image's fallback.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from oci_ns.decision import Decision
from oci_ns.distribution import Operation
from oci_ns.endpoints import Carrier, Endpoints, Question, Where, asked_at, named
from oci_ns.fetch import Answer, FetchError, UnsendableError
from oci_ns.logins.authfile import Authfile
from oci_ns.memory import Memory
from oci_ns.spec_error import SpecError, message_in
from oci_ns.value import value

_UNKNOWN_CODES = {Operation.MANIFEST: "MANIFEST_UNKNOWN", Operation.BLOB: "BLOB_UNKNOWN"}
# What an endpoint does not offer says nothing of the image: the client has another way for it.
_ABSENCE_IS_AN_ANSWER = frozenset({Operation.REFERRERS, Operation.CATALOG})


@value
class Rejection:
    """An endpoint that was passed over, and why. `status` is what it answered, None where it did not."""

    decision: Decision
    reason: str
    status: int | None = None

    def __str__(self) -> str:
        return f"{self.decision.place}: {self.reason}"


@value
class Selected:
    """The endpoint that serves a pull.

    `decision` is the one of the candidates, `sent` the same as it is carried out (http or https, as the endpoint
    speaks). `rejections` are the endpoints passed over on the way to it, `answer` is its answer where it was asked.
    """

    decision: Decision
    sent: Decision
    rejections: tuple[Rejection, ...] = ()
    answer: Answer | None = None


class NoEndpointError(Exception):
    """No endpoint serves the pull. Its text names each and says why."""

    def __init__(self, decision: Decision, rejections: Iterable[Rejection]) -> None:
        self.decision = decision
        self.rejections = tuple(rejections)
        super().__init__("; ".join(map(str, self.rejections)))

    @property
    def spec_error(self) -> SpecError:
        """The one error for the client: 404 where every endpoint says that it does not have it, else 502."""
        subject = self.decision.subject or "this"
        reasons = [{"endpoint": each.decision.place, "reason": each.reason} for each in self.rejections]
        if all(each.status == 404 for each in self.rejections):
            operation = self.decision.operation
            code = _UNKNOWN_CODES.get(operation, "NAME_UNKNOWN") if operation is not None else "NAME_UNKNOWN"
            return SpecError(404, code, f"no endpoint has {subject}: {self}", reasons)
        return SpecError(502, "UNAVAILABLE", f"no endpoint serves {subject}: {self}", reasons)


def is_passed_over(operation: Operation | None, status: int) -> bool:
    """Whether an endpoint that answers so leaves the pull to the next one."""
    return status >= 500 or (status == 404 and operation not in _ABSENCE_IS_AN_ANSWER)


def rejection_of(decision: Decision, answer: Answer) -> Rejection:
    """The endpoint of the decision passed over for what it answered, in its own words where it has some."""
    said = message_in(answer.body)
    reason = f"{answer.status} {answer.reason}".strip()
    return Rejection(decision, f"{reason}: {said}" if said else reason, answer.status)


class Selection:
    """Selects endpoints. Belongs to one event loop. `now` is a clock in seconds that never goes back."""

    def __init__(self, carrier: Carrier, now: Callable[[], float] = time.monotonic) -> None:
        self.endpoints = Endpoints(carrier, now)
        self.memory = Memory(now)

    def use(self, logins: Authfile | None) -> None:
        """Log in at endpoints with these from now on; None for not at all."""
        self.endpoints.use(logins)

    def settled(self, decision: Decision, where: Where = named) -> Selected | None:
        """The endpoint to use without a look; None where `select` has to be asked. Costs a few look-ups."""
        chosen = self.memory.recall(decision) if decision.alternatives else decision
        sent = self.endpoints.ready(chosen, where) if chosen is not None else None
        return self._taken(decision, chosen, sent) if chosen is not None and sent is not None else None

    async def select(self, decision: Decision, question: Question, *, whole: bool) -> Selected:
        """Find the endpoint. Where `whole`, each is asked the client's request, and the answer is what was wanted.

        Otherwise (a blob, whose bytes are not for here) they are asked with HEAD. Where there is nothing to choose, a
        connection is made and nothing asked. Raises NoEndpointError, and UnsendableError where nobody can be asked so.
        """
        if not decision.alternatives:
            return await self._only(decision, question)
        recalled = self.memory.recall(decision)
        if recalled is not None:
            try:
                return Selected(recalled, await self.endpoints.reach(recalled, question))
            except FetchError:
                self.memory.forget(decision)
        return await self._first(decision, (decision, *decision.alternatives), question, whole)

    async def after(
        self, decision: Decision, failed: Rejection, question: Question, *, whole: bool = True, took: float = 0.0
    ) -> Selected:
        """Find another endpoint than the one that turned out to fail.

        `whole` as for `select`; `took` is how many seconds it took to find out that it gives no answer.
        Raises NoEndpointError, all endpoints in it, and UnsendableError.
        """
        self.memory.forget(decision)
        where = asked_at(question)
        self.endpoints.doubt(failed.decision, where)
        candidates = [decision, *decision.alternatives]
        others = [each for each in candidates if each.endpoint != failed.decision.endpoint]
        if others and failed.status is None:
            self.endpoints.failed(failed.decision, failed.reason, took, where)
        try:
            return await self._first(decision, others, question, whole)
        except NoEndpointError as error:
            order = [each.endpoint for each in candidates]
            rejections = sorted((failed, *error.rejections), key=lambda each: order.index(each.decision.endpoint))
            raise NoEndpointError(decision, rejections) from None

    async def again(self, decision: Decision, chosen: Decision, question: Question, *, whole: bool) -> Selected:
        """Ask the same endpoint once more. Raises NoEndpointError with that one in it, and UnsendableError."""
        outcome = await self._ask(chosen, question, whole)
        if isinstance(outcome, Rejection):
            raise NoEndpointError(decision, [outcome])
        return outcome

    def answered(self, decision: Decision, chosen: Decision, status: int, where: Where = named) -> None:
        """The endpoint of `chosen` has answered a request that somebody else carried to it."""
        self.endpoints.answered(chosen, where)
        if is_passed_over(decision.operation, status):
            self.memory.forget(decision)

    def failed(self, decision: Decision, chosen: Decision, where: Where = named) -> None:
        """The endpoint of `chosen` did not answer a request that somebody else carried to it."""
        self.endpoints.doubt(chosen, where)
        self.memory.forget(decision)

    async def _only(self, decision: Decision, question: Question) -> Selected:
        where = asked_at(question)
        if not self.endpoints.may_be_tried_last(decision, where):
            raise NoEndpointError(decision, [self._known(decision, where)])
        try:
            return self._taken(decision, decision, await self.endpoints.reach(decision, question))
        except FetchError as error:
            raise NoEndpointError(decision, [Rejection(decision, str(error))]) from None

    def _taken(self, decision: Decision, chosen: Decision, sent: Decision) -> Selected:
        if not decision.alternatives and decision.registry is not None and decision.registry.mirrors:
            # The one place for a tag, say; the blobs, which every mirror serves, come from there, too.
            self.memory.remember(decision, chosen)
        return Selected(chosen, sent)

    async def _first(
        self, decision: Decision, candidates: Iterable[Decision], question: Question, whole: bool
    ) -> Selected:
        """The first endpoint that serves the pull. One that was not there lately is looked at in the background only.

        Where no other serves it, those are tried after all: the ones that are due, or that cost little by now.
        """
        order, where = list(candidates), asked_at(question)
        postponed = [number for number, each in enumerate(order) if self.endpoints.failure(each, where) is not None]
        rejections = {number: self._known(order[number], where) for number in postponed}
        for number in [each for each in range(len(order)) if each not in rejections] + postponed:
            if number in rejections and not self.endpoints.may_be_tried_last(order[number], where):
                continue
            outcome = await self._ask(order[number], question, whole)
            if isinstance(outcome, Rejection):
                rejections[number] = outcome
                continue
            for late in postponed:
                self.endpoints.look_again(order[late], question)
            self.memory.remember(decision, outcome.decision)
            before = tuple(rejections[each] for each in sorted(rejections) if each < number)
            return replace(outcome, rejections=before)
        raise NoEndpointError(decision, [rejections[each] for each in sorted(rejections)])

    async def _ask(self, candidate: Decision, question: Question, whole: bool) -> Selected | Rejection:
        method = question(candidate).method if whole else "HEAD"
        try:
            sent, answer = await self.endpoints.ask(candidate, question, method)
        except UnsendableError:
            raise
        except FetchError as error:
            return Rejection(candidate, str(error))
        if is_passed_over(candidate.operation, answer.status):
            return rejection_of(candidate, answer)
        return Selected(candidate, sent, answer=answer if whole else None)

    def _known(self, decision: Decision, where: Where) -> Rejection:
        failure = self.endpoints.failure(decision, where)
        if failure is None:
            return Rejection(decision, "not tried")
        age = self.endpoints.age(failure)
        when = f"{age:.0f} s ago" if age >= 1 else "just now"
        return Rejection(decision, f"{failure.reason} ({when})")
