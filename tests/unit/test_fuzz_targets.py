"""The fuzz targets without a fuzzer: over every seed, every finding and changed seeds; and each of them can fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oci_ns import conf_document, conf_files, distribution, reference
from oci_ns.decision import Action
from oci_ns.distribution import Operation
from oci_ns.plain_tables import read_plain_tables
from oci_ns.routes import RouteTable
from tests.fuzz import configuration, findings
from tests.fuzz.catalogue import TARGETS, seeds, write_seeds, write_words
from tests.fuzz.target import Target, bytes_of

SEEDS = {name: seeds(target) for name, target in TARGETS.items()}
FINDINGS = [(name, what) for name, found in findings.FINDINGS.items() for what in found]
_PIECE_MAX = 12


@pytest.mark.parametrize("name", TARGETS)
def test_what_must_hold_holds_for_every_seed(name: str) -> None:
    assert len(SEEDS[name]) > 100
    for seed in SEEDS[name]:
        TARGETS[name].one_input(seed)


@pytest.mark.parametrize(("name", "what"), FINDINGS)
def test_what_showed_a_fault_once_shows_none(name: str, what: str) -> None:
    TARGETS[name].one_input(findings.FINDINGS[name][what])


def changed(target: Target) -> st.SearchStrategy[bytes]:
    """Seeds with some pieces replaced: by nothing, by any bytes, by words of the grammar, by pieces of other seeds."""
    known = SEEDS[target.name]
    words = st.sampled_from([bytes_of(word) for word in target.words])
    pieces = st.one_of(st.just(b""), words, st.binary(max_size=_PIECE_MAX), st.sampled_from(known))
    place = st.tuples(st.integers(0, max(map(len, known))), st.integers(0, _PIECE_MAX), pieces)

    def apply(seed: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
        for at, length, piece in changes:
            start = at % (len(seed) + 1)
            seed = seed[:start] + piece + seed[start + length :]
        return seed

    return st.builds(apply, st.sampled_from(known), st.lists(place, min_size=1, max_size=4))


@pytest.mark.parametrize("name", TARGETS)
def test_what_must_hold_holds_for_changed_seeds(name: str) -> None:
    @settings(max_examples=100, deadline=None, derandomize=True, database=None)
    @given(changed(TARGETS[name]))
    def hold(data: bytes) -> None:
        TARGETS[name].one_input(data)

    hold()


@pytest.mark.parametrize("name", TARGETS)
def test_bytes_that_mean_nothing_are_no_fault(name: str) -> None:
    for data in (b"", b"\x00", b"\xff\xfe", bytes(range(256)), b"\xed\xb3\xbf"):
        TARGETS[name].one_input(data)


def _ping_for_everything(target: str) -> distribution.Target | None:
    parsed = distribution.Target(Operation.PING, target, "/v2", "", target[3:], "", "", None)
    return parsed if target.startswith("/v2") else None


def _elsewhere(table: RouteTable, method: str, scheme: str, host: str, port: int, target: str) -> Any:
    decided = _decide(table, method, scheme, host, port, target)
    return replace(decided, host="evil.example.org") if decided.action is Action.REWRITE else decided


def _two_namespaces(table: RouteTable, method: str, scheme: str, host: str, port: int, target: str) -> Any:
    decided = _decide(table, method, scheme, host, port, target)
    return replace(decided, target=f"{decided.target}&ns=a") if decided.action is Action.REWRITE else decided


def _a_space(table: RouteTable, method: str, scheme: str, host: str, port: int, target: str) -> Any:
    decided = _decide(table, method, scheme, host, port, target)
    return replace(decided, target=f"{decided.target} ") if decided.action is Action.REWRITE else decided


def _raises(*_: object) -> Any:
    raise KeyError("a")


def _unescaped(query: str | None, namespace: str, _escaped: str | None = None) -> str:
    rest = distribution.without_namespace(query)
    return f"{rest}&ns={namespace}" if rest else f"ns={namespace}"


def _reencoded(query: str | None) -> str | None:
    kept = _without_namespace(query)
    return kept.replace("%2F", "/").replace("%2f", "/") if kept else kept


_decide = RouteTable.decide
_without_namespace = distribution.without_namespace


def _lines_off(text: str, at: int, line: int, *others: Any) -> int:
    return read_plain_tables(text, at, line + 1, *others)


BROKEN: list[tuple[str, str, Any, str, Callable[..., Any]]] = [
    ("request-target", "everything is a ping", distribution, "parse", _ping_for_everything),
    ("request-target", "no digest is one", distribution, "is_digest", lambda _: False),
    ("request-target", "escapes are not decoded", distribution, "_decode", lambda path: path),
    ("request-target", "a repository is cut wrongly", distribution, "_raw_length", lambda _, length: length),
    ("request-target", "requests go elsewhere", RouteTable, "decide", _elsewhere),
    ("request-target", "two ns leave", RouteTable, "decide", _two_namespaces),
    ("request-target", "what leaves is no URL", RouteTable, "decide", _a_space),
    ("request-target", "the decision raises", RouteTable, "decide", _raises),
    ("namespace-editor", "the namespace is not escaped", distribution, "with_namespace", _unescaped),
    ("namespace-editor", "ns is not dropped", distribution, "without_namespace", lambda query: query),
    ("namespace-editor", "the rest is encoded anew", distribution, "without_namespace", _reencoded),
    ("namespace-editor", "all ns are kept", distribution, "with_first_namespace_only", lambda query: query),
    ("namespace-editor", "escaped names are not seen", distribution, "unquote_plus", lambda text, **_: text),
    ("reference-grammar", "upper case is a repository", reference, "is_repository", lambda text: "A" in text),
    ("reference-grammar", "any length is a tag", reference, "is_tag", lambda text: text.isalnum()),
    ("reference-grammar", "ports are not looked at", reference, "split_host", lambda text: (text, None)),
    ("reference-grammar", "names keep their case", reference, "canonical_registry", lambda text: text),
    ("reference-grammar", "every image is the Hub's", reference, "looks_like_host", lambda _: False),
    ("configuration", "an unforeseen exception", conf_files, "read_document", _raises),
    ("configuration", "lines are off by one", conf_document, "read_plain_tables", _lines_off),
    ("configuration", "nothing is written in pieces", conf_document, "parse_pieces", lambda *_: iter(())),
    ("configuration", "what is no TOML is read", conf_document, "parse_whole", lambda _: {}),
    ("configuration", "the check raises", configuration, "findings", _raises),
    ("configuration", "the decision raises", RouteTable, "decide", _raises),
]


@pytest.mark.parametrize(("name", "what", "where", "attribute", "broken"), BROKEN, ids=[row[1] for row in BROKEN])
def test_a_target_fails_where_the_code_is_broken(
    monkeypatch: pytest.MonkeyPatch, name: str, what: str, where: Any, attribute: str, broken: Callable[..., Any]
) -> None:
    monkeypatch.setattr(where, attribute, broken)
    assert any(_shows_a_fault(TARGETS[name], seed) for seed in SEEDS[name]), f"not noticed: {what}"


def _shows_a_fault(target: Target, data: bytes) -> bool:
    try:
        target.one_input(data)
    except Exception:
        return True
    return False


def test_seeds_are_put_beside_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"a")
    for target in TARGETS.values():
        write_seeds(target, tmp_path)
        assert {file.read_bytes() for file in tmp_path.iterdir()} >= {b"a", *SEEDS[target.name]}


def test_words_are_written_as_a_dictionary_that_needs_no_escapes_of_its_own(tmp_path: Path) -> None:
    write_words(replace(TARGETS["configuration"], words=('"\\', "\n")), tmp_path / "words")
    assert (tmp_path / "words").read_text() == '"\\x22\\x5c"\n"\\x0a"\n'
