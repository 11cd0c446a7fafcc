"""The table of registries for people: a row for each place, with what is particular about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from oci_ns import table_text
from oci_ns.conf_files import parse_text
from oci_ns.table_text import HEADER, rows
from tests.unit.test_routes import CONFIGS, registry

FLAGS = "plain-http = true;insecure = true;forward-credentials = true"
FIRST = ("quay.io", "d.example.com", "quay.io", "by digest only", "r.conf:1")


def rows_of(text: str, part: str = "") -> list[tuple[str, ...]]:
    header, *found = rows(parse_text(Path("r.conf"), text.encode()).registries.values(), part)
    assert header == HEADER
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (registry("a.com", more=FLAGS),
            [("a.com", "a.com", "", "plain http, insecure, forwards credentials", "r.conf:1")]),
        (registry("*.a.com", "p.com *", location=None),
            [("*.a.com", "p.com", "*", "", "r.conf:1"), ("", "the registry itself", "", "", "r.conf:1")]),
        (CONFIGS["split"],
            [FIRST, ("", "t.example.com", "quay.io", "by tag only", "r.conf:1"), ("", "quay.io", "", "", "r.conf:1")]),
        (registry("a.com", "p.com", more="mirror-by-digest-only = true;blocked = true"),
            [("a.com", "p.com", "", "blocked, by digest only", "r.conf:1"), ("", "a.com", "", "blocked", "r.conf:1")]),
    ],
)  # fmt: skip
def test_each_place_is_a_row(text: str, expected: list[tuple[str, ...]]) -> None:
    assert rows_of(text) == expected


def test_the_table_can_be_asked_for_a_part_of_a_prefix_or_of_a_place() -> None:
    text = CONFIGS["split"] + registry("a.com")
    assert [row[0] for row in rows_of(text, "a.c")] == ["a.com"]
    assert rows_of(text, "d.example")[0] == FIRST
    assert rows_of(text, "x.com") == []


def test_of_a_long_table_it_is_told_how_many_rows_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_text, "ROWS_MAX", 2)
    text = "".join(registry(name) for name in ("a.com", "b.com"))
    assert [row[0] for row in rows_of(text)] == ["a.com", "b.com"]
    text += registry("c.com")
    assert [row[0] for row in rows_of(text)] == ["a.com", "b.com", "and 1 more; name a part of a prefix"]
