"""Which endpoints are there, by a clock that the tests hold in their hands."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from oci_ns.health import BACK_OFF_MAX, BACK_OFF_MIN, RARELY, Health

MIRROR = ("mirror.example.com", 443)


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def failed(health: Health, clock: Clock, after: list[float], took: float = 0.0) -> None:
    """Let it fail after so many seconds each."""
    for seconds in after:
        clock.now += seconds
        health.failed(MIRROR, "refused", took)


@pytest.mark.parametrize(
    ("after", "due"),
    [
        ([0], BACK_OFF_MIN),
        # A try that fails when it is due makes the next one wait twice as long.
        ([0, 1], 2.0),
        ([0, 1, 2], 4.0),
        ([0, 1, 2, 4, 8, 16, 30, 30], BACK_OFF_MAX),
        # All the requests that were under way when it went away are one try.
        ([0] * 30, BACK_OFF_MIN),
        ([0, 0.1, 0.3, 0.5], BACK_OFF_MIN),
        ([0, 1, 0, 0, 1.9], 2.0),
    ],
)
def test_the_time_to_the_next_look_doubles_with_each_look_that_fails(after: list[float], due: float) -> None:
    clock = Clock()
    health = Health(clock)
    failed(health, clock, after)
    failure = health.failure(MIRROR)
    assert failure is not None
    clock.now += due - 0.01
    assert not health.is_due(failure)
    clock.now += 0.01
    assert health.is_due(failure)


@pytest.mark.parametrize(
    ("took", "seconds", "is_tried"),
    [
        (0.0, BACK_OFF_MIN - 0.01, False),
        (0.0, BACK_OFF_MIN, True),
        (0.6, 0.6 * RARELY - 0.01, False),
        (0.6, 0.6 * RARELY, True),
        (5.0, 5.0 * RARELY - 0.01, False),
        (5.0, 5.0 * RARELY, True),
        # A look is due.
        (30.0, BACK_OFF_MAX - 0.01, False),
        (30.0, BACK_OFF_MAX, True),
    ],
)
def test_where_no_other_is_left_it_is_tried_when_that_costs_little(took: float, seconds: float, is_tried: bool) -> None:
    clock = Clock()
    health = Health(clock)
    failed(health, clock, [0, 1, 2, 4, 8, 16, 30], took)
    failure = health.failure(MIRROR)
    assert failure is not None
    clock.now += seconds
    assert health.may_be_tried_last(failure) is is_tried


def test_an_answer_ends_it() -> None:
    clock = Clock()
    health = Health(clock)
    failed(health, clock, [0, 1, 2])
    health.answered(MIRROR)
    assert health.failure(MIRROR) is None
    failed(health, clock, [0])
    failure = health.failure(MIRROR)
    assert failure is not None
    assert failure.retry_at == clock.now + BACK_OFF_MIN
