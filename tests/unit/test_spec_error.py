"""Errors in the distribution-spec's JSON: what is written, and what is read from whatever a registry answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from oci_ns.spec_error import SpecError, first_error, message_in


@pytest.mark.parametrize(
    ("detail", "more"),
    [(None, {}), ("r.conf:1", {"detail": "r.conf:1"}), ([{"a": "b"}], {"detail": [{"a": "b"}]}), ("", {"detail": ""})],
)
def test_an_error_is_written_as_the_spec_has_it(detail: Any, more: dict[str, Any]) -> None:
    body = SpecError(403, "DENIED", "no", detail).body()
    assert json.loads(body) == {"errors": [{"code": "DENIED", "message": "no", **more}]}


def test_an_error_for_people_is_one_line() -> None:
    assert str(SpecError(404, "NAME_UNKNOWN", "no such place")) == "404 NAME_UNKNOWN: no such place"


@pytest.mark.parametrize(
    ("body", "message", "error"),
    [
        ({"errors": [{"code": "DENIED", "message": "no"}, {"code": "B", "message": "b"}]}, "no", "DENIED: no"),
        ({"errors": [{"code": "DENIED"}]}, "", "DENIED"),
        ({"errors": [{"code": "DENIED", "message": None}]}, "", "DENIED"),
        ({"errors": [{"code": 5, "message": "no"}]}, "no", "no"),
        ({"errors": [{"message": " more\r\nthan  one\tline "}]}, "more than one line", "more than one line"),
        ({"errors": [{"message": "x" * 200}]}, "x" * 200, "x" * 200),
        ({"errors": [{"message": "x" * 201}]}, "x" * 200 + "…", "x" * 200 + "…"),
        ({"errors": [{}]}, "", ""),
        ({"errors": []}, "", ""),
        ({"errors": {}}, "", ""),
        ({"errors": None}, "", ""),
        ({"errors": ["no"]}, "", ""),
        ({}, "", ""),
        ([], "", ""),
        (None, "", ""),
    ],
)
def test_the_first_error_of_an_answer_is_read_and_anything_else_is_none(body: Any, message: str, error: str) -> None:
    text = json.dumps(body).encode()
    assert (message_in(text), first_error(text)) == (message, error)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe", b"{", b"[" * 100_000])
def test_an_answer_that_is_no_json_has_no_error(body: bytes) -> None:
    assert (message_in(body), first_error(body)) == ("", "")
