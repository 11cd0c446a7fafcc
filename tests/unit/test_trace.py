"""The decision trace: it agrees with the decision for every request, and says what came close and why it did not."""

# The rows below are a table: one line each reads better than wrapped ones.
# ruff: noqa: E501

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from oci_ns.cli.main import main
from oci_ns.conf_files import parse_text
from oci_ns.decision import Action, Source
from oci_ns.explain import decide_url, image_object, trace_url
from oci_ns.explain_text import show
from oci_ns.index import RouteIndex
from oci_ns.options import policy_of
from oci_ns.reference import parse_image
from oci_ns.routes import RouteTable
from oci_ns.trace import trace_image, trace_lines
from oci_ns.trace_steps import Outcome, Trace
from tests.unit.settings import settings as addon_settings
from tests.unit.test_routes import CONFIGS, registry
from tests.unit.test_routes import ROWS as ROUTE_ROWS

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "requests.json").read_text())
IMAGES = json.loads((Path(__file__).parents[1] / "vectors" / "registries_conf.json").read_text())
SOURCES = [source.value for source in Source]
SHA = "sha256:" + "9f" * 32


def table_of(text: str, **options: Any) -> RouteTable:
    document = parse_text(Path("r.conf"), text.encode())
    return RouteTable(RouteIndex(document.registries.values()), policy_of(addon_settings(**options)))


def assert_agrees(table: RouteTable, method: str, url: str) -> None:
    """The trace says what was decided, about the source registry and about the endpoint."""
    decision, trace = decide_url(table, method, url), trace_url(table, method, url)
    assert trace.decision == decision
    assert [step.rule for step in trace.rules] == ["request", *SOURCES, "unresolved"]
    answered = [step.rule for step in trace.rules[1:] if step.outcome is Outcome.ANSWERED]
    if decision.operation is None:
        assert answered == []
    else:
        assert answered == [decision.source.value if decision.source is not None else "unresolved"]
    assert_endpoints_agree(trace)
    for step in trace.steps:
        assert step.why or step.outcome is Outcome.NOT_REACHED
    assert trace_lines(trace)


def assert_endpoints_agree(trace: Trace) -> None:
    decision = trace.decision
    assert decision is not None
    chosen = [step for step in trace.endpoints if step.outcome is Outcome.ANSWERED]
    later = [step.endpoint for step in trace.endpoints if step.outcome is Outcome.NOT_REACHED]
    assert len(chosen) <= 1
    if decision.action is Action.BLOCK:
        assert all(step.endpoint is None for step in chosen)
    elif decision.endpoint is not None:
        assert [step.endpoint for step in chosen] == [decision.endpoint]
    else:
        assert all(step.endpoint is None for step in chosen)
    assert later == [one.endpoint for one in decision.alternatives]


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: str(case["name"]))
def test_the_trace_agrees_with_the_decision_of_every_vector(case: dict[str, Any]) -> None:
    assert_agrees(table_of(VECTORS["configs"][case["config"]], **case["options"]), case["method"], case["url"])


@pytest.mark.parametrize("row", ROUTE_ROWS, ids=lambda row: f"{row[0]} {row[2]} {row[3]}")
def test_the_trace_agrees_with_the_decision_of_every_further_row(row: tuple[Any, ...]) -> None:
    assert_agrees(table_of(CONFIGS[row[0]], **row[1]), row[2], row[3])


