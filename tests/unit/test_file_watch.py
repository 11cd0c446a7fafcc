"""The fingerprint: what changes it, and what does not."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from oci_ns.conf_files import Sources
from oci_ns.file_watch import fingerprint_of
from tests.unit.changes import FIRST, SECOND, WAYS, conf

MAIN, DROP_INS = "registries.conf", "drop-ins"


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    (tmp_path / MAIN).write_text(conf(FIRST))
    (tmp_path / DROP_INS).mkdir()
    (tmp_path / DROP_INS / "a.conf").write_text("")
    return Sources(tmp_path / MAIN, (tmp_path / DROP_INS, tmp_path / "none"))


@pytest.mark.parametrize("way", WAYS)
def test_a_change_of_the_file_shows(way: str, tmp_path: Path) -> None:
    lay_out, change = WAYS[way]
    lay_out(tmp_path, conf(FIRST))
    sources = Sources(tmp_path / MAIN)
    before = fingerprint_of(sources)
    step_of_the_clock(tmp_path)
    change(tmp_path, conf(SECOND))
    assert fingerprint_of(sources) != before


def step_of_the_clock(directory: Path) -> None:
    """Wait until a file that is changed now gets another time."""
    probe = directory / "probe"
    probe.write_text("")
    before = probe.stat().st_mtime_ns
    while probe.stat().st_mtime_ns == before:
        probe.write_text("")
    probe.unlink()


def another_directory_appears(at: Path) -> None:
    (at / "none").mkdir()
    (at / "none" / "a.conf").write_text("")


def becomes_a_directory(at: Path) -> None:
    (at / MAIN).unlink()
    (at / MAIN).mkdir()


def becomes_a_pipe(at: Path) -> None:
    (at / MAIN).unlink()
    os.mkfifo(at / MAIN)


def leads_to_itself(at: Path) -> None:
    (at / MAIN).unlink()
    (at / MAIN).symlink_to(MAIN)


def drop_in_directory_becomes_a_file(at: Path) -> None:
    (at / DROP_INS).rename(at / "away")
    (at / DROP_INS).write_text("")


SHOWS: dict[str, Callable[[Path], object]] = {
    "a drop-in is added": lambda at: (at / DROP_INS / "b.conf").write_text(""),
    "a drop-in is removed": lambda at: (at / DROP_INS / "a.conf").unlink(),
    "a drop-in is renamed": lambda at: (at / DROP_INS / "a.conf").rename(at / DROP_INS / "c.conf"),
    "a drop-in is written": lambda at: (at / DROP_INS / "a.conf").write_text("# more"),
    "a drop-in leads nowhere": lambda at: (at / DROP_INS / "d.conf").symlink_to("nowhere"),
    "another drop-in directory appears": another_directory_appears,
    "the file vanishes": lambda at: (at / MAIN).unlink(),
    "the file is a directory": becomes_a_directory,
    "the file is a pipe": becomes_a_pipe,
    "nobody may read it": lambda at: (at / MAIN).chmod(0),
    "the link leads to itself": leads_to_itself,
    "the drop-in directory is a file": drop_in_directory_becomes_a_file,
}


@pytest.mark.parametrize("what", SHOWS)
def test_it_shows_that(what: str, sources: Sources, tmp_path: Path) -> None:
    before = fingerprint_of(sources)
    step_of_the_clock(tmp_path)
    SHOWS[what](tmp_path)
    assert fingerprint_of(sources) != before


SHOWS_NOT: dict[str, Callable[[Path], object]] = {
    "nothing happens": lambda _: None,
    "the file is read": lambda at: (at / MAIN).read_text(),
    "a neighbour is written": lambda at: (at / "neighbour").write_text(""),
    "a file that is no drop-in is written": lambda at: (at / DROP_INS / "a.conf.swp").write_text(""),
    "a directory is named like a drop-in": lambda at: (at / DROP_INS / "d.conf").mkdir(),
    "a directory without drop-ins appears": lambda at: (at / "none").mkdir(),
}


@pytest.mark.parametrize("what", SHOWS_NOT)
def test_it_does_not_matter_that(what: str, sources: Sources, tmp_path: Path) -> None:
    before = fingerprint_of(sources)
    step_of_the_clock(tmp_path)
    SHOWS_NOT[what](tmp_path)
    assert fingerprint_of(sources) == before


def test_what_happens_in_a_directory_in_the_files_place_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / MAIN).mkdir()
    before = fingerprint_of(Sources(tmp_path / MAIN))
    (tmp_path / MAIN / "more").write_text("")
    assert fingerprint_of(Sources(tmp_path / MAIN)) == before


def test_a_file_is_fresh_until_time_has_passed_since_its_last_change(sources: Sources) -> None:
    assert sources.main is not None
    long_ago = time.time_ns() - 3600 * 10**9
    os.utime(sources.main, ns=(long_ago, long_ago))
    changed = sources.main.stat().st_ctime_ns
    seen = fingerprint_of(sources)
    assert seen.fresh(changed, 10**9)
    assert seen.fresh(changed + 10**9 - 1, 10**9)
    assert not seen.fresh(changed + 10**9, 10**9)
