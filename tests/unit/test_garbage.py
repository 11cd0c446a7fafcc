"""Many objects come and go without a long stop: no collection while they come, and a thread of its own frees them."""

from __future__ import annotations

import gc
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

from oci_ns.background import TURN_SECONDS, start_background
from oci_ns.conf_files import Sources
from oci_ns.garbage import collector_paused, free_slowly, free_slowly_with
from oci_ns.index import RouteIndex
from oci_ns.locations import Location
from oci_ns.reload import load_index
from tests.unit.changes import conf


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


class Part:
    """Notes which thread frees it."""

    def __init__(self, freed: list[threading.Thread], holds: object = None) -> None:
        self.freed = freed
        self.holds = holds

    def __del__(self) -> None:
        self.freed.append(threading.current_thread())


class Whole:
    """Holds its parts."""

    def __init__(self, parts: list[object]) -> None:
        self.parts = tuple(parts)


def test_the_parts_are_freed_elsewhere_and_only_when_nobody_uses_the_whole() -> None:
    freed: list[threading.Thread] = []
    first = Part(freed)
    parts: list[object] = [first, Part(freed, holds=first)]
    del first
    whole = Whole(parts)
    free_slowly_with(whole, parts)
    del parts
    user = whole
    del whole
    time.sleep(0.3)
    assert freed == []
    del user
    eventually(lambda: len(freed) == 2)
    assert threading.main_thread() not in freed


def test_a_list_is_freed_from_its_end() -> None:
    order: list[int] = []

    class Numbered:
        def __init__(self, number: int) -> None:
            self.number = number

        def __del__(self) -> None:
            order.append(self.number)

    items: list[object] = [Numbered(number) for number in range(3)]
    free_slowly(items)
    assert items == []
    assert order == [2, 1, 0]


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_rests_and_is_afterwards_as_it_was(enabled: bool) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with collector_paused():
            assert not gc.isenabled()
        assert gc.isenabled() is enabled
        with pytest.raises(ZeroDivisionError), collector_paused():
            raise ZeroDivisionError
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()


def test_many_new_objects_are_not_visited_by_the_next_young_collection_and_none_is_kept_for_ever() -> None:
    with collector_paused():
        many = [[index] for index in range(200_000)]
        assert len(gc.get_objects(generation=0)) > 200_000
    assert len(gc.get_objects(generation=0)) < 100_000
    assert gc.get_freeze_count() == 0
    assert many


def test_threads_take_short_turns_while_and_only_while_one_works() -> None:
    before = sys.getswitchinterval()
    ends = [threading.Event() for _ in range(2)]
    seen: list[float] = []
    for end in ends:
        started = threading.Event()

        def work(started: threading.Event = started, end: threading.Event = end) -> None:
            seen.append(sys.getswitchinterval())
            started.set()
            end.wait(10)

        start_background(work)
        assert started.wait(10)
    assert seen == [pytest.approx(TURN_SECONDS)] * 2
    ends[0].set()
    assert sys.getswitchinterval() == pytest.approx(TURN_SECONDS)
    ends[1].set()
    eventually(lambda: sys.getswitchinterval() == before)


def test_the_collector_has_next_to_nothing_to_visit_in_a_large_table(tmp_path: Path) -> None:
    path = tmp_path / "registries.conf"
    path.write_text("".join(conf(f"r{number}.example.com") for number in range(3000)))
    gc.collect()
    before = len(gc.get_objects())
    loaded = load_index(Sources(path))
    gc.collect()
    assert len(gc.get_objects()) < before + 500
    assert len(loaded.index.registries) == 3000


def held_by(index: RouteIndex) -> Iterator[object]:
    """Everything that an index leads to, but for classes, functions and modules."""
    seen: set[int] = set()
    todo: list[object] = [index]
    while todo:
        found = todo.pop()
        if id(found) not in seen and not isinstance(found, type | FunctionType | ModuleType | str | int):
            seen.add(id(found))
            yield found
            todo += gc.get_referents(found)


@pytest.mark.parametrize("location", ["proxy.example.com/{}", "proxy.example.com", "proxy-{}.example.com/a:b"])
def test_all_of_an_index_that_takes_long_to_free_is_among_its_parts(location: str, tmp_path: Path) -> None:
    names = [f"r{number}.example.com" for number in range(50)]
    mirrors = [f'[[registry.mirror]]\nlocation = "{location.format(name)}"\nnamespace-proxy = "x"\n' for name in names]
    path = tmp_path / "registries.conf"
    path.write_text("".join(conf(name) + mirror for name, mirror in zip(names, mirrors, strict=True)))
    index = load_index(Sources(path)).index
    identities = {id(part) for part in index.parts()}
    long = [found for found in held_by(index) if isinstance(found, list | tuple | dict | set) and len(found) >= 50]
    assert len(long) > 5
    places = [found for found in held_by(index) if isinstance(found, Location)]
    in_places = {id(held) for place in places for held in held_by_place(place)}
    assert {id(found) for found in long} <= identities | in_places
    assert {id(place) for place in places} <= identities


def held_by_place(place: Location) -> Iterator[object]:
    yield from (place.namespaces.numbers, place.sources.numbers, place.open_namespaces, place.prefixes)


def test_an_index_is_gone_with_its_last_user_and_is_never_garbage(tmp_path: Path) -> None:
    path = tmp_path / "registries.conf"
    path.write_text(conf("r.example.com"))
    index = load_index(Sources(path)).index
    assert index.find("r.example.com", "a", "") is not None
    gone: list[Callable[[], object]] = [weakref.ref(index), weakref.ref(index.registries.rows)]
    gc.collect()
    gc.disable()
    try:
        del index
        eventually(lambda: all(reference() is None for reference in gone))
    finally:
        gc.enable()
