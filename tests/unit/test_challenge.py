"""WWW-Authenticate: every spelling that RFC 9110 allows, and what servers make of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci_ns.logins.challenge import Challenge, parse_challenges

BEARER = 'Bearer realm="https://auth.example.com/token",service="registry",scope="repository:a/b:pull,push"'
BEARER_PARAMETERS = {
    "realm": "https://auth.example.com/token",
    "service": "registry",
    "scope": "repository:a/b:pull,push",
}


@pytest.mark.parametrize(
    ("values", "challenges"),
    [
        ([BEARER], [("bearer", BEARER_PARAMETERS, "")]),
        ([BEARER.replace(",s", " ,\t s")], [("bearer", BEARER_PARAMETERS, "")]),
        ([BEARER.replace("=", " = ", 1)], [("bearer", BEARER_PARAMETERS, "")]),
        (['BASIC REALM="x"'], [("basic", {"realm": "x"}, "")]),
        (["Basic"], [("basic", {}, "")]),
        (["Basic realm=x"], [("basic", {"realm": "x"}, "")]),
        (
            ["Bearer realm=https://auth.example.com/token,service=r"],
            [("bearer", {"realm": "https://auth.example.com/token", "service": "r"}, "")],
        ),
        (["Negotiate"], [("negotiate", {}, "")]),
        (["Negotiate YWJj=="], [("negotiate", {}, "YWJj==")]),
        (["Negotiate YWJj="], [("negotiate", {}, "YWJj=")]),
        (
            [f'Basic realm="a, Bearer b=\\"c\\\\", {BEARER}'],
            [("basic", {"realm": 'a, Bearer b="c\\'}, ""), ("bearer", BEARER_PARAMETERS, "")],
        ),
        (
            ['Newauth realm="apps", type=1, title="Login to \\"apps\\"", Basic realm="simple"'],
            [
                ("newauth", {"realm": "apps", "type": "1", "title": 'Login to "apps"'}, ""),
                ("basic", {"realm": "simple"}, ""),
            ],
        ),
        ([BEARER, "Basic realm=x"], [("bearer", BEARER_PARAMETERS, ""), ("basic", {"realm": "x"}, "")]),
        (
            ["Basic, Negotiate ab=, Bearer realm=x"],
            [("basic", {}, ""), ("negotiate", {}, "ab="), ("bearer", {"realm": "x"}, "")],
        ),
        ([", ,Basic realm=x,,"], [("basic", {"realm": "x"}, "")]),
        (["Basic realm=x, realm=y"], [("basic", {"realm": "x"}, "")]),
        (['Basic realm=""'], [("basic", {"realm": ""}, "")]),
        (['Basic realm="never ends, charset=x'], [("basic", {"realm": "never ends, charset=x"}, "")]),
        (['Basic realm="'], [("basic", {"realm": ""}, "")]),
        ([""], []),
        ([], []),
        (["realm=x"], []),
        (['"quoted"'], []),
        (["Basic" + " " * 70_000], []),
    ],
)
def test_challenges_are_taken_apart(values: list[str], challenges: list[tuple[str, dict[str, str], str]]) -> None:
    assert parse_challenges(values) == tuple(Challenge(*each) for each in challenges)


@given(st.lists(st.text(alphabet=st.sampled_from('Bearer Basic="\\,realm\t\n\0é')), max_size=3))
def test_nothing_is_an_error(values: list[str]) -> None:
    for challenge in parse_challenges(values):
        assert challenge.scheme == challenge.scheme.lower() != ""


@given(st.text())
def test_a_quoted_value_arrives_as_it_was_meant(value: str) -> None:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    assert parse_challenges([f'Basic realm="{quoted}"']) == (Challenge("basic", {"realm": value}),)
