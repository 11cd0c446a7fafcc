"""A table of decisions says of every request what the decision says: of the vectors, and of what is generated."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from oci_ns.decision import Decision, Source
from oci_ns.explain import address_of
from oci_ns.reference import DEFAULT_PORTS, registry_name
from oci_ns.routes import RouteTable
from oci_ns.tabulate import tabulate
from oci_ns.tabulation import Tabulation
from tests.unit import generated
from tests.unit.generated import Case
from tests.unit.plain_rules import Options
from tests.unit.tabulated import Asked, looked_up, outcome_of
from tests.unit.test_decision_properties import options_of, table_of
from tests.unit.test_routes import CONFIGS
from tests.unit.test_routes import ROWS as ROUTE_ROWS

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "requests.json").read_text())
ROWS = [
    *((VECTORS["configs"][row["config"]], row["options"], row["method"], row["url"]) for row in VECTORS["cases"]),
    *((CONFIGS[config], options, method, url) for config, options, method, url, *_ in ROUTE_ROWS),
]


def tables_of(table: RouteTable) -> Callable[[str], Tabulation]:
    """By scheme, each made when it is asked for."""
    return functools.cache(functools.partial(tabulate, table))


def is_of_the_table(asking: generated.Asking) -> bool:
    """Not so: the default port of the other scheme, or spelt in a path; and what another look-up tells."""
    other = {443: "https", 80: "http"}.get(asking.port, asking.scheme)
    is_spelt = re.match(r"/v2/[^/]*:(?:80|443)/", unquote(asking.target)) is not None
    return asking.scheme == other and asking.scheme in DEFAULT_PORTS and not is_spelt and "from=" not in asking.target


def assert_is_told(table: Tabulation, asking: generated.Asking, decision: Decision) -> None:
    found = looked_up(table, Asked(asking.method, asking.host, asking.port, asking.target))
    if found is None:
        name = registry_name(asking.scheme, asking.host, asking.port)
        assert decision.operation is None or name not in table.hosts
        assert decision.source in (None, Source.QUERY)
    else:
        assert found.is_like(outcome_of(decision)), (asking, found, outcome_of(decision))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[2]} {row[3]}")
def test_every_row_is_told_by_the_table(row: tuple[Any, ...]) -> None:
    text, options, method, url = row
    table, address = table_of(text, options_of(options)), address_of(url)
    asking = generated.Asking(method, address.scheme, address.host, address.port, address.target)
    if is_of_the_table(asking):
        assert_is_told(tabulate(table, asking.scheme), asking, table.decide(*asking))


@settings(max_examples=50)
@given(generated.cases(), st.sampled_from(["nobody.example.net", "nobody.example.net", "q.io", "x.q.io"]))
def test_a_host_that_is_addressed_as_well_is_told_by_the_table(case: Case, host: str) -> None:
    table = table_of(case.text, case.options)
    tables = functools.cache(functools.partial(tabulate, table, addressed=host))
    for asking in case.askings:
        there = asking._replace(host=host, port=DEFAULT_PORTS[asking.scheme])
        if is_of_the_table(there):
            assert host in tables(there.scheme).hosts
            assert_is_told(tables(there.scheme), there, table.decide(*there))


@settings(max_examples=150)
@given(generated.cases())
def test_what_is_generated_is_told_by_the_table(case: Case) -> None:
    table = table_of(case.text, case.options)
    tables = tables_of(table)
    for asking in filter(is_of_the_table, case.askings):
        assert_is_told(tables(asking.scheme), asking, table.decide(*asking))


OTHER_NAMES = """
[[registry]]
prefix = "*.q.io"
[[registry.mirror]]
location = "q.io"
[[registry.mirror]]
location = "q.io"
namespace-proxy = "a b&c"
"""


@pytest.mark.parametrize("namespace", ["a+b%26c", "*.q.io", "*", "g.q.io", "none", "none/at/all"])
def test_a_namespace_that_is_no_host_is_told_by_itself(namespace: str) -> None:
    table = table_of(OTHER_NAMES, Options(client_namespace="reject"))
    asking = generated.Asking("GET", "https", "q.io", 443, f"/v2/a/manifests/1?ns={namespace}")
    assert_is_told(tabulate(table, "https"), asking, table.decide(*asking))


def test_every_source_occurs_in_what_is_told() -> None:
    seen: set[Source | None] = set()

    @settings(max_examples=120, derandomize=True, database=None, phases=[Phase.generate])
    @given(generated.cases())
    def count(case: Case) -> None:
        table = table_of(case.text, case.options)
        tables = tables_of(table)
        for asking in filter(is_of_the_table, case.askings):
            if looked_up(tables(asking.scheme), Asked(asking.method, asking.host, asking.port, asking.target)):
                seen.add(table.decide(*asking).source)

    count()
    assert seen >= {*Source, None}
