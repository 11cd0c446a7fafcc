"""What is kept for a while, or shared, is bounded: in time, in number, and by who waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from oci_ns import health
from oci_ns.expiring import Expiring
from oci_ns.health import BACK_OFF_MAX, SCHEME_KNOWN, Health
from oci_ns.single_flight import SingleFlight


def test_a_value_is_there_until_its_time_is_over() -> None:
    now = [0.0]
    kept = Expiring[str, int](lambda: now[0], 10)
    kept.put("a", 1, 5.0)
    now[0] = 4.9
    assert (kept.get("a"), kept.get("b"), len(kept)) == (1, None, 1)
    now[0] = 5.0
    assert (kept.get("a"), len(kept)) == (None, 0)


def test_where_there_are_too_many_values_the_oldest_go() -> None:
    kept = Expiring[str, int](lambda: 0.0, 2)
    for key in ("a", "b", "a", "c"):
        kept.put(key, ord(key), 1.0)
    assert [kept.get(key) for key in ("a", "b", "c")] == [ord("a"), None, ord("c")]
    kept.drop("a")
    kept.drop("b")
    assert (kept.get("a"), len(kept)) == (None, 1)


@pytest.mark.parametrize(
    ("note", "known"),
    [
        (lambda h, address: h.answered(address), lambda h, address: h.is_confirmed(address)),
        (lambda h, address: h.failed(address, "refused", 0.1), lambda h, address: h.failure(address) is not None),
        (lambda h, address: h.speaks(address, "http"), lambda h, address: h.scheme(address) == "http"),
    ],
)
def test_of_very_many_endpoints_the_state_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
    note: Callable[[Health, tuple[str, int]], None],
    known: Callable[[Health, tuple[str, int]], bool],
) -> None:
    monkeypatch.setattr(health, "_ENDPOINTS_MAX", 2)
    state = Health(lambda: 0.0)
    first, second, third = ("a", 1), ("b", 1), ("c", 1)
    for each in (first, second, first):
        note(state, each)
    assert [known(state, each) for each in (first, second)] == [True, True]
    note(state, third)
    assert [known(state, each) for each in (first, second, third)] == [False, False, True]


def test_what_an_endpoint_speaks_is_believed_for_a_while() -> None:
    now = [0.0]
    state = Health(lambda: now[0])
    state.speaks(("a", 1), "https")
    now[0] = SCHEME_KNOWN - 1
    assert state.scheme(("a", 1)) == "https"
    now[0] = SCHEME_KNOWN
    assert state.scheme(("a", 1)) is None


def test_the_time_to_the_next_try_has_a_cap_however_often_an_endpoint_failed() -> None:
    now = 0.0
    state = Health(lambda: now)
    for _ in range(2000):
        now += BACK_OFF_MAX
        state.failed(("a", 1), "refused", 0.1)
    failure = state.failure(("a", 1))
    assert failure is not None
    assert (failure.count, failure.retry_at) == (2000, now + BACK_OFF_MAX)


def run(act: Callable[[SingleFlight[int]], Awaitable[None]]) -> None:
    async def whole() -> None:
        await asyncio.wait_for(act(SingleFlight()), timeout=20)

    asyncio.run(whole())


def test_work_under_one_key_is_done_once_at_a_time_and_anew_afterwards() -> None:
    done: list[int] = []

    async def work() -> int:
        await asyncio.sleep(0)
        done.append(1)
        return len(done)

    async def act(flight: SingleFlight[int]) -> None:
        shared = await asyncio.gather(flight.share("a", work), flight.share("a", work), flight.share("b", work))
        assert list(shared) == [1, 1, 2]
        assert await flight.share("a", work) == 3

    run(act)


def test_who_gives_up_waiting_takes_nothing_from_the_others() -> None:
    async def act(flight: SingleFlight[int]) -> None:
        goes_on = asyncio.Event()

        async def work() -> int:
            await goes_on.wait()
            return 5

        impatient, patient = (asyncio.ensure_future(flight.share("a", work)) for _ in range(2))
        await asyncio.sleep(0)
        impatient.cancel()
        goes_on.set()
        assert await patient == 5
        assert impatient.cancelled()

    run(act)


def test_what_goes_on_can_be_ended() -> None:
    async def act(flight: SingleFlight[int]) -> None:
        async def work() -> int:
            await asyncio.Event().wait()
            return 5

        waiting = asyncio.ensure_future(flight.share("a", work))
        await asyncio.sleep(0)
        flight.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await flight.share("a", lambda: asyncio.sleep(0, 6)) == 6

    run(act)
