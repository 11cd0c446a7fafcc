"""The soak for as long as a test may take: everything at once, and in the end all has to hold. No figure is judged."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.measurements import noted
from lab.process import require
from lab.tripwire import Tripwire
from tests.soak.judgement import ALL_DOWN, CUT, explanation
from tests.soak.ledger import Failure
from tests.soak.report import as_json, markdown
from tests.soak.settings import SHORT, Settings
from tests.soak.soak import PROGRAMS, soak
from tests.soak.verdict import verdict
from tests.soak.windows import Window, Windows


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.mark.parametrize(
    "settings",
    [SHORT, dataclasses.replace(SHORT, seconds=45.0, runner="serve", workers=2, seed=2)],
    ids=["mitmdump", "serve-2-workers"],
)
def test_nothing_is_wrong_lost_or_left_behind(settings: Settings, directory: Path, tripwire: Tripwire) -> None:
    for program in PROGRAMS:
        require(program)

    outcome = soak(settings, directory, tripwire=tripwire)

    checks = verdict(outcome)
    told = as_json(outcome, checks)
    noted(f"soak of {told['runner']}: {told['requests']:,} requests in {told['seconds']:.0f} s")
    assert all(check.holds for check in checks), f"\n{markdown(outcome, checks)}"


A, B = "127.0.0.1:1", "127.0.0.1:2"


def failure(begin: float, end: float, *, cut: bool = False, restartable: bool = True) -> Failure:
    return Failure("somebody", "GET /v2/", begin, end, "", restartable, cut)


@pytest.mark.parametrize(
    ("what", "seen", "expected"),
    [
        ("while both are down", failure(14, 15), ALL_DOWN),
        ("begun before both are down", failure(5, 13.5), ALL_DOWN),
        ("just after they are back, before anybody has to have looked", failure(16.5, 17), ALL_DOWN),
        ("when there was time to look again", failure(18.5, 19), None),
        ("while one is down", failure(11, 12), None),
        ("before anything was down", failure(1, 2), None),
        ("a blob, when one goes down", failure(9, 11, cut=True), CUT),
        ("a blob, when one has been down for long", failure(11, 12, cut=True), None),
        ("of a registry that is not restarted", failure(14, 15, restartable=False), None),
    ],
)
def test_a_failure_is_explained_by_what_was_down_and_by_nothing_else(
    what: str, seen: Failure, expected: str | None
) -> None:
    windows = Windows((A, B))
    windows.add(Window(A, 10, 16))
    windows.add(Window(B, 13, 16))
    assert explanation(seen, windows) == expected, what