_HOSTS = st.sampled_from(["a.com", "b.a.com", "a.com:5000", "p.com", "p.com:80", "docker.io", "index.docker.io"])
_PATHS = st.sampled_from(["", "/a", "/a/b", "/ab", "/a.com", "/a.com/a"])
_PLACES = st.builds(lambda host, path: host + path, _HOSTS, _PATHS)
_NAMESPACES = st.sampled_from(["", " a.com", " b.a.com", " *", " docker.io"])
_PULLS = st.sampled_from(["", ' pull-from-mirror="digest-only"', ' pull-from-mirror="tag-only"'])
_MIRRORS = st.lists(st.builds(lambda *parts: "".join(parts), _PLACES, _NAMESPACES, _PULLS), max_size=3)
_ENTRIES = st.builds(
    lambda prefix, mirrors, location, blocked: (prefix, mirrors, location, blocked),
    st.one_of(_PLACES, st.sampled_from(["*.a.com", "*.com", "*"])),
    _MIRRORS,
    st.one_of(st.none(), _PLACES),
    st.booleans(),
)
_TARGETS = st.sampled_from(["/v2/", "/v2/_catalog", "/v2/a/tags/list", "/v2/a/b/manifests/1", f"/v2/a/b/blobs/{SHA}"]
    + ["/v2/ab/manifests/1", "/v2/a.com/a/b/manifests/1", f"/v2/a/manifests/{SHA}", "/v2/a/b/blobs/uploads/"]
    + ["/v2/a/x", "/x"])  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.lists(_ENTRIES, max_size=4, unique_by=lambda entry: entry[0]),
    st.sampled_from(["GET", "PUT"]),
    _HOSTS,
    _TARGETS,
    st.sampled_from(["", "?ns=a.com", "?ns=docker.io"]),
    st.sampled_from(["", "a.com", "docker.io"]),
    st.sampled_from(["keep", "override", "reject"]),
)
def test_the_trace_agrees_with_the_decision_of_any_table(
    entries: list[Any], method: str, host: str, target: str, query: str, default: str, client: str
) -> None:
    seen: dict[str, bool] = {}
    text = ""
    for prefix, mirrors, place, blocked in entries:
        location = None if prefix.startswith("*") else place or prefix
        # Podman refuses one location that is blocked here and not there.
        is_blocked = seen.setdefault(location or prefix, blocked)
        text += registry(prefix, *mirrors, location=location, more="blocked = true" if is_blocked else "")
    table = table_of(text, ns_default=default, ns_client_namespace=client)
    assert_agrees(table, method, f"https://{host}{target}{query}")


@pytest.mark.parametrize("case", [c for c in IMAGES["cases"] if not c["load_error"] and not c["files"].get("d")],
                         ids=lambda case: str(case["name"]))  # fmt: skip
def test_the_trace_of_an_image_has_its_sources_in_order(case: dict[str, Any]) -> None:
    index = table_of(case["files"]["main"]).index
    for image in case["images"]:
        trace = trace_image(index, parse_image(image["ref"]))
        expected = [source["location"] for source in image_object(index, image["ref"]).get("sources", [])]
        tried = [step for step in trace.endpoints if step.outcome is not Outcome.DID_NOT_ANSWER and step.endpoint]
        assert [step.endpoint.location for step in tried if step.endpoint is not None] == expected
        assert (trace.rules[0].outcome is Outcome.ANSWERED) == (image["registry"] is not None)


# -- what came close ---------------------------------------------------------------------------------------------

