"""What every request makes is made once where it can be, and is what it would be if it were made each time."""

from __future__ import annotations

import dataclasses
import logging
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http

from oci_ns.alternatives import Alternatives
from oci_ns.decided import Decisions
from oci_ns.decision import Action, Decision
from oci_ns.distribution import parse
from oci_ns.exchanges import origin_of
from oci_ns.findings import Finding, Kind
from oci_ns.header_fields import HeaderFields
from oci_ns.log_line import is_heard
from oci_ns.routes import RouteTable
from oci_ns.value import value
from tests.unit.test_routes import COREOS, HUB, QUAY, index_of
from tests.unit.traffic import MANIFEST, transfer

TAG = "/v2/coreos/etcd/manifests/v1"
NAMES = st.sampled_from([b"Host", b"host", b"HOST", b"Accept", b"X-\xff"])
VALUES = st.binary(max_size=8)


@given(st.lists(st.tuples(NAMES, VALUES)))
def test_header_fields_say_what_mitmproxys_headers_say(fields: list[tuple[bytes, bytes]]) -> None:
    theirs = http.Headers(fields)
    ours = HeaderFields(theirs.fields)
    for name in ("host", "Host", "accept", "absent"):
        assert ours.get(name) == theirs.get(name)
        assert ours.has(name.lower().encode()) == (name in theirs)


def decisions(text: str = QUAY) -> Decisions:
    return Decisions(RouteTable(index_of(text)))


def test_a_request_that_comes_again_gets_the_very_same_decision() -> None:
    known = decisions()
    first, again = (known.decide("GET", "https", "quay.io", "10.0.0.1", 443, TAG) for _ in range(2))
    assert first.decision is again.decision
    assert first.decision == known.table.decide("GET", "https", "quay.io", 443, TAG)


# Each differs from the request above in one part of what is asked.
OTHERS = [
    ("HEAD", "https", "quay.io", "10.0.0.1", 443, TAG),
    ("GET", "http", "quay.io", "10.0.0.1", 443, TAG),
    ("GET", "https", "docker.io", "10.0.0.1", 443, TAG),
    ("GET", "https", None, "10.0.0.1", 443, TAG),
    ("GET", "https", "unknown.example", "10.0.0.2", 443, TAG),
    ("GET", "https", "quay.io:8443", "10.0.0.1", 8443, TAG),
    ("GET", "https", "quay.io", "10.0.0.1", 443, f"{TAG}?n=1"),
]


@pytest.mark.parametrize("asked", OTHERS)
def test_a_request_that_differs_in_any_part_is_decided_anew(
    asked: tuple[str, str, str | None, str, int, str],
) -> None:
    known = decisions(QUAY + HUB + COREOS)
    known.decide("GET", "https", "quay.io", "10.0.0.1", 443, TAG)
    method, scheme, named, host, port, target = asked
    addressed = known.table.addressed_host(scheme, named, host, port)
    assert known.decide(*asked).decision == known.table.decide(method, scheme, *addressed, target)
    assert known.decide(*asked).addressed == (scheme, *addressed)


def test_a_target_of_any_length_is_decided_and_a_long_one_is_not_remembered() -> None:
    known = decisions()
    long = f"{TAG}?{'x' * 2000}"
    first, again = (known.decide("GET", "https", "quay.io", "10.0.0.1", 443, long) for _ in range(2))
    assert first.decision == again.decision
    assert first is not again


def test_what_is_noted_is_made_once_for_each_way_a_request_is_sent() -> None:
    decided = decisions().decide("GET", "https", "quay.io", "10.0.0.1", 443, TAG)
    asked: list[int] = []

    def upstream() -> str:
        asked.append(1)
        return "https://proxy.example.com/x"

    sent = decided.decision
    other = dataclasses.replace(sent, scheme="http")
    notes = [decided.noted(each, upstream) for each in (sent, sent, other, sent)]
    assert [each.sent for each in notes] == [sent, sent, other, sent]
    assert len(asked) == 3
    assert notes[0].line.endswith("[ns=quay.io, host]")
    assert notes[2].line == notes[0].line.replace("-> https", "-> http").replace(".com/", ".com:443/", 1)


