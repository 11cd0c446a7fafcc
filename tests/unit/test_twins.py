"""Entries that are configured alike: which are, and that a table says the same whether it is known or not."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oci_ns.export import tabulate as tabulation
from oci_ns.export.tabulate import tabulate
from oci_ns.export.twins import twins_of
from tests.unit import generated
from tests.unit.generated import Case
from tests.unit.plain_rules import Options
from tests.unit.test_decision_properties import table_of
from tests.unit.test_routes import registry
from tests.unit.test_tabulate import assert_is_told, is_of_the_table, tables_of

TWINS = ["t1.io", "t2.io", "t3.q.io", "t4.test", "t5.example.net", "t.io"]


def names_of_twins(text: str, patterns: list[str], *apart: str) -> dict[str, str]:
    """By each name of an entry that is alike an earlier one, the name that stands there."""
    routes = list(table_of(text, Options()).index.routes())
    return {name: swap.text(name) for name, swap in twins_of(routes, patterns, apart).items()}


def three(*mirrors: str, more: str = "", location: str | None = "") -> str:
    """Three entries; `{}` stands for their name."""
    names = ("a.test", "b.test", "c.test")
    return "".join(
        registry(
            name, *(mirror.replace("{}", name) for mirror in mirrors), more=more.replace("{}", name), location=location
        )
        for name in names
    )


ALIKE = {"b.test": "a.test", "c.test": "a.test"}
PLACES = {"b.test": "a.test", "p2.test": "p1.test", "u2": "u1"}


@pytest.mark.parametrize(
    ("text", "alike"),
    [
        (three("p.test {}"), ALIKE),
        (three("p.test/x {}", "m.test", "n.test/y other.test"), ALIKE),
        (three("p.test {} plain-http=true"), ALIKE),
        (three("p.test *"), ALIKE),
        (three(more='namespace-proxy = "{}"'), ALIKE),
        (three(more="blocked = true"), ALIKE),
        (three("p.test {}") + registry("x.test", "p.test x.test plain-http=true"), ALIKE),
        (three("p.test {}") + registry("x.test", "p.test x.test"), {**ALIKE, "x.test": "a.test"}),
        (three("p.test {}") + registry("xa.test", "p.test/xa.test/a.test.x xa.test"), ALIKE),
        (three("p.test {}").replace("a.test", "a.test:5000"), {"c.test": "b.test"}),
        # By all the names that are an entry's own, wherever they stand.
        (three("{}:5000 {}"), ALIKE),
        (three("p.test/{} {}"), ALIKE),
        (three("p.test {}", location="q.test"), ALIKE),
        (registry("a.test/x", "p1.test/m/u1 *") + registry("b.test/x", "p2.test/m/u2 *"), PLACES),
        (registry("a.test/x", "p1.test/m/u1 *") + registry("b.test/y", "p2.test/m/u2 *"), PLACES | {"y": "x"}),
        (registry("q.test/x1", "p.test/x1 *") + registry("q.test/x2", "p.test/x2 *"), {"x2": "x1"}),
        (registry("q.test/x1", "p.test/x1 *") + registry("q.test/x2", "p.test/y2 *"), {}),
        (registry("q.test/x1", "p.test/y1 *") + registry("q.test/x2", "p.test/y2 *"), {"x2": "x1", "y2": "y1"}),
        (registry("q.test/x1", "p.test/a *") + registry("q.test/x2", "p.test/b.c *"), {}),
        (registry("q.test/x1", "p1.test:1 *") + registry("q.test/x2", "p2.test:2 *"), {}),
        (registry("a.test", "p.test/1 *") + registry("b.test", "p.test/2 *"), {}),
        # Where a name is not only its entry's own.
        (three("a.test:5000 {}"), {"c.test": "b.test"}),
        (three("p.test {}") + registry("x.test", "a.test x.test"), {"c.test": "b.test"}),
        (three("p.test {}") + registry("x.test", "p.test a.test"), {"c.test": "b.test"}),
        (three("p.test {}") + registry("x.test", "p.test/b.test x.test"), {"c.test": "a.test"}),
        (three("p.test {}") + registry("x.test/b.test", "p.test/x x.test"), {"c.test": "a.test"}),
        (three("p.test {}") + registry("a.test/part", "p.test/x a.test"), {"c.test": "b.test"}),
        (three("p.test {}") + registry("x.test", location="c.test/x"), {"b.test": "a.test"}),
        # What is not read so simply.
        (three("not!a!host {}"), {}),
        (three("p.test {}").replace("a.test", "docker.io"), {"c.test": "b.test"}),
        (three("p.test {}").replace("a.test", "single"), {"c.test": "b.test"}),
    ],
)
def test_registries_are_alike(text: str, alike: dict[str, str]) -> None:
    assert names_of_twins(text, []) == alike


def test_what_is_mentioned_elsewhere_is_alike_nothing() -> None:
    assert names_of_twins(three("p.test {}"), [], "b.test") == {"c.test": "a.test"}


@pytest.mark.parametrize(
    ("first", "second", "patterns", "alike"),
    [
        ("a.io", "b.io", ["*.io"], True),
        ("a.io", "b.io", ["*"], True),
        ("aa.io", "b.io", ["*.io"], False),
        ("aa.io", "bbb.io", ["*.io"], True),
        ("aa.io", "bb.net", ["*.io"], False),
        ("aa.x.io", "bb.io", ["*.io", "*.x.io"], False),
        ("aa.x.io", "bb.x.io", ["*.io", "*.x.io"], True),
        ("a.io.x.io", "bbbbbb.io", ["*.io"], False),
    ],
)
def test_registries_are_alike_that_wildcards_cover_alike(
    first: str, second: str, patterns: list[str], alike: bool
) -> None:
    text = registry(first, f"p.test {first}") + registry(second, f"p.test {second}")
    assert bool(names_of_twins(text, patterns)) is alike


# -- what a table says -------------------------------------------------------------------------------------------------


def with_twins(document: dict[str, Any]) -> dict[str, Any]:
    """A document with the same registries once more, under other names, and these among the rest."""
    more = []
    for number, table in enumerate(document["registry"]):
        own = table["prefix"]
        if "*" in own or "/" in own:
            continue
        for twin in TWINS[number % 2 :: 2]:
            tables = [table, *table.get("mirror", ())]
            renamed = [{key: twin if value == own else value for key, value in each.items()} for each in tables]
            more.append(renamed[0] | ({"mirror": renamed[1:]} if renamed[1:] else {}))
    tables = [*more[::2], *document["registry"], *more[1::2]]
    return {"registry": list({each["prefix"]: each for each in tables}.values())}


def with_others_alike(document: dict[str, Any]) -> dict[str, Any]:
    """A document with the same registries once more, every name in each of them being another."""
    more = []
    for number, table in enumerate(document["registry"]):
        tables = [table, *table.get("mirror", ())]
        if any("[" in each.get(key, "") or each.get(key, "").startswith("*.") for each in tables for key in _NAMES):
            continue
        for tag in (f"1x{number}", f"2x{number}"):
            renamed = [
                {key: _renamed(value, tag) if key in _NAMES else value for key, value in each.items()}
                for each in tables
            ]
            more.append(renamed[0] | ({"mirror": renamed[1:]} if renamed[1:] else {}))
    tables = [*more[::2], *document["registry"], *more[1::2]]
    return {"registry": list({each["prefix"]: each for each in tables}.values())}


_NAMES = ("prefix", "location", "namespace-proxy")


def _renamed(text: str, tag: str) -> str:
    if text in ("*", ""):
        return text
    host, *path = text.split("/")
    return "/".join([f"n{tag}.{host}", *(re.sub("^[^:@]*", rf"\g<0>{tag}", component) for component in path)])


@st.composite
def cases_with_twins(draw: st.DrawFn) -> Case:
    document = draw(st.sampled_from([with_twins, with_others_alike]))(draw(generated.documents))
    asked = []
    for asking in draw(st.lists(generated.askings_of(document), min_size=4, max_size=10)):
        twin, host = draw(st.sampled_from(TWINS)), draw(st.sampled_from([asking.host, asking.host, *TWINS]))
        target = asking.target.replace("q.io", twin) if draw(st.booleans()) else asking.target
        host = draw(st.sampled_from([host, f"n1x0.{host}", f"n2x1.{host}"]))
        asked.append(asking._replace(host=host, target=target))
    return Case(generated.plain_text(document), draw(generated.policies), asked)


@settings(max_examples=100)
@given(cases_with_twins())
def test_registries_that_are_alike_are_told_by_the_table(case: Case) -> None:
    table = table_of(case.text, case.options)
    tables = tables_of(table)
    for asking in filter(is_of_the_table, case.askings):
        assert_is_told(tables(asking.scheme), asking, table.decide(*asking))


@settings(max_examples=50)
@given(cases_with_twins(), st.sampled_from(["http", "https"]))
def test_a_table_is_the_same_whether_twins_are_looked_for_or_not(case: Case, scheme: str) -> None:
    table = table_of(case.text, case.options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tabulation, "twins_of", lambda *_: {})
        asked_for_each = tabulate(table, scheme)
    # Where several entries have one location, a line may say that it is from any of them: that is no difference.
    assert tabulate(table, scheme) == asked_for_each