CORE = registry("quay.io/core", "p.com/c quay.io")
MANIFEST = "/v2/coreos/etcd/manifests/v3"
SHARED = registry("a.com", "p.com a.com") + registry("b.com", "p.com b.com")
ANY = registry("*", "p.com *", location=None)
QUAY_A = registry("quay.io/a:1", "p.com quay.io") + registry("quay.io", "p.com quay.io")
BROKEN_BY_TAG = registry("quay.io", 'not!a!host quay.io pull-from-mirror="tag-only"')
INLINE = 'registry = [{location = "a.com", mirror = [{location = "p.com"}]}]'
LINES = [
    # configuration, options, question, one line of the trace
    (CORE, {}, f"https://quay.io{MANIFEST}", "~ quay.io/core: ends inside a component of quay.io/coreos/etcd:v3  [r.conf:1]"),
    (CORE, {}, "https://quay.io/v2/other/manifests/1", "~ quay.io/core: is another path than other  [r.conf:1]"),
    (CORE, {}, "https://quay.io/v2/", "~ quay.io/core: has a path, and the request names no repository  [r.conf:1]"),
    (CORE, {}, "https://quay.io/v2/core/tags/list", "=> host       quay.io is a source registry  [prefix quay.io/core, r.conf:1]"),
    (registry("quay.io/a:v1", "p.com quay.io"), {}, "https://quay.io/v2/a/manifests/v2", "~ quay.io/a:v1: is for another tag or digest  [r.conf:1]"),
    (CORE + registry("quay.io", "p.com quay.io"), {}, "https://quay.io/v2/core/a/manifests/1", "~ quay.io: matches, too, but quay.io/core goes before it  [r.conf:8]"),
    (registry("quay.io", "p.com quay.io"), {}, "https://quay.io:5000/v2/", "~ quay.io: another port is another registry: quay.io is not quay.io:5000  [r.conf:1]"),
    (registry("*.quay.io", "p.com *", location=None), {}, "https://quay.io/v2/", "~ *.quay.io: covers the hosts below quay.io, not quay.io itself  [r.conf:1]"),
    (registry("*.quay.io", "p.com *", location=None), {}, "https://a.quay.io:81/v2/", "~ *.quay.io: covers no port: a.quay.io:81 needs an entry of its own  [r.conf:1]"),
    (registry("quay.io", "p.com quay.io"), {}, "https://a.quay.io/v2/", "~ quay.io: covers quay.io itself, not the hosts below it; those would be *.quay.io  [r.conf:1]"),
    (registry("quay.io", "p.com quay.io") + registry("quay.io/a"), {}, "https://quay.io/v2/a/manifests/1", "~ quay.io: matches, too, but a longer prefix that claims nothing goes before it  [r.conf:1]"),
    (registry("quay.io/a/b", "p.com quay.io"), {}, "https://quay.io/v2/a/tags/list", "~ quay.io/a/b: is longer than quay.io/a  [r.conf:1]"),
    (registry("quay.io"), {}, "https://quay.io/v2/", "~ quay.io: only maps the host to itself, so it claims nothing  [r.conf:1]"),
    (registry("*", "p.com *", location=None), {}, "https://p.com/v2/", "~ *: never catches a host that is itself an endpoint, as p.com is  [r.conf:1]"),
    (registry("*", "p.com *", location=None) + registry("in.net"), {}, "https://in.net/v2/", "~ *: catches only what no other prefix matches  [r.conf:1]"),
    (registry("a.com", "p.com:5000 a.com"), {}, "https://p.com/v2/", "~ p.com:5000: another port is another registry: p.com:5000 is not p.com  [r.conf:5]"),
    (registry("a.com", "p.com/a a.com"), {}, "https://p.com/v2/ab/manifests/1", "~ p.com/a: ends inside a component of p.com/ab:1  [r.conf:5]"),
    (QUAY_A, {}, "https://quay.io/v2/a/manifests/1", "~ quay.io: matches, too, but quay.io/a:1 goes before it  [r.conf:8]"),
    (QUAY_A, {}, "https://quay.io/v2/a/manifests/2", "~ quay.io/a:1: is for another tag or digest  [r.conf:1]"),
    (registry("quay.io/z") + registry("quay.io/a/b", "p.com quay.io") + registry("quay.io", "p.com quay.io"), {}, "https://quay.io/v2/a/tags/list", "~ quay.io/a/b: is longer than quay.io/a  [r.conf:5]"),
    (registry("[::1]:5000", "p.com a.com"), {}, "https://[::1]/v2/", "~ [::1]:5000: another port is another registry: [::1]:5000 is not [::1]  [r.conf:1]"),
    # -- rules that do not answer ---------------------------------------------------------------------------------
    (SHARED, {}, "https://p.com/v2/x/manifests/1", "no location   p.com is ambiguous: it stands for a.com, b.com"),
    (SHARED, {}, "https://p.com/v2/x/manifests/1", "~ p.com: stands for b.com  [r.conf:12]"),
    (SHARED, {}, "https://p.com/v2/x/manifests/1", "no path       x does not begin with a registry"),
    (SHARED, {}, "https://p.com/v2/c.com/x/manifests/1", "no path       no entry claims c.com/x:1"),
    (SHARED, {}, "https://p.com/v2/a.com/x/manifests/1", "=> path       the repository begins with a.com  [prefix a.com, r.conf:1]"),
    (SHARED, {"ns_default": "b.com"}, "https://p.com/v2/x/manifests/1", "=> default    ns_default=b.com  [prefix b.com, r.conf:8]"),
    (SHARED, {"ns_default": "b.com"}, "https://x.com/v2/", "no default    ns_default=b.com speaks for endpoints, and x.com is none"),
    (SHARED, {}, "https://x.com/v2/", "-- default    ns_default is not set"),
    (SHARED, {"ns_unresolved": "reject"}, "https://x.com/v2/", "=> unresolved ns_unresolved=reject: answered with an error"),
    (SHARED, {"ns_client_namespace": "override"}, "https://p.com/v2/?ns=a.com", "-- query      ns_client_namespace=override: the table decides"),
    (SHARED, {}, "https://p.com/v2/?ns=c.com", "=> query      the client sent ns=c.com, which is not configured for p.com: believed as it is"),
    (SHARED, {}, "https://p.com/v2/?ns=a.com", "=> query      the client sent ns=a.com  [prefix a.com, r.conf:1]"),
    (registry("a.com", "p.com/a"), {}, "https://p.com/v2/a/x/manifests/1", "no location   p.com/a has no namespace-proxy  [prefix a.com, r.conf:1]"),
    (registry("a.com", "p.com/a a.com"), {}, "https://p.com/v2/a/x/manifests/1", "=> location   p.com/a stands for a.com  [r.conf:5]"),
    (SHARED, {}, "https://x.com/v2/", "no host       no entry claims x.com"),
    (ANY, {}, "https://p.com/v2/library/x/manifests/1", 'no location   p.com stands for any registry (namespace-proxy = "*")  [prefix *, r.conf:1]'),
    (registry("a.com", "p.com a.com"), {}, "https://p.com/v2/a.com/x/manifests/1", "no location   a registry in the path goes before p.com, which has no path"),
    (CORE, {}, f"https://x.com{MANIFEST}?ns=quay.io", "~ quay.io/core: ends inside a component of quay.io/coreos/etcd:v3  [r.conf:1]"),
    (SHARED, {}, "https://p.com/v2/", "=> request    below /v2: ping"),
    (SHARED, {}, "https://p.com/", "..            query, host, location, path, default, unresolved: not reached"),
    (SHARED, {}, "https://p.com/", "=> request    / is not below /v2: no request of the distribution API"),
    (SHARED, {}, "https://p.com/v2/", "no path       there is no repository"),
    (SHARED, {}, "https://p.com/v2/a.com/manifests/1", "no path       a.com does not begin with a registry"),
    (SHARED, {}, "https://p.com/v2/a.com/x/y/manifests/1", "=> path       the repository begins with a.com  [prefix a.com, r.conf:1]"),
    (CORE, {}, "https://p.com/v2/quay.io/other/manifests/1", "no path       no entry claims quay.io/other:1"),
    (CORE, {}, "https://p.com/v2/quay.io/other/manifests/1", "~ quay.io/core: is another path than other  [r.conf:1]"),
    (registry("a.com", "p.com a.com") + registry("a.com/x", "p.com/x a.com"), {}, "https://p.com/v2/a.com/x/y/manifests/1", "~ a.com: matches, too, but a.com/x goes before it  [r.conf:1]"),
    ("".join(registry(f"{name}.com", f"p.com {name}.com") for name in "abcdefg"), {}, "https://p.com/v2/x/manifests/1", "~ p.com: stands for e.com  [r.conf:33]"),
    ("".join(registry(f"{name}.com", f"p.com {name}.com") for name in "abcdefg"), {}, "https://p.com/v2/x/manifests/1", "~ and 2 more"),
    # -- endpoints ------------------------------------------------------------------------------------------------
    (CONFIGS["digest"], {}, "https://quay.io/v2/a/manifests/1", "no mirror 1   proxy.example.com: mirror-by-digest-only, and this is not by digest  [r.conf:5]"),
    (CONFIGS["split"], {}, "https://quay.io/v2/a/manifests/1", "no mirror 1   d.example.com: pull-from-mirror = digest-only, and this is not by digest  [r.conf:5]"),
    (CONFIGS["split"], {}, f"https://quay.io/v2/a/manifests/{SHA}", "no mirror 2   t.example.com: pull-from-mirror = tag-only, and this is by digest  [r.conf:9]"),
    (CONFIGS["broken"], {}, "https://quay.io/v2/a/manifests/1", "no mirror 1   not!a!host: is not a host[:port][/path]  [r.conf:5]"),
    (BROKEN_BY_TAG, {}, "https://quay.io/v2/a/manifests/1", "no mirror 1   not!a!host: is not a host[:port][/path]  [r.conf:5]"),
    (BROKEN_BY_TAG, {}, f"https://quay.io/v2/a/blobs/{SHA}", "no mirror 1   not!a!host: is not a host[:port][/path]  [r.conf:5]"),
    (CONFIGS["all broken"], {}, "https://quay.io/v2/x/manifests/1", "no primary    not!a!host: is not a host[:port][/path]  [r.conf:1]"),
    (CONFIGS["self with ns"], {}, "https://quay.io/v2/x/manifests/1", "=> primary    quay.io, ns=quay.io: tried first  [r.conf:1]"),
    (INLINE, {}, "https://a.com/v2/x/manifests/1", "=> mirror 1   p.com: tried first  [r.conf, [[registry]] 1]"),
    (CONFIGS["wildcard by digest"], {}, "https://proxy.example.com/v2/a/manifests/1?ns=a.example.org",
        "no primary    the source registry: the request addresses proxy.example.com, which never falls back to the source registry  [r.conf:1]"),
    (CONFIGS["both"], {}, "https://quay.io/v2/a/blobs/uploads/1", "=> endpoint   no pull: stays with quay.io  [prefix quay.io, r.conf:8]"),
    (CONFIGS["no repository"], {}, "https://quay.io/v2/coreos/etcd/manifests/1", "no primary    etcd.example.com: location and repository leave no repository there  [r.conf:1]"),
    (registry("quay.io/coreos/etcd", "m.example.com", location="e.example.com/e"), {}, "https://quay.io/v2/coreos/etcd/manifests/1", "no mirror 1   m.example.com: location and repository leave no repository there  [r.conf:5]"),
    (SHARED, {}, "https://p.com/v2/a.com/x/manifests/1", "no primary    a.com: the request addresses p.com, which never falls back to the source registry  [r.conf:1]"),
    (CONFIGS["blocked"], {}, "https://bad.example.com/v2/a/manifests/1", "=> blocked    pulling is blocked by registries.conf: prefix bad.example.com  [prefix bad.example.com, r.conf:1]"),
    (registry("a.com", "p.com/a a.com"), {}, "https://p.com/v2/a/x/manifests/1", "=> endpoint   p.com/a, ns=a.com: stays where it is addressed  [r.conf:5]"),
    (registry("a.com", "p.com/a a.com"), {}, "https://p.com/v2/a/x/manifests/1", "..            path, default, unresolved: not reached"),
    (registry("a.com", "p.com a.com"), {}, "https://p.com/v2/x/y/manifests/1", "no path       x/y does not begin with a registry"),
    (registry("*.quay.io", "p.com *", location=None), {}, "https://a.quay.io/v2/x/manifests/1", ".. primary    the source registry: tried where those before it fail  [r.conf:1]"),
    (SHARED, {}, "https://p.com/x?y=/v2/", "=> request    /x is not below /v2: no request of the distribution API"),
    (SHARED, {}, "https://p.com/v2/auth", "=> request    below /v2, but no operation of the distribution API"),
    (registry("a.com", "p.com/a a.com"), {}, "https://p.com/v2/a/x/manifests/1?ns=a.com", "=> query      the client sent ns=a.com, and p.com is its endpoint  [prefix a.com, r.conf:1]"),
    (SHARED, {"ns_client_namespace": "reject"}, "https://p.com/v2/?ns=c.com", "=> query      the client sent ns=c.com, which is not configured for p.com"),
    (SHARED, {}, "https://x.com/v2/", "=> unresolved ns_unresolved=pass: sent on as it is"),
    # -- images ---------------------------------------------------------------------------------------------------
    (CORE, {}, "quay.io/coreos/etcd", "~ quay.io/core: ends inside a component of quay.io/coreos/etcd  [r.conf:1]"),
    (CONFIGS["split"], {}, "quay.io/a:1", "no mirror 1   d.example.com, ns=quay.io: pull-from-mirror = digest-only, and this is not by digest  [r.conf:5]"),
    (CONFIGS["split"], {}, f"quay.io/a@{SHA}", "no mirror 2   t.example.com, ns=quay.io: pull-from-mirror = tag-only, and this is by digest  [r.conf:9]"),
    (registry("quay.io/a:2"), {}, f"quay.io/a:1@{SHA}", "~ quay.io/a:2: is for another tag or digest  [r.conf:1]"),
    (registry("quay.io/a:2"), {}, f"quay.io/a@{SHA}", "~ quay.io/a:2: is for another tag or digest  [r.conf:1]"),
    (ANY, {}, "p.com/a", "~ *: never catches a host that is itself an endpoint, as p.com is  [r.conf:1]"),
    (registry("quay.io:50"), {}, "quay.io:5000/a", "~ quay.io:50: another port is another registry: quay.io:50 is not quay.io:5000  [r.conf:1]"),
    (registry("a.quay.io:81/x") + registry("*.quay.io", location=None), {}, "a.quay.io:81/x/y", "~ *.quay.io: matches, too, but a.quay.io:81/x goes before it  [r.conf:5]"),
    (registry("*", "p.com *", location=None), {}, "x.io/a", "=> prefix     * matches where no other prefix does  [prefix *, r.conf:1]"),
    (registry("*", "p.com *", location=None), {}, "x.io/a", "=> mirror 1   p.com, ns=x.io: tried first  [r.conf:4]"),
    (CONFIGS["blocked"], {}, "bad.example.com/a", "-- mirror 1   proxy.example.com/bad, ns=bad.example.com  [r.conf:5]"),
    (CONFIGS["blocked"], {}, "bad.example.com/a", "=> blocked    pulling is forbidden; the places below are not asked  [prefix bad.example.com, r.conf:1]"),
]  # fmt: skip


