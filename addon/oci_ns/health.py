"""Which endpoints are there: when each last answered, since when it does not, and when it is tried again.

Pure bookkeeping with a clock that is handed in; who connects is in `endpoints`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from oci_ns.fetch import Address

CONFIRMED = 0.25
"""In seconds: how long after an answer an endpoint is taken to be there still."""
BACK_OFF_MIN = 1.0
BACK_OFF_MAX = 30.0
"""In seconds: the time to the next try doubles with each try that fails, up to this."""
SCHEME_KNOWN = 60.0
"""In seconds: how long it is taken for granted that an endpoint speaks TLS, or that it does not."""
RARELY = 4
"""Where nothing else is left, an endpoint is tried again after so many times what it took to find that it fails."""
_ENDPOINTS_MAX = 10_000


@dataclass(slots=True)
class Failure:
    """Why an endpoint is not there. Times are the clock's; `took` is how long it takes to find out."""

    reason: str
    at: float
    took: float
    count: int

    @property
    def retry_at(self) -> float:
        """When it is tried again."""
        return self.at + float(min(BACK_OFF_MAX, BACK_OFF_MIN * 2 ** min(self.count - 1, 10)))


class Health:
    """The state of every endpoint that was used. `now` is a clock in seconds that never goes back."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._answered: dict[Address, float] = {}
        self._failures: dict[Address, Failure] = {}
        self._spoken: dict[Address, tuple[str, float]] = {}

    def answered(self, address: Address) -> None:
        """The endpoint has just shown that it is there."""
        if len(self._answered) >= _ENDPOINTS_MAX and address not in self._answered:
            self._answered.clear()
        self._answered[address] = self._now()
        if self._failures:
            self._failures.pop(address, None)

    def failed(self, address: Address, reason: str, took: float) -> None:
        """The endpoint is not there, which it took `took` seconds to find out."""
        self._answered.pop(address, None)
        before = self._failures.get(address)
        if before is None and len(self._failures) >= _ENDPOINTS_MAX:
            self._failures.clear()
        now = self._now()
        # Many requests may find out at once, or before a look is due: that is one try.
        count = 1 if before is None else before.count + 1 if now >= before.retry_at else before.count
        self._failures[address] = Failure(reason, now, took, count)

    def is_confirmed(self, address: Address) -> bool:
        """Whether it answered so lately that nobody need look again."""
        at = self._answered.get(address)
        return at is not None and self._now() - at < CONFIRMED

    def failure(self, address: Address) -> Failure | None:
        """Why and since when it is not there; None where nothing is known against it."""
        return self._failures.get(address)

    def is_due(self, failure: Failure) -> bool:
        """Whether it is time to look again."""
        return self._now() >= failure.retry_at

    def may_be_tried_last(self, failure: Failure) -> bool:
        """Whether it may be tried where no other endpoint is left: it is due, or failing costs little by now."""
        return self.is_due(failure) or self.age(failure) >= max(BACK_OFF_MIN, RARELY * failure.took)

    def age(self, failure: Failure) -> float:
        """Seconds since it failed."""
        return self._now() - failure.at

    def doubt(self, address: Address) -> None:
        """Something went wrong on the way to the endpoint: it is not confirmed any more."""
        self._answered.pop(address, None)

    def scheme(self, address: Address) -> str | None:
        """What the endpoint was lately found to speak, http or https; None where nobody looked."""
        scheme, until = self._spoken.get(address, (None, 0.0))
        return scheme if self._now() < until else None

    def speaks(self, address: Address, scheme: str) -> None:
        """What the endpoint was found to speak just now."""
        if len(self._spoken) >= _ENDPOINTS_MAX and address not in self._spoken:
            self._spoken.clear()
        self._spoken[address] = (scheme, self._now() + SCHEME_KNOWN)
