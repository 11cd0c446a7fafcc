"""The decision of generated requests: it is that of the plain rules, one `ns` leaves, and nothing raises."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from rich.console import Console

from oci_ns.conf_files import parse_text
from oci_ns.decision import Action, Decision, Source
from oci_ns.distribution import namespaces_in, parse
from oci_ns.explain import address_of, image_lines, url_lines, url_object
from oci_ns.explain_text import show
from oci_ns.index import RouteIndex
from oci_ns.options import policy_of
from oci_ns.reference import parse_image, registry_name
from oci_ns.registries_conf import Registry
from oci_ns.routes import RouteTable
from oci_ns.trace import trace, trace_image, trace_lines
from tests.unit import generated, plain_rules
from tests.unit.generated import Asking, Case
from tests.unit.plain_rules import Entry, Options, Outcome, Place
from tests.unit.settings import settings as addon_settings
from tests.unit.test_routes import CONFIGS
from tests.unit.test_routes import ROWS as ROUTE_ROWS
from tests.unit.test_target_properties import other_parameters

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "requests.json").read_text())


def table_of(text: str, options: Options) -> RouteTable:
    """The table as the product loads it: in the order of the prefixes."""
    found = parse_text(Path("r.conf"), text.encode()).registries
    return RouteTable(
        RouteIndex(found[prefix] for prefix in sorted(found)),
        policy_of(
            addon_settings(
                ns_default=options.default,
                ns_client_namespace=options.client_namespace,
                ns_unresolved=options.unresolved,
            )
        ),
    )


def told(decision: Decision) -> Outcome:
    """A decision in the words of the plain rules."""
    return Outcome(
        decision.action.value,
        decision.error.status if decision.error is not None else None,
        decision.namespace,
        decision.source.value if decision.source is not None else None,
        decision.upstream,
        decision.keeps_credentials,
        tuple(told(each) for each in decision.alternatives),
    )


def decided(case: Case) -> Iterator[tuple[Asking, Decision]]:
    table = table_of(case.text, case.options)
    return ((asking, table.decide(*asking)) for asking in case.askings)


# -- the plain rules -------------------------------------------------------------------------------------------------


def options_of(values: dict[str, str]) -> Options:
    return Options(**{key.removeprefix("ns_"): value for key, value in values.items()})


def plainly(text: str, options: dict[str, str], method: str, url: str) -> dict[str, Any]:
    """What the plain rules say of a URL, as the vectors have it."""
    address = address_of(url)
    entries = plain_rules.read(text)
    found = plain_rules.decide(
        entries, options_of(options), method, address.scheme, address.host, address.port, address.target
    )
    names = ("action", "namespace", "source", "upstream")
    return {"url": url, "method": method, **{name: getattr(found, name) for name in names}}


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: str(case["name"]))
def test_the_plain_rules_satisfy_every_vector(case: dict[str, Any]) -> None:
    expected = {key: case[key] for key in ("url", "method", "action", "namespace", "source", "upstream")}
    assert plainly(VECTORS["configs"][case["config"]], case["options"], case["method"], case["url"]) == expected


# What becomes of the repository that an upload mounts from is not told by the plain rules.
PLAIN_ROWS = [row for row in ROUTE_ROWS if "from=" not in row[3]]


@pytest.mark.parametrize("row", PLAIN_ROWS, ids=lambda row: f"{row[0]}: {row[2]} {row[3]}")
def test_the_plain_rules_satisfy_every_further_row(row: tuple[Any, ...]) -> None:
    config, options, method, url, action, namespace, source, upstream = row
    expected = {"url": url, "method": method, "action": action, "namespace": namespace}
    # A catch-all and a broken location included.
    assert plainly(CONFIGS[config], options, method, url) == {**expected, "source": source, "upstream": upstream}


@settings(max_examples=300)
@given(generated.cases())
def test_a_decision_is_that_of_the_plain_rules(case: Case) -> None:
    entries = plain_rules.read(case.text)
    for asking, decision in decided(case):
        assert (asking, told(decision)) == (asking, plain_rules.decide(entries, case.options, *asking))


def test_every_source_with_every_action_occurs_in_what_is_generated() -> None:
    seen: dict[tuple[Source | None, Action], int] = {}

    @settings(max_examples=300, derandomize=True, database=None, phases=[Phase.generate])
    @given(generated.cases())
    def count(case: Case) -> None:
        for _, decision in decided(case):
            pair = (decision.source, decision.action)
            seen[pair] = seen.get(pair, 0) + 1

    count()
    assert {source for source, _ in seen} == {*Source, None}
    assert {action for _, action in seen} == {*Action}
    # These take several things that are rare by themselves.
    rare = {(Source.LOCATION, Action.PASS), (Source.DEFAULT, Action.PASS)}
    rare |= {(Source.PATH, Action.BLOCK), (Source.DEFAULT, Action.BLOCK)}
    assert {(source, action) for source in (*Source, None) for action in Action} - rare <= seen.keys()


# -- one `ns` leaves, never two --------------------------------------------------------------------------------------


def leaving(decision: Decision) -> list[str]:
    return namespaces_in(decision.target.partition("?")[2])


@settings(max_examples=100)
@given(generated.cases())
def test_exactly_one_ns_leaves_where_one_is_due_and_none_where_none_is(case: Case) -> None:
    for asking, decision in decided(case):
        for each in (decision, *decision.alternatives):
            if each.operation is None:
                assert each.target == asking.target
            elif each.action is Action.BLOCK:
                continue
            elif each.namespace is not None:
                assert leaving(each) == [each.namespace]
            elif each.pull or each.rerouted or each.source in (Source.QUERY, Source.LOCATION):
                assert leaving(each) == []
            elif each.source is not None:
                # The addressed registry's own business: an empty one says nothing.
                assert leaving(each) in ([], [""])
            else:
                # Nobody's that the table knows, so that nothing of it is touched but for several that say something.
                assert each.target == asking.target or leaving(each) in ([], [""])


@settings(max_examples=100)
@given(generated.cases())
def test_a_request_leaves_with_every_byte_that_is_neither_ns_nor_the_beginning_of_its_repository(case: Case) -> None:
    for asking, decision in decided(case):
        sent = parse(asking.target)
        for each in (decision, *decision.alternatives):
            if sent is None or each.action is Action.BLOCK:
                assert each.target == asking.target
                continue
            path, _, query = each.target.partition("?")
            before, after = other_parameters(sent.query), other_parameters(query)
            assert after == before or (after, "".join(before)) == ([], "")
            assert path.startswith(sent.base)
            endpoint = each.endpoint
            if endpoint is None or not plain_rules.in_three(endpoint.location)[2]:
                assert path.endswith(sent.tail)


# -- once more -------------------------------------------------------------------------------------------------------


def stands_for(entries: list[Entry], location: list[tuple[Entry, Place]], namespace: str) -> bool:
    """Whether every endpoint at a location sends that namespace, and one of them serves the registry of that name."""
    source = plain_rules.registry_written(namespace)
    said = {entry.namespace_at(place) for entry, place in location}
    wild = [entry for entry, _ in location if entry.any_host]
    return said <= {namespace, "*"} and (
        namespace in said
        or any(entry.registry == source for entry, _ in location)
        or any(plain_rules.stands_for(entries, entry, source) for entry in wild)
    )


@settings(max_examples=150)
@given(generated.cases())
def test_what_was_sent_below_a_location_that_stands_for_one_namespace_is_sent_unchanged_once_more(case: Case) -> None:
    """A request with `ns`, decided again as addressed to its endpoint, is already in that endpoint's form.

    A repository that already lies under an endpoint's location is not moved again. That holds where the location has a
    path, or where no entry claims the namespace as a source registry, with endpoints in an order of its own; where all
    endpoints at this location send this namespace, and one serves that registry; and where the client's `ns` counts
    (not under `override`, unless a location had resolved the request). It holds for alternatives, too.
    """
    table, entries = table_of(case.text, case.options), plain_rules.read(case.text)
    for asking, first in decided(case):
        for each in (first, *first.alternatives):
            sent = plain_rules.rule_1_asked(asking.method, each.scheme, each.host, each.port, each.target)
            if each.namespace is None or each.action is Action.BLOCK or sent is None:
                continue
            overridden = case.options.client_namespace == "override" and each.source is not Source.LOCATION
            locations = plain_rules.around(entries, sent)
            if overridden or not locations or not stands_for(entries, locations[0], each.namespace):
                continue
            source = plain_rules.registry_written(each.namespace)
            if not locations[0][0][1].path and plain_rules.claimed(entries, source, sent.repository, sent.reference):
                continue
            again = table.decide(asking.method, each.scheme, each.host, each.port, each.target)
            assert (again.action, again.upstream, again.namespace) == (Action.PASS, each.upstream, each.namespace)


@settings(max_examples=60)
@given(generated.cases())
def test_what_passes_passes_once_more_as_does_what_nothing_resolves(case: Case) -> None:
    """What went on untouched to where it was addressed is the same request; so is one without the `ns` it lost."""
    table = table_of(case.text, case.options)
    for asking, first in decided(case):
        if first.action is Action.PASS or (first.action is Action.REWRITE and first.source is None):
            again = table.decide(asking.method, first.scheme, first.host, first.port, first.target)
            assert (again.action, again.upstream) == (Action.PASS, first.upstream)


# -- nothing raises --------------------------------------------------------------------------------------------------

LONG = 100_000
any_text = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=40),
    st.binary(max_size=40).map(lambda found: found.decode("utf-8", "surrogateescape")),
    st.sampled_from(
        ["", "\0", "\udcff", "\ud800", "é.io", "*", "*.q.io", "q.io\n", "[", "[]", "[::1", "a:b:c", ".", "..."]
    ),
)
any_hosts = st.one_of(any_text, st.sampled_from(generated.HOSTS), any_text.map("q.io{}".format))
any_targets = st.one_of(
    any_text,
    generated.targets,
    any_text.map("/v2/{}".format),
    st.builds("/v2/{}{}?ns={}".format, any_text, st.sampled_from(generated.ENDS), any_text),
    st.builds("/v2/a%2F{}%2Fmanifests%2F{}?{}&n%73=".format, any_text, any_text, any_text),
)
any_askings = st.builds(
    Asking,
    st.one_of(generated.methods, any_text),
    st.one_of(st.sampled_from(["http", "https"]), any_text),
    any_hosts,
    st.one_of(st.sampled_from([0, 80, 443, 5000, 65535]), st.integers(0, 65535)),
    any_targets,
)


def ask_everything(table: RouteTable, asking: Asking) -> None:
    """All that answers about a request; a URL or image that is none is refused as such."""
    decision = table.decide(*asking)
    for each in (decision, *decision.alternatives):
        assert each.action is Action.BLOCK or each.upstream is not None
    traced = trace(table, *asking)
    assert traced.decision == decision
    trace_lines(traced)
    show(Console(file=io.StringIO()), [asking.target], traced)
    assert table.addressed_host("https", asking.host, "q.io", 443)
    registry_name(asking.scheme, asking.host, None)
    for text in (
        asking.target,
        f"{asking.host}/{asking.target}",
        f"https://{asking.host}:{asking.port}{asking.target}",
    ):
        with contextlib.suppress(ValueError):
            url_lines(table, asking.method, text)
            url_object(table, asking.method, text)
        with contextlib.suppress(ValueError):
            image_lines(table.index, text)
            trace_image(table.index, parse_image(text))


@settings(max_examples=150)
@given(st.one_of(generated.texts, st.sampled_from(sorted(CONFIGS.values()))), generated.policies, any_askings)
def test_no_request_of_any_bytes_makes_a_decision_or_its_explanation_raise(
    text: str, options: Options, asking: Asking
) -> None:
    ask_everything(table_of(text, options), asking)


@settings(max_examples=60)
@given(st.lists(generated.odd_registries, max_size=3), any_askings)
def test_nor_does_any_text_in_the_table(registries: list[Registry], asking: Asking) -> None:
    ask_everything(RouteTable(RouteIndex(registries)), asking)


WILD = CONFIGS["wildcard self"] + CONFIGS["catch-all"] + CONFIGS["coreos"]


@pytest.mark.parametrize(
    "unit", ["a", "a/", "a.", "%61", "%2f", "&ns=", "n%73=x&", "a:", "\udcff", "[", "-", "@"], ids=ascii
)
@pytest.mark.parametrize("place", ["method", "scheme", "host", "target"])
def test_nor_does_what_is_very_long(place: str, unit: str) -> None:
    long = unit * (LONG // len(unit))
    table = table_of(WILD, Options())
    for target in (f"/v2/{long}/manifests/1", f"/v2/a/manifests/1?ns={long}", f"/v2/{long}?{long}", long):
        parts: dict[str, Any] = {"target": "/v2/a/manifests/1", place: target if place == "target" else long}
        asking = Asking("GET", "https", "proxy.example.com", 443, "")._replace(**parts)
        assert table.decide(*asking).action in Action