def lines_for(text: str, options: dict[str, str], question: str) -> list[str]:
    table = table_of(text, **options)
    if "://" in question:
        return [line.strip() for line in trace_lines(trace_url(table, "GET", question))]
    return [line.strip() for line in trace_lines(trace_image(table.index, parse_image(question)))]


@pytest.mark.parametrize(("text", "options", "question", "line"), LINES, ids=[f"{row[2]} {row[3]}" for row in LINES])
def test_the_trace_says(text: str, options: dict[str, str], question: str, line: str) -> None:
    assert line in lines_for(text, options, question)


@pytest.mark.parametrize(
    ("prefixes", "question", "shown"),
    [
        ("quay.io/z quay.io/a/bcd:2 quay.io:5000 * quay.io/a/bc quay.io/a/bcd", "https://quay.io/v2/a/bcd/manifests/1",
            "quay.io/a/bcd quay.io/a/bc * quay.io:5000 quay.io/a/bcd:2"),
        ("a.quay.io quay.io *.quay.io", "https://a.quay.io:81/v2/", "*.quay.io a.quay.io quay.io"),
        ("quay.io:5000 *.quay.io", "https://quay.io/v2/", "*.quay.io quay.io:5000"),
        ("quay.io/zzzzzz quay.io/ax", "https://quay.io/v2/abc/manifests/1", "quay.io/ax quay.io/zzzzzz"),
        ("quay.io/z quay.io/a", "https://quay.io/v2/", "quay.io/a quay.io/z"),
        ("quay.io/ax quay.io/zx", "https://quay.io/v2/zbc/manifests/1", "quay.io/zx quay.io/ax"),
        ("quay.io quay.io/ab", "https://quay.io/v2/abc/manifests/1", "quay.io quay.io/ab"),
        ("quay.io/co+ quay.io/coreos+ quay.io/coreos/etcd", "https://quay.io/v2/coreos/etcd/manifests/1",
            "quay.io/coreos/etcd quay.io/co quay.io/coreos"),
        ("aa.b.com *.b.com+ *.aa.b.com", "https://aa.b.com/v2/", "aa.b.com *.b.com *.aa.b.com"),
        ("aa.b.com+ *.b.com+ *.aa.b.com", "https://aa.b.com/v2/", "*.b.com *.aa.b.com"),
        ("quay.io/z quay.io/ab quay.io/abx", "https://quay.io/v2/abc/manifests/1", "quay.io/ab quay.io/abx quay.io/z"),
    ],
)  # fmt: skip
def test_what_came_closest_comes_first(prefixes: str, question: str, shown: str) -> None:
    """Behind a `+`, the prefix has a mirror, so that it claims something."""
    text = "".join(
        registry(each.rstrip("+"), *["m.com"] * each.endswith("+"), location=None if "*" in each else "")
        for each in prefixes.split()
    )
    trace = trace_url(table_of(text), "GET", question)
    assert [miss.name for step in trace.rules for miss in step.near.shown] == shown.split()