def a_decision(host: str) -> Decision:
    return Decision(Action.PASS, None, None, "https", host, 443, "/v2/")


def test_alternatives_are_decided_once_and_only_when_they_are_looked_at() -> None:
    made: list[str] = []

    def make(host: str) -> Decision:
        made.append(host)
        return a_decision(host)

    alternatives = Alternatives(make, ["a", "b"])
    assert (len(alternatives), bool(alternatives), made) == (2, True, [])
    assert alternatives[1] == a_decision("b")
    assert list(alternatives) == [a_decision("a"), a_decision("b")]
    assert alternatives == (a_decision("a"), a_decision("b"))
    assert alternatives != (a_decision("a"),)
    assert hash(alternatives) == hash(Alternatives(a_decision, ["a", "b"]))
    assert repr(alternatives) == repr((a_decision("a"), a_decision("b")))
    assert made == ["a", "b"]


@given(st.sampled_from(["/v2", "/v2/", "/v2/_catalog", TAG, "/v2/a/blobs/uploads/1", "/v2//", "/v3/"]), st.data())
def test_a_path_is_parsed_alike_however_it_is_spelt(path: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(path) - 1))
    spelt = f"{path[:at]}%{ord(path[at]):02x}{path[at + 1 :]}"
    plain, escaped = parse(path), parse(spelt)
    assert (plain is None) == (escaped is None)
    if plain is not None and escaped is not None:
        assert (plain.operation, plain.scope, plain.suffix) == (escaped.operation, escaped.scope, escaped.suffix)
        slash = "/" if escaped.raw_repository else ""
        if quote(escaped.base) == escaped.base:
            assert escaped.path == spelt
        # A slash may itself be spelt as an escape.
        assert len(f"{escaped.base}{slash}{escaped.raw_repository}{escaped.tail}") in (len(spelt), len(spelt) - 2)


@value
class Pair:
    one: int
    other: str = ""


def test_equal_values_are_equal_and_have_an_equal_hash() -> None:
    assert Pair(1, "a") == Pair(1, "a")
    assert Pair(1, "a") != Pair(1, "b")
    assert len({Pair(1), Pair(1), Pair(2)}) == 2


def test_a_transfer_without_its_body_is_the_same_otherwise() -> None:
    full = dataclasses.replace(
        transfer("GET manifest :v1", 0),
        status=200,
        headed=1.0,
        ended=2.0,
        received=3,
        body=MANIFEST,
        digest="sha256:0",
        error="broken",
        challenged=True,
        findings=(Finding(Kind.FAILED, "x"),),
    )
    kept = full.without_body()
    assert kept.body is None
    assert dataclasses.replace(kept, body=full.body) == full
    assert all(getattr(full, each.name) != each.default for each in dataclasses.fields(full))


@pytest.mark.parametrize(("level", "heard"), [(logging.INFO, False), (logging.WARNING, True), (logging.ERROR, True)])
def test_a_message_is_heard_where_a_handler_takes_its_level(
    level: int, heard: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [logging.NullHandler(logging.WARNING)])
    assert is_heard(level) is heard
    monkeypatch.setattr(logging.root, "handlers", [])
    assert not is_heard(level)


@pytest.mark.parametrize(
    ("fields", "has_body"),
    [
        ({}, False),
        ({"Content-Length": "0"}, False),
        ({"Content-Length": "7"}, True),
        ({"Transfer-Encoding": "chunked"}, True),
    ],
)
def test_a_request_has_a_body_where_its_head_says_so(fields: dict[str, str], has_body: bool) -> None:
    decided = decisions().decide("GET", "https", "quay.io", "10.0.0.1", 443, TAG)
    raw = tuple((name.encode(), value.encode()) for name, value in fields.items())
    origin = origin_of(decided.asked, decided.addressed, raw, HeaderFields(raw))
    assert origin.has_body is has_body
    assert (origin.method, origin.target, origin.destination) == ("GET", TAG, ("10.0.0.1", 443))
