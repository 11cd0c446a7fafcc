"""Request targets of any bytes: an edit changes `ns` and the repository's beginning, and no byte beside them."""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

from hypothesis import example, given
from hypothesis import strategies as st

from oci_ns.distribution import (
    Operation,
    join,
    namespaces_in,
    parse,
    with_first_namespace_only,
    with_namespace,
    without_namespace,
)
from tests.unit import generated, plain_rules

any_bytes = st.binary(max_size=60).map(lambda found: found.decode("utf-8", "surrogateescape"))
any_targets = st.one_of(
    generated.targets,
    generated.targets,
    any_bytes,
    st.builds("/v2/{}{}".format, any_bytes, st.sampled_from(generated.ENDS)),
    st.builds("/v2/{}/manifests/{}?{}".format, any_bytes, any_bytes, any_bytes),
)
any_queries = st.one_of(
    st.none(),
    any_bytes,
    st.lists(st.one_of(generated.parameters, any_bytes), max_size=5).map("&".join),
)
any_namespaces = st.one_of(st.sampled_from(generated.NAMESPACES), any_bytes.filter(bool))


def characters(raw: str) -> list[str]:
    """A path's decoded characters, each as it was sent."""
    return re.findall("%[0-9a-fA-F]{2}|.", raw, re.DOTALL)


def other_parameters(query: str | None) -> list[str]:
    """All that is not `ns`, as it was sent; nothing at all is no parameter."""
    parameters = query.split("&") if query else []
    return [each for each in parameters if unquote_plus(each.partition("=")[0]) != "ns"]


@given(any_targets)
def test_the_parts_of_a_target_are_the_target(target: str) -> None:
    parsed = parse(target)
    if parsed is None:
        return
    assert join(parsed.path, parsed.query) == target
    assert parsed.path.startswith(parsed.base)
    assert parsed.path.endswith(parsed.raw_repository + parsed.tail)
    assert len(characters(parsed.base)) == len("/v2")


@given(any_targets)
def test_what_is_asked_is_what_the_plain_rules_read(target: str) -> None:
    parsed, asked = parse(target), plain_rules.rule_1_asked("GET", "https", "q.io", 443, target)
    assert (parsed is None) == (asked is None)
    if parsed is not None and asked is not None:
        read = (parsed.operation.value, parsed.scope, parsed.suffix, parsed.query)
        assert read == (asked.operation, asked.repository, asked.reference, asked.query)


@example("/v2%2Fa%2Fb%2Fmanifests%2F1", 0, "p", "2")
@example("/v2/a/manifests%2f%31", 0, "", "2")
@given(any_targets, st.integers(0, 5), st.sampled_from(["", "p", "p/q"]), st.sampled_from(["", "2", "sha256:0"]))
def test_a_move_changes_the_beginning_of_the_repository_and_no_other_byte(
    target: str, number: int, path: str, reference: str
) -> None:
    parsed = parse(target)
    if parsed is None or not parsed.raw_repository:
        return
    scope = parsed.scope
    # A prefix ends where a component does.
    ends = [0, *(at for at, each in enumerate(scope) if each == "/" and at), len(scope)]
    strip = ends[number % len(ends)]
    moved = parsed.moved(strip, path, reference)
    repository, whole = characters(parsed.raw_repository), characters(parsed.path)
    rest = "".join(repository[strip + 1 if strip else 0 :])
    if not rest and not path:
        assert moved == ""
        return
    head = "".join(whole[: len(whole) - len(repository) - len(characters(parsed.tail))])
    tail = characters(parsed.tail)
    if reference and parsed.operation is Operation.MANIFEST:
        tail = [*tail[: len(tail) - len(parsed.suffix) + 1], reference]
    assert moved == head + "/".join(filter(None, [path, rest])) + "".join(tail)


@example("ns=&n%73=a&&x=%", "a")
@given(any_queries, any_namespaces)
def test_with_ns_there_is_that_one_and_the_rest_is_as_it_was(query: str | None, namespace: str) -> None:
    edited = with_namespace(query, namespace)
    assert namespaces_in(edited) == [namespace]
    assert "ns=" in [each[:3] for each in edited.split("&")]
    assert other_parameters(edited) == other_parameters(query) or not any(other_parameters(query))
    assert with_namespace(edited, namespace) == edited


@given(any_queries)
def test_without_ns_there_is_none_and_the_rest_is_as_it_was(query: str | None) -> None:
    edited = without_namespace(query)
    assert namespaces_in(edited) == []
    assert other_parameters(edited) == other_parameters(query) or not any(other_parameters(query))
    assert namespaces_in(query) or edited == query
    assert without_namespace(edited) == edited


@given(any_queries)
def test_of_several_ns_one_stays_as_it_was_and_the_rest_too(query: str | None) -> None:
    edited, said = with_first_namespace_only(query), namespaces_in(query)
    assert namespaces_in(edited) == ([next(filter(None, said), said[0])] if said else [])
    assert other_parameters(edited) == other_parameters(query)
    assert edited == query or len(said) > 1