def test_an_entry_that_catches_all_but_endpoints_comes_before_one_that_is_for_another_repository() -> None:
    text = registry("p.com/a") + registry("*", "p.com *", location=None)
    (near,) = [
        step.near
        for step in trace_url(table_of(text), "GET", "https://p.com/v2/ab/manifests/1").rules[1:3]
        if step.near.shown
    ]
    assert [miss.name for miss in near.shown] == ["*", "p.com/a"]


def test_a_step_as_json_has_it() -> None:
    (_, _, host, *_) = trace_url(table_of(CORE), "GET", "https://quay.io/v2/other/manifests/1").rules
    assert host.as_object() == {
        "rule": "host",
        "outcome": "did-not-answer",
        "why": "no entry claims quay.io/other:1",
        "entry": None,
        "near": [{"name": "quay.io/core", "file": "r.conf", "line": 1, "why": "is another path than other"}],
        "more": 0,
    }


@pytest.mark.parametrize(
    ("text", "question"),
    [
        (registry("*", "p.com *", location=None) + registry("quay.io", "p.com quay.io"), "https://quay.io/v2/"),
        (registry("*", "p.com *", location=None) + registry("quay.io"), "quay.io/a"),
        (registry("index.docker.io"), "docker.io/library/nginx"),
        (registry("*.io", location=None), "https://a.example.com/v2/"),
        (registry("[::2]:5000", "p.com a.com"), "https://[::1]/v2/"),
        (registry("quay.io/a", "p.com quay.io") + registry("quay.io/b", "p.com quay.io"), "quay.io/a/c"),
    ],
)
def test_what_is_not_close_is_not_mentioned(text: str, question: str) -> None:
    assert not [line for line in lines_for(text, {}, question) if line.startswith("~")]


