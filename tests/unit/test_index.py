"""What an index of registries answers about hosts and entries, and what it is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from oci_ns.alternatives import Alternatives
from oci_ns.conf_files import parse_text
from oci_ns.decision import Decision
from oci_ns.explain import decide_url
from oci_ns.index import RouteIndex
from oci_ns.reference import parse_image
from oci_ns.registries_conf import Endpoint, Registry
from oci_ns.registry_rows import Rows
from oci_ns.routes import RouteTable
from tests.unit.test_routes import registry


def index_of(text: str) -> RouteIndex:
    return RouteIndex(parse_text(Path("r.conf"), text.encode()).registries.values())


INDEX = index_of(
    registry("a.com", "p.com a.com", more="insecure = true")
    + registry("b.com", "p.com b.com", location="a.com/b")
    + registry("p.com/x", "q.com")
    + registry("*.w.com", "r.com", location=None)
    + registry("*.W.com", "s.com", location=None)
    + registry("C.com", "p.com/c")
    + registry("c.com", "p.com/d")
)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (lambda i: [host for host in ("a.com", "p.com", "x.w.com", "x.w.com:81", "w.com", "c.com") if i.knows(host)],
            ["a.com", "p.com", "x.w.com", "c.com"]),
        (lambda i: [host for host in ("a.com", "p.com", "r.com", "q.com") if i.is_source(host)], ["a.com", "p.com"]),
        (lambda i: [host for host in ("a.com", "p.com", "b.com", "q.com") if i.is_endpoint(host)],
            ["a.com", "p.com", "q.com"]),
        (lambda i: sorted(i.endpoints_at_sources()), ["a.com", "p.com"]),
        (lambda i: i.disputed_addresses(), ["a.com"]),
        (lambda i: [(name, list(places)) for name, places in i.ambiguous_locations()], [("p.com", ["a.com", "b.com"])]),
        (lambda i: [route.registry.prefix for route in i.routes_to(lambda host: host == "a.com")], ["a.com", "b.com"]),
        (lambda i: [route.registry.prefix for route in i.routes_to(lambda host: host == "q.com")], ["p.com/x"]),
        (lambda i: [other and other.prefix for other in map(i.used_instead, i.routes())],
            [None, None, None, "*.W.com", None, "c.com", None]),
    ],
)  # fmt: skip
def test_an_index_answers(answer: Callable[[RouteIndex], object], expected: object) -> None:
    assert answer(INDEX) == expected


@pytest.mark.parametrize(
    ("host", "prefix"),
    [
        ("x.a.com", "*.a.com"),
        ("xy.a.com", "xy.a.com"),
        ("z.a.com", "*.a.com"),
        ("z.a.com:5000", "*.a.com"),
        ("y.z.a.com", "*.a.com"),
        # As in the reference: only where the suffix is met first.
        ("z.a.com.a.com", None),
        ("z" * (255 - len(".a.com")) + ".a.com", "*.a.com"),
        ("z" * (256 - len(".a.com")) + ".a.com", None),
    ],
)
def test_of_a_wildcard_and_a_host_the_longer_one_counts_as_they_are_written(host: str, prefix: str | None) -> None:
    index = index_of(registry("x.a.com") + registry("xy.a.com") + registry("*.a.com", location=None))
    found = index.find_image(parse_image(f"{host}/i"))
    assert (found and found[0].prefix) == prefix


def test_a_prefix_ends_before_a_tag_also_where_the_host_has_a_port() -> None:
    found = index_of(registry("h.com:5000/a") + registry("h.com:5000")).find_image(parse_image("h.com:5000/a:1"))
    assert found is not None
    assert found[0].prefix == "h.com:5000/a"


def test_an_address_where_endpoints_disagree_is_named_with_its_port() -> None:
    one = registry("a.com", location="p.com:5000", more="insecure = true")
    assert index_of(one + registry("b.com", location="p.com:5000/b")).disputed_addresses() == ["p.com:5000"]


def test_only_the_index_that_a_registry_is_of_knows_its_route() -> None:
    with pytest.raises(ValueError, match=r"^the endpoint a\.com is not of an index$"):
        RouteIndex().route_of(Registry("a.com", Endpoint("a.com")))


def test_rows_that_were_cut_are_as_if_they_had_never_been_there() -> None:
    first, second = (
        Registry(name, Endpoint(name), (Endpoint("m.com"), Endpoint("n.com"))) for name in ("a.com", "b.com")
    )
    for kept in ([], [first], [first, second]):
        rows = Rows()
        for each in (*kept, first, second):
            rows.add(each)
        rows.cut(len(kept))
        rows.add(second)
        assert [rows.registry(number) for number in range(len(rows))] == [*kept, second]
        assert rows.registry(len(kept)).primary.number == 3 * len(kept) + 2


def test_registries_are_a_sequence_that_equals_any_of_the_same() -> None:
    registries = INDEX.registries
    assert registries == tuple(registries) == registries[:]
    assert registries[:1] != registries
    assert registries[1:2] != registries[:1]
    assert registries != list(registries)
    assert (len(registries), registries[2].prefix, repr(registries)) == (7, "p.com/x", "<7 registries>")


def test_alternatives_are_a_sequence_of_decisions_that_are_made_once() -> None:
    decision = decide_url(RouteTable(), "GET", "https://a.com/v2/")
    made: list[int] = []

    def make(port: int) -> Decision:
        made.append(port)
        return replace(decision, port=port)

    found = Alternatives(make, (1, 2, 3))
    decisions = tuple(replace(decision, port=port) for port in (1, 2, 3))
    assert (len(found), made) == (3, [])
    assert (tuple(found), found[0], found[1:], found[-1]) == (decisions, decisions[0], decisions[1:], decisions[2])
    assert made == [1, 2, 3]
    assert found == decisions
    assert found == Alternatives(make, (1, 2, 3))
    assert found not in ((), decisions[:2], decisions[::-1], decision)
    assert (hash(found), repr(found)) == (hash(decisions), repr(decisions))
