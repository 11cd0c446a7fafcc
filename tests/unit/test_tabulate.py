"""A table of decisions says of every request what the decision says: of the vectors, and of what is generated."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, unquote

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from oci_ns.decision import Decision, Source
from oci_ns.explain import address_of
from oci_ns.export.tabulate import tabulate
from oci_ns.export.tabulation import Kind, Tabulation
from oci_ns.reference import DEFAULT_PORTS, registry_name
from oci_ns.routes import RouteTable
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


@pytest.mark.parametrize(
    "prefix", ["p_test", "p.test:99999", "a..b", "[::1", "a b", "*.p_test", "*.a b", f"q.io@sha256:{'9f' * 32}"]
)
@pytest.mark.parametrize("more", ["", '[[registry]]\nprefix = "*"\n[[registry.mirror]]\nlocation = "g.q.io"\n'])
def test_a_prefix_that_is_no_host_is_told_to_who_names_it(prefix: str, more: str) -> None:
    text = f'[[registry]]\nprefix = "{prefix}"\nlocation = "g.q.io/a"\nnamespace-proxy = "q.io"\n{more}'
    text = text.replace("location", "[[registry.mirror]]\nlocation", 1) if prefix.startswith("*") else text
    table = table_of(text, Options())
    tabulation = tabulate(table, "https")
    assert "g.q.io" in tabulation.hosts
    for host in ("g.q.io", "x.test"):
        for target in (
            "/v2/b/manifests/1",
            f"/v2/{prefix}/b/manifests/1",
            f"/v2/b/manifests/1?ns={quote_plus(prefix)}",
        ):
            asking = generated.Asking("GET", "https", host, 443, target)
            assert_is_told(tabulation, asking, table.decide(*asking))


PORTS = """
[[registry]]
prefix = "*"
[[registry.mirror]]
location = "g.q.io/q.io"
namespace-proxy = "*"
[[registry]]
prefix = "*.example.org"
[[registry.mirror]]
location = "proxy.test"
"""


@pytest.mark.parametrize("default", ["", "docker.io"])
@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize("more", ["", '[[registry]]\nprefix = "q.io"\nlocation = "q.io"\n'])
@pytest.mark.parametrize(
    ("host", "port", "target"),
    [
        ("g.q.io", 443, "/v2/q.io:5000/a/manifests/1"),
        ("g.q.io", 443, "/v2/q.io:v1"),
        ("g.q.io", 443, "/v2/q.io/a:v1/b"),
        ("a.example.org", 443, "/v2/a/manifests/1"),
        ("a.example.org", 5000, "/v2/a/manifests/1"),
        ("a.example.org", 5000, "/v2/a/manifests/1?ns=a.example.org:5000"),
    ],
)
def test_a_port_is_told_by_the_table(host: str, port: int, target: str, method: str, default: str, more: str) -> None:
    table = table_of(PORTS + more, Options(default=default))
    asking = generated.Asking(method, "https", host, port, target)
    assert_is_told(tabulate(table, "https"), asking, table.decide(*asking))


def test_a_wildcard_knows_no_host_with_a_port() -> None:
    index = table_of(
        '[[registry]]\nprefix = "*.example.org"\n[[registry.mirror]]\nlocation = "p.test"\n', Options()
    ).index
    assert [index.knows(name) for name in ("a.example.org", "a.example.org:5000")] == [True, False]


def test_a_digest_in_a_message_is_the_requests_own() -> None:
    conf = '[[registry]]\nprefix = "q.io/a"\nlocation = "g.q.io"\n'
    table = table_of(conf, Options())
    digest = f"sha256:{'ab' * 32}"
    asking = generated.Asking("GET", "https", "q.io", 443, f"/v2/a/manifests/{digest}")
    assert table.decide(*asking).error is not None
    assert_is_told(tabulate(table, "https"), asking, table.decide(*asking))


def test_a_ping_of_a_twin_that_is_blocked_is_greeted() -> None:
    conf = "".join(f'[[registry]]\nlocation = "{name}"\nblocked = true\n' for name in ("a.test", "b.test"))
    hosts = tabulate(table_of(conf, Options()), "https").hosts
    refusals = [hosts[name].plain.root[Kind.ROOT].refusal for name in ("a.test", "b.test")]
    assert [refusal is not None and refusal.is_greeted for refusal in refusals] == [True, True]


@pytest.mark.parametrize(("first", "second"), [(True, True), (True, False), (False, True), (False, False)])
def test_what_a_path_tells_verifies_a_host_unless_it_may_be_none_that_is_verified(first: bool, second: bool) -> None:
    mirror = "[[registry.mirror]]\nlocation = '{}'\ninsecure = {}\n"
    mirrors = mirror.format("a.test", str(first).lower()) + mirror.format("b.test", str(second).lower())
    table = table_of("[[registry]]\nprefix = 'x.test/y'\nlocation = 'x.test/y'\n" + mirrors + OWN, Options())
    found = tabulate(table, "https").paths.below["quay.io"]
    assert found is not None
    (step,) = found[Kind.REST].steps
    assert (step.to, step.insecure) == (None, first and second)


OWN = """
[[registry]]
prefix = "quay.io"
location = "quay.io"
[[registry.mirror]]
location = "c.test"
insecure = true
namespace-proxy = "quay.io"
"""


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