def test_of_many_near_misses_the_closest_are_shown() -> None:
    text = "".join(registry(f"quay.io/team{number}", "p.com quay.io") for number in range(20))
    found = lines_for(text + registry("quay.io/oth", "p.com quay.io"), {}, "https://quay.io/v2/other/manifests/1")
    shown = [line for line in found if line.startswith("~ quay.io/")]
    assert len(shown) == 5
    assert shown[0].startswith("~ quay.io/oth: ends inside a component")
    assert "~ and 16 more" in found


def test_a_terminal_gets_the_trace_as_a_table_with_colours_only_where_wanted() -> None:
    trace = trace_image(table_of(CORE).index, parse_image("quay.io/coreos/etcd"))
    for system, coloured in (("standard", True), (None, False)):
        console = Console(force_terminal=True, color_system=system, width=70, record=True)  # type: ignore[arg-type]
        with console.capture() as captured:
            show(console, ["quay.io/coreos/etcd", "  entry      (none)"], trace)
        assert ("\x1b[" in captured.get()) is coloured
        assert "rule" in captured.get()
        assert all(len(line) <= 70 for line in captured.get().splitlines()) or coloured


def test_the_readmes_example_is_what_explain_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[2]
    monkeypatch.chdir(root)
    example = (root / "README.md").read_text().split("```console\n$ ns-inject explain ")[1].partition("```")[0]
    command, _, output = example.partition("\n")
    assert CliRunner().invoke(main, ["explain", *command.split()]).stdout == output
