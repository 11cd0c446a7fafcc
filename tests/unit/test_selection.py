"""The selection of endpoints, with a clock and registries that the tests hold in their hands."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from oci_ns.conf_files import parse_text
from oci_ns.decision import Decision
from oci_ns.distribution import Operation
from oci_ns.fetch import (
    Answer,
    FetchError,
    NoCertificatesError,
    NoTlsError,
    NotTrustedError,
    Outgoing,
    RefusedError,
    UnreachableError,
)
from oci_ns.health import BACK_OFF_MAX, BACK_OFF_MIN, CONFIRMED
from oci_ns.index import RouteIndex
from oci_ns.routes import RouteTable
from oci_ns.selection import NoEndpointError, Rejection, Selected, Selection, is_passed_over, rejection_of
from tests.unit.test_distribution import SHA

CONF = """
[[registry]]
prefix = "quay.io"
location = "quay.io"
[[registry.mirror]]
location = "a.example.com"
[[registry.mirror]]
location = "b.example.com"

[[registry]]
prefix = "digests.io"
location = "digests.io"
mirror-by-digest-only = true
[[registry.mirror]]
location = "a.example.com/digests"

[[registry]]
prefix = "elsewhere.io"
location = "only.example.com"

[[registry]]
prefix = "lax.io"
location = "a.example.com/lax"
[[registry.mirror]]
location = "lax.example.com"
insecure = true
[[registry.mirror]]
location = "lax.example.com:5000/port"
insecure = true
"""
REFUSED = UnreachableError("connection refused")


@dataclass
class World:
    """Registries by host: a status, or why there is none; `asked` is what was carried where."""

    behaviour: Mapping[str, int | FetchError]
    now: float = 1000.0
    takes: Mapping[str, float] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    plain: set[str] = field(default_factory=set)

    def clock(self) -> float:
        return self.now

    async def fetch(self, outgoing: Outgoing) -> Answer:
        self.asked.append(f"{outgoing.method} {outgoing.host}")
        status = self._there(outgoing)
        body = b'{"errors": [{"message": "no  such\\nthing"}]}' if status == 404 else b"{}"
        return Answer(status, "Reason", (), body)

    async def connect(self, outgoing: Outgoing, *, tls: bool) -> None:
        self.asked.append(f"{'TLS' if tls else 'CONNECT'} {outgoing.host}")
        self._there(outgoing)

    def _there(self, outgoing: Outgoing) -> int:
        self.now += self.takes.get(outgoing.host, 0.0)
        behaviour = self.behaviour.get(outgoing.host, 200)
        if isinstance(behaviour, FetchError):
            raise behaviour
        if outgoing.host in self.plain and outgoing.scheme == "https":
            raise NoTlsError("no TLS")
        return behaviour


def table(text: str = CONF) -> RouteTable:
    return RouteTable(RouteIndex(parse_text(Path("registries.conf"), text.encode()).registries.values()))


def decide(path: str, registry: str = "quay.io", method: str = "GET", text: str = CONF) -> Decision:
    return table(text).decide(method, "https", registry, 443, f"/v2/{path}")


def question(decision: Decision) -> Outgoing:
    return Outgoing("GET", decision.scheme, decision.host, decision.port, decision.target)


def run(act: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await act()

    asyncio.run(whole())


async def select(selection: Selection, decision: Decision) -> Selected:
    return selection.settled(decision) or await selection.select(
        decision, question, whole=decision.operation is not Operation.BLOB
    )


@pytest.mark.parametrize(
    ("behaviour", "chosen"),
    [
        ({}, "a.example.com"),
        ({"a.example.com": REFUSED}, "b.example.com"),
        ({"a.example.com": FetchError("no answer within 30 s")}, "b.example.com"),
        ({"a.example.com": 404}, "b.example.com"),
        ({"a.example.com": 500}, "b.example.com"),
        ({"a.example.com": 503}, "b.example.com"),
        ({"a.example.com": 401}, "a.example.com"),
        ({"a.example.com": 403}, "a.example.com"),
        ({"a.example.com": 429}, "a.example.com"),
        ({"a.example.com": 307}, "a.example.com"),
        ({"a.example.com": 404, "b.example.com": REFUSED}, "quay.io"),
    ],
)
@pytest.mark.parametrize("path", ["app/manifests/1", f"app/blobs/{SHA}", "app/tags/list", ""])
def test_the_first_endpoint_that_is_there_and_has_it_is_used(
    behaviour: Mapping[str, int | FetchError], chosen: str, path: str
) -> None:
    async def act() -> None:
        selected = await select(Selection(World(behaviour)), decide(path))
        assert selected.decision.host == selected.sent.host == chosen

    run(act)


def test_the_answer_of_a_manifest_is_what_was_asked_for_and_a_blobs_bytes_are_left_to_others() -> None:
    async def act() -> None:
        world = World({})
        selection = Selection(world)
        assert (await select(selection, decide("app/manifests/1"))).answer is not None
        assert (await select(selection, decide(f"other/blobs/{SHA}"))).answer is None
        assert world.asked == ["GET a.example.com", "HEAD a.example.com"]

    run(act)


@pytest.mark.parametrize(("operation", "status"), [(Operation.REFERRERS, 404), (Operation.CATALOG, 404)])
def test_an_endpoint_without_an_optional_part_of_the_api_has_answered(operation: Operation, status: int) -> None:
    assert not is_passed_over(operation, status)
    assert is_passed_over(operation, 500)
    assert is_passed_over(Operation.MANIFEST, status)


def test_what_was_chosen_is_used_without_a_request_and_the_blobs_follow() -> None:
    async def act() -> None:
        world = World({"a.example.com": 404})
        selection = Selection(world, world.clock)
        selection.memory.ttl = 60
        await select(selection, decide("app/manifests/1"))
        world.asked.clear()
        for path in ("app/manifests/1", "app/manifests/2", "app/tags/list", f"app/blobs/{SHA}"):
            assert (await select(selection, decide(path))).decision.host == "b.example.com"
        assert world.asked == []
        assert (await select(selection, decide("other/manifests/1"))).decision.host == "b.example.com"
        assert world.asked == ["GET a.example.com", "GET b.example.com"]

    run(act)


def test_after_a_while_the_order_counts_again() -> None:
    async def act() -> None:
        world = World({"a.example.com": 404})
        selection = Selection(world, world.clock)
        selection.memory.ttl = 60
        await select(selection, decide("app/manifests/1"))
        world.behaviour, world.now = {}, world.now + 61
        assert (await select(selection, decide("app/manifests/1"))).decision.host == "a.example.com"

    run(act)


def test_an_idle_endpoint_costs_a_connection_and_no_request() -> None:
    async def act() -> None:
        world = World({})
        selection = Selection(world, world.clock)
        selection.memory.ttl = 60
        await select(selection, decide("app/manifests/1"))
        world.asked.clear()
        world.now += CONFIRMED
        assert (await select(selection, decide("app/manifests/1"))).answer is None
        assert world.asked == ["CONNECT a.example.com"]

    run(act)


MIRRORS = '[[registry.mirror]]\nlocation = "a.example.com"\n[[registry.mirror]]\nlocation = "b.example.com"\n'
SWAPPED = '[[registry.mirror]]\nlocation = "b.example.com"\n[[registry.mirror]]\nlocation = "a.example.com"\n'
ADDED = f'[[registry.mirror]]\nlocation = "new.example.com"\n{MIRRORS}'
ANOTHER = '[[registry]]\nlocation = "another.example.com"\n'


@pytest.mark.parametrize(
    ("text", "chosen", "asked"),
    [
        (CONF.replace(MIRRORS, SWAPPED), "b.example.com", ["GET b.example.com"]),
        (CONF.replace(MIRRORS, ADDED), "new.example.com", ["GET new.example.com"]),
        (ANOTHER + CONF, "a.example.com", []),
    ],
)
def test_where_a_registry_has_changed_the_endpoint_that_served_it_before_is_remembered_no_more(
    text: str, chosen: str, asked: list[str]
) -> None:
    async def act() -> None:
        world = World({})
        selection = Selection(world, world.clock)
        selection.memory.ttl = 60
        assert (await select(selection, decide("app/manifests/1"))).decision.host == "a.example.com"
        world.asked.clear()
        assert (await select(selection, decide("app/manifests/1", text=text))).decision.host == chosen
        assert world.asked == asked

    run(act)


def test_a_remembered_endpoint_that_is_gone_is_passed_over() -> None:
    async def act() -> None:
        world = World({})
        selection = Selection(world, world.clock)
        selection.memory.ttl = 60
        await select(selection, decide("app/manifests/1"))
        world.behaviour, world.now = {"a.example.com": REFUSED}, world.now + CONFIRMED
        assert (await select(selection, decide("app/manifests/1"))).decision.host == "b.example.com"
        selected = await select(selection, decide(f"app/blobs/{SHA}"))
        assert (selected.decision.host, selected.rejections) == ("b.example.com", ())

    run(act)


def test_a_digest_is_not_looked_for_where_a_tag_was_found() -> None:
    async def act() -> None:
        world = World({})
        selection = Selection(world, world.clock)
        selection.memory.ttl = 60
        assert (await select(selection, decide("app/manifests/1", "digests.io"))).decision.host == "digests.io"
        assert (await select(selection, decide(f"app/blobs/{SHA}", "digests.io"))).decision.host == "digests.io"
        assert (await select(selection, decide(f"app/manifests/{SHA}", "digests.io"))).decision.host == "a.example.com"
        assert (await select(selection, decide(f"app/blobs/{SHA}", "digests.io"))).decision.host == "a.example.com"

    run(act)


def test_a_dead_endpoint_is_not_asked_again_by_every_request_and_comes_back_by_itself() -> None:
    async def act() -> None:
        world = World({"a.example.com": REFUSED})
        selection = Selection(world, world.clock)
        await select(selection, decide("app/manifests/1"))
        world.asked.clear()
        for number in range(10):
            selected = await select(selection, decide(f"app{number}/manifests/1"))
            assert str(selected.rejections[0]) == "a.example.com: connection refused (just now)"
        await asyncio.sleep(0)
        assert world.asked == ["GET b.example.com"] * 10
        world.behaviour, world.now = {}, world.now + BACK_OFF_MIN
        # The request that finds it due does not wait for it.
        assert (await select(selection, decide("x/manifests/1"))).decision.host == "b.example.com"
        await asyncio.sleep(0)
        assert world.asked[-1] == "TLS a.example.com"
        assert (await select(selection, decide("y/manifests/1"))).decision.host == "a.example.com"

    run(act)


def test_the_time_between_two_looks_doubles_up_to_a_cap() -> None:
    async def act() -> None:
        world = World({"a.example.com": REFUSED})
        selection = Selection(world, world.clock)
        looks = []
        while world.now < 1200:
            await select(selection, decide("app/manifests/1"))
            await asyncio.sleep(0)
            if any("a.example.com" in each for each in world.asked):
                looks.append(world.now)
            world.asked.clear()
            world.now += 1
        gaps = [after - before for before, after in itertools.pairwise(looks)]
        assert gaps[:6] == [1, 2, 4, 8, 16, BACK_OFF_MAX]
        assert set(gaps[5:]) == {BACK_OFF_MAX}

    run(act)


def test_where_every_endpoint_fails_there_is_one_error_with_every_reason() -> None:
    async def act() -> None:
        world = World({"a.example.com": REFUSED, "b.example.com": 404, "quay.io": FetchError("no answer within 30 s")})
        with pytest.raises(NoEndpointError) as failure:
            await select(Selection(world), decide("team/app/manifests/1"))
        error = failure.value.spec_error
        assert (error.status, error.code) == (502, "UNAVAILABLE")
        assert error.message == (
            "no endpoint serves quay.io/team/app:1: a.example.com: connection refused; "
            "b.example.com: 404 Reason: no such thing; quay.io: no answer within 30 s"
        )
        (document,) = json.loads(error.body())["errors"]
        assert document["detail"][0] == {"endpoint": "a.example.com", "reason": "connection refused"}

    run(act)


@pytest.mark.parametrize(("status", "said"), [(None, "no endpoint serves this: "), (404, "no endpoint has this: ")])
def test_an_error_about_a_request_of_no_known_registry_says_this(status: int | None, said: str) -> None:
    passed = replace(decide("app/manifests/1"), subject=None)
    error = NoEndpointError(passed, [Rejection(passed, "not there", status)]).spec_error
    assert error.message.startswith(said)


@pytest.mark.parametrize(
    ("path", "code"),
    [("app/manifests/1", "MANIFEST_UNKNOWN"), (f"app/blobs/{SHA}", "BLOB_UNKNOWN"), ("app/tags/list", "NAME_UNKNOWN")],
)
def test_where_nobody_has_it_that_is_the_answer(path: str, code: str) -> None:
    async def act() -> None:
        world = World(dict.fromkeys(["a.example.com", "b.example.com", "quay.io"], 404))
        with pytest.raises(NoEndpointError) as failure:
            await select(Selection(world), decide(path))
        assert (failure.value.spec_error.status, failure.value.spec_error.code) == (404, code)

    run(act)


def test_where_every_endpoint_was_dead_those_that_fail_at_once_are_tried_and_slow_ones_are_not() -> None:
    async def act() -> None:
        world = World(dict.fromkeys(["a.example.com", "b.example.com", "quay.io"], REFUSED), takes={"a.example.com": 5})
        selection = Selection(world, world.clock)
        for _ in range(3):
            with pytest.raises(NoEndpointError):
                await select(selection, decide("app/manifests/1"))
        assert world.asked == ["GET a.example.com", "GET b.example.com", "GET quay.io"]
        world.now += BACK_OFF_MIN * 1.5
        world.asked.clear()
        world.behaviour = {"a.example.com": REFUSED, "b.example.com": REFUSED}
        # Failing twice, b is not due for two seconds; but to find it refused costs nothing.
        selection.endpoints._health.failed(("b.example.com", 443), "refused", 0.0)
        selection.endpoints._health.failed(("a.example.com", 443), "timeout", 5.0)
        world.now += BACK_OFF_MIN
        assert (await select(selection, decide("app/manifests/1"))).decision.host == "quay.io"
        assert world.asked == ["GET b.example.com", "GET quay.io"]

    run(act)


def test_a_refusal_costs_nothing_also_where_a_busy_process_saw_it_late() -> None:
    async def act() -> None:
        refused = RefusedError("cannot connect: connection refused")
        world = World(dict.fromkeys(["a.example.com", "b.example.com", "quay.io"], refused), takes={"b.example.com": 5})
        selection = Selection(world, world.clock)
        for _ in range(2):
            with pytest.raises(NoEndpointError):
                await select(selection, decide("app/manifests/1"))
            world.now += BACK_OFF_MIN
        world.behaviour = {"a.example.com": refused}
        assert (await select(selection, decide("app/manifests/1"))).decision.host == "b.example.com"

    run(act)


def test_where_there_is_no_choice_nothing_is_asked_and_the_endpoints_own_words_count() -> None:
    async def act() -> None:
        world = World({"only.example.com": 404})
        selection = Selection(world, world.clock)
        selected = await select(selection, decide("app/manifests/1", "elsewhere.io"))
        assert (selected.decision.host, selected.answer) == ("only.example.com", None)
        assert world.asked == ["TLS only.example.com"]
        world.behaviour, world.now = {"only.example.com": REFUSED}, world.now + CONFIRMED
        with pytest.raises(NoEndpointError, match=r"only\.example\.com: connection refused"):
            await select(selection, decide("app/manifests/1", "elsewhere.io"))

    run(act)


def test_one_that_fails_later_is_replaced_by_the_others_and_all_are_named_in_order() -> None:
    async def act() -> None:
        world = World({"a.example.com": 404})
        selection = Selection(world, world.clock)
        selection.memory.ttl = 60
        decision = decide("app/manifests/1")
        failed = rejection_of(decision.alternatives[0], Answer(500, "Oops", (), b""))
        assert (await selection.after(decision, failed, question)).decision.host == "quay.io"
        world.behaviour = {"a.example.com": 404, "quay.io": 404}
        with pytest.raises(NoEndpointError) as failure:
            await selection.after(decision, failed, question)
        hosts = [each.decision.host for each in failure.value.rejections]
        assert hosts == ["a.example.com", "b.example.com", "quay.io"]

    run(act)


@pytest.mark.parametrize(
    ("dead", "plain", "sent"),
    [
        ({}, set(), "https://lax.example.com/v2/app/manifests/1"),
        ({}, {"lax.example.com"}, "http://lax.example.com/v2/app/manifests/1"),
    ],
)
def test_an_insecure_endpoint_gets_http_where_it_does_not_speak_tls(
    dead: Mapping[str, FetchError], plain: set[str], sent: str
) -> None:
    async def act() -> None:
        world = World(dead, plain=plain)
        selection = Selection(world, world.clock)
        selection.memory.ttl = 60
        decision = decide("app/manifests/1", "lax.io")
        assert (await select(selection, decision)).sent.upstream == sent
        world.asked.clear()
        assert (await select(selection, decision)).sent.upstream == sent
        assert world.asked == []

    run(act)


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (NoTlsError("the TLS handshake fails"), 2),
        (RefusedError("cannot connect: connection refused"), 2),
        (NotTrustedError("its certificate is not trusted"), 1),
        (NoCertificatesError("client.key: cannot be read"), 1),
    ],
)
def test_http_is_tried_where_an_insecure_endpoint_may_speak_no_tls(error: FetchError, tries: int) -> None:
    async def act() -> None:
        world = World({"lax.example.com": error})
        with pytest.raises(type(error)):
            await Selection(world).endpoints.reach(decide("app/manifests/1", "lax.io"), question)
        assert world.asked == ["TLS lax.example.com"] * tries

    run(act)


def test_a_named_port_stays_where_http_is_spoken() -> None:
    async def act() -> None:
        world = World({}, plain={"lax.example.com"})
        (second, _) = decide("app/manifests/1", "lax.io").alternatives
        sent = await Selection(world).endpoints.reach(second, question)
        assert sent.upstream == "http://lax.example.com:5000/v2/port/app/manifests/1"

    run(act)


def test_http_is_never_tried_for_an_endpoint_that_is_not_insecure() -> None:
    async def act() -> None:
        world = World({}, plain={"a.example.com"})
        selected = await select(Selection(world), decide("app/manifests/1"))
        assert selected.decision.host == "b.example.com"
        assert world.asked == ["GET a.example.com", "GET b.example.com"]

    run(act)


def test_who_addressed_a_proxy_is_not_sent_to_the_source_registry() -> None:
    decision = table().decide("GET", "https", "b.example.com", 443, "/v2/quay.io/app/manifests/1")
    assert [each.host for each in (decision, *decision.alternatives)] == ["a.example.com", "b.example.com"]
