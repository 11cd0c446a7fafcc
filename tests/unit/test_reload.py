"""When files are read again, and what is in use meanwhile."""

from __future__ import annotations

import asyncio
import errno
import functools
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from oci_ns.conf_files import FILE_SIZE_MAX, Sources, find_sources
from oci_ns.file_watch import Fingerprint, fingerprint_of
from oci_ns.index import RouteIndex
from oci_ns.problems import ConfigurationError
from oci_ns.reload import Find, Loaded, Reloader, load_index
from tests.unit.changes import FIRST, SECOND, WAYS, conf

INTERVAL = 0.02
THIRD = "third.example.com"
BROKEN = "[[registry]]\n"


class Files:
    """A registries.conf with a directory of drop-ins, and a reloader that keeps what comes of them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "registries.conf"
        self.path.write_text(conf(FIRST))
        self.drop_ins = directory / "d"
        self.drop_ins.mkdir()
        self.used: list[list[str]] = []
        self.looks = 0
        self.reads = 0
        self.before_look: Callable[[], object] = lambda: None
        self.while_reading: Callable[[], object] = lambda: None
        self.reloader = Reloader(self.use, interval=INTERVAL, look=self.look, read=self.read)

    def sources(self) -> Sources:
        return Sources(self.path, (self.drop_ins,))

    def use(self, index: RouteIndex) -> None:
        assert threading.current_thread() is threading.main_thread()
        self.used.append([registry.prefix for registry in index.registries])

    def look(self, sources: Sources) -> Fingerprint:
        self.looks += 1
        self.before_look()
        return fingerprint_of(sources)

    def read(self, sources: Sources) -> Loaded:
        self.reads += 1
        try:
            return load_index(sources)
        finally:
            self.while_reading()

    @property
    def in_use(self) -> list[str]:
        return self.used[-1]

    @asynccontextmanager
    async def watched(self, find: Find | None = None) -> AsyncIterator[None]:
        self.reloader.replace(find or self.sources)
        task = asyncio.create_task(self.reloader.watch())
        await self.some_looks()
        try:
            yield
        finally:
            assert not task.done(), task
            task.cancel()

    async def some_looks(self) -> None:
        """Let as much time pass as any change needs."""
        until = self.looks + 8
        await eventually(lambda: self.looks >= until)

    async def comes_into_use(self, *prefixes: str) -> None:
        await eventually(lambda: self.in_use == list(prefixes))


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)


@pytest.fixture
def files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Files:
    caplog.set_level(logging.INFO, "oci_ns")
    return Files(tmp_path)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def loads(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [message for message in caplog.messages if " registries from " in message]


@pytest.mark.parametrize("way", WAYS)
def test_a_changed_file_comes_into_use(way: str, files: Files, caplog: pytest.LogCaptureFixture) -> None:
    lay_out, change = WAYS[way]
    files.path.unlink()
    lay_out(files.directory, conf(FIRST))

    async def check() -> None:
        async with files.watched():
            assert files.in_use == [FIRST]
            change(files.directory, conf(SECOND))
            await files.comes_into_use(SECOND)
            await files.some_looks()

    asyncio.run(check())
    assert loads(caplog) == [f"1 registries from {files.path}"] * 2
    assert files.used == [[FIRST], [SECOND]]
    assert errors(caplog) == []


def test_a_drop_in_counts_when_it_comes_when_it_changes_and_when_it_goes(files: Files) -> None:
    async def check() -> None:
        async with files.watched():
            drop_in = files.drop_ins / "a.conf"
            drop_in.write_text(conf(SECOND))
            await files.comes_into_use(FIRST, SECOND)
            drop_in.write_text(conf(THIRD))
            await files.comes_into_use(FIRST, THIRD)
            drop_in.unlink()
            await files.comes_into_use(FIRST)

    asyncio.run(check())


def test_a_users_file_that_appears_in_the_search_path_hides_the_systems(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oci_ns.conf_files._SYSTEM_CONF", files.path)
    monkeypatch.setattr("oci_ns.conf_files._SYSTEM_DROP_INS", files.drop_ins)
    home = files.directory / "home"
    users = home / ".config" / "containers" / "registries.conf"
    users.parent.mkdir(parents=True)

    async def check() -> None:
        async with files.watched(functools.partial(find_sources, "system", "", {"HOME": str(home)})):
            assert files.in_use == [FIRST]
            users.write_text(conf(SECOND))
            await files.comes_into_use(SECOND)
            users.unlink()
            await files.comes_into_use(FIRST)

    asyncio.run(check())


def vanish(path: Path) -> None:
    path.unlink()


def become_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def become_huge(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(FILE_SIZE_MAX + 1)


def lead_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def hold(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "gone": (vanish, "{}: cannot be read: No such file or directory"),
    "a directory": (become_a_directory, "{}: cannot be read: Is a directory"),
    "huge": (become_huge, "{}: is larger than 64 MiB"),
    "a link to itself": (lead_to_itself, "{}: cannot be read: Too many levels of symbolic links"),
    "not TOML": (hold(b"x"), "{}:1: is not valid TOML: Expected '=' after a key in a key/value pair"),
    "not a registries.conf": (
        hold(BROKEN.encode()),
        "{}:1: [[registry]] 1: has neither a location nor a prefix; give it at least a location",
    ),
    "not UTF-8": (hold(b"\xff"), "{}:1: is not UTF-8"),
}


@pytest.mark.parametrize("what", SPOILED)
def test_of_a_file_that_does_not_load_one_error_is_logged_and_the_last_good_one_stays_until_it_is_right_again(
    what: str, files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    spoil, message = SPOILED[what]

    async def check() -> None:
        async with files.watched():
            spoil(files.path)
            await eventually(lambda: errors(caplog) != [])
            await files.some_looks()
            assert errors(caplog) == [f"{message.format(files.path)}; what was loaded before stays in use"]
            assert files.used == [[FIRST]]
            files.path.rmdir() if files.path.is_dir() else files.path.unlink(missing_ok=True)
            await files.some_looks()
            files.path.write_text(conf(SECOND))
            await files.comes_into_use(SECOND)

    asyncio.run(check())


def test_each_change_that_does_not_load_is_an_error_of_its_own(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> None:
        async with files.watched():
            for count in (1, 2):
                files.path.write_text(BROKEN + "\n" * count)
                await eventually(functools.partial(lambda wanted: len(errors(caplog)) == wanted, count))

    asyncio.run(check())


def test_a_file_that_could_not_be_read_is_read_when_it_can_be_though_it_looks_the_same(
    files: Files, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = 0

    def too_many_open_files(*_: object) -> NoReturn:
        nonlocal opened
        opened += 1
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async def check() -> None:
        async with files.watched():
            with monkeypatch.context() as patched:
                patched.setattr(Path, "open", too_many_open_files)
                os.utime(files.path)
                await eventually(lambda: errors(caplog) != [])
                at_first = opened
                await eventually(lambda: opened > at_first + 2)
            await eventually(lambda: len(loads(caplog)) == 2)
            reads = files.reads
            await files.some_looks()
            assert files.reads == reads

    asyncio.run(check())
    assert errors(caplog) == [f"{files.path}: cannot be read: Too many open files; what was loaded before stays in use"]


def test_a_file_that_does_not_load_is_read_no_more_while_it_looks_the_same(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    async def check() -> None:
        async with files.watched():
            files.path.write_text(BROKEN)
            await eventually(lambda: errors(caplog) != [])
            await files.some_looks()
            reads = files.reads
            await files.some_looks()
            assert files.reads == reads

    asyncio.run(check())


def test_a_file_that_comes_back_as_it_was_is_in_use_again_and_says_so(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    async def check() -> None:
        async with files.watched():
            files.path.rename(files.directory / "away")
            await eventually(lambda: errors(caplog) != [])
            (files.directory / "away").rename(files.path)
            await eventually(lambda: len(loads(caplog)) == 2)

    asyncio.run(check())
    assert files.used == [[FIRST], [FIRST]]


def test_a_file_that_is_still_being_written_is_not_read(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    text = conf(SECOND)
    reads: list[int] = []

    def write_on() -> None:
        if 10 * len(reads) < len(text):
            reads.append(files.reads)
            files.path.write_text(text[: 10 * len(reads)])

    async def check() -> None:
        async with files.watched():
            files.before_look = write_on
            await files.comes_into_use(SECOND)

    asyncio.run(check())
    assert len(set(reads)) == 1
    assert files.used == [[FIRST], [SECOND]]
    assert errors(caplog) == []


def test_what_changes_just_before_it_is_read_has_to_rest_first(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    texts: dict[int, str] = {}

    def change() -> None:
        text = texts.get(files.looks)
        if text is not None:
            files.path.write_text(text)

    async def check() -> None:
        async with files.watched():
            # Two looks that see the same; then a reading: a look, the files, a look; then the next look.
            first = files.looks + 1
            texts.update({first: conf(SECOND), first + 2: BROKEN, first + 4: conf(THIRD)})
            files.before_look = change
            await files.comes_into_use(THIRD)

    asyncio.run(check())
    assert errors(caplog) == []
    assert files.used == [[FIRST], [THIRD]]


@pytest.mark.parametrize("asked", [False, True])
def test_what_changes_while_it_is_read_is_read_again_and_its_halves_are_never_in_use(
    asked: bool, files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    def change_meanwhile() -> None:
        files.while_reading = lambda: None
        (files.drop_ins / "a.conf").write_text(conf(THIRD))

    async def check() -> None:
        async with files.watched():
            files.while_reading = change_meanwhile
            files.path.write_text(conf(SECOND))
            if asked:
                files.reloader.ask()
            await files.comes_into_use(SECOND, THIRD)

    asyncio.run(check())
    assert files.used == [[FIRST], [SECOND, THIRD]]
    assert errors(caplog) == []


def test_what_never_rests_while_it_is_read_is_read_as_soon_as_it_does(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    numbers: Iterator[int] = iter(range(10**6))

    def change_meanwhile() -> None:
        (files.drop_ins / "a.conf").write_text("\n" * next(numbers))

    async def check() -> None:
        async with files.watched():
            files.while_reading = change_meanwhile
            files.path.write_text(BROKEN)
            files.reloader.ask()
            await files.some_looks()
            assert errors(caplog) == []
            files.path.write_text(conf(SECOND))
            files.while_reading = lambda: None
            await files.comes_into_use(SECOND)

    asyncio.run(check())


def test_asked_it_reads_at_once_even_if_nothing_changed(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> None:
        files.reloader = Reloader(files.use, interval=3600, read=files.read)
        files.reloader.replace(files.sources)
        task = asyncio.create_task(files.reloader.watch())
        for count in (2, 3):
            files.reloader.ask()
            await eventually(functools.partial(lambda wanted: len(files.used) == wanted, count))
        files.path.write_text(BROKEN)
        for count in (1, 2):
            files.reloader.ask()
            await eventually(functools.partial(lambda wanted: len(errors(caplog)) == wanted, count))
        task.cancel()

    asyncio.run(check())
    assert len(loads(caplog)) == 3


def test_nothing_is_read_while_nothing_changes(files: Files) -> None:
    async def check() -> None:
        async with files.watched():
            reads = files.reads
            await files.some_looks()
            assert files.reads == reads

    asyncio.run(check())


def test_a_change_within_the_same_step_of_the_clock_is_found(
    files: Files, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # All of a file's looks but its content stay the same, as in a step of the clock.
    seen = fingerprint_of(files.sources())
    monkeypatch.setattr("tests.unit.test_reload.fingerprint_of", lambda _: seen)

    async def check() -> None:
        files.reloader.replace(files.sources)
        files.path.write_text(conf(SECOND))
        task = asyncio.create_task(files.reloader.watch())
        await files.comes_into_use(SECOND)
        await files.some_looks()
        task.cancel()

    asyncio.run(check())
    assert files.reads == 2
    assert len(loads(caplog)) == 2


def test_other_files_win_over_what_is_being_read_of_the_former(files: Files) -> None:
    reading, go_on = threading.Event(), threading.Event()
    other = files.directory / "other.conf"
    other.write_text(conf(THIRD))

    def wait() -> None:
        files.while_reading = lambda: None
        reading.set()
        assert go_on.wait(10)

    async def check() -> None:
        async with files.watched():
            for ask in (False, True):
                files.while_reading = wait
                files.path.write_text(conf(SECOND) + "\n" * ask)
                if ask:
                    files.reloader.ask()
                await eventually(reading.is_set)
                files.reloader.replace(lambda: Sources(other))
                go_on.set()
                await files.some_looks()
                assert files.used[-1] == [THIRD]
                assert [SECOND] not in files.used
                files.path.write_text(conf(FIRST))
                files.reloader.replace(files.sources)
                reading.clear()
                go_on.clear()

    asyncio.run(check())


def test_other_files_that_do_not_load_are_refused_and_still_watched(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    async def check() -> None:
        async with files.watched():
            files.path.write_text(BROKEN)
            with pytest.raises(ConfigurationError):
                files.reloader.replace(files.sources)
            await files.some_looks()
            assert files.used == [[FIRST]]
            files.path.write_text(conf(SECOND))
            await files.comes_into_use(SECOND)

    asyncio.run(check())
    assert errors(caplog) == []


def test_what_nobody_foresaw_is_logged_once_and_the_files_are_watched_on(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ZeroDivisionError("unforeseen")

    async def check() -> None:
        async with files.watched():
            files.while_reading = fail
            files.path.write_text(conf(SECOND))
            await eventually(lambda: errors(caplog) != [])
            await files.some_looks()
            files.while_reading = lambda: None
            files.path.write_text(conf(THIRD))
            await files.comes_into_use(THIRD)

    asyncio.run(check())
    assert errors(caplog) == ["unforeseen; what was loaded before stays in use"]


def test_the_loop_goes_on_while_files_are_read(files: Files) -> None:
    waited, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        waited.set()
        assert go_on.wait(10)

    async def check() -> None:
        async with files.watched():
            files.while_reading = wait
            files.path.write_text(conf(SECOND))
            # Only a loop that goes on gets to see this, and to let the reader go on.
            await eventually(waited.is_set)
            assert files.in_use == [FIRST]
            files.while_reading = lambda: None
            go_on.set()
            await files.comes_into_use(SECOND)

    asyncio.run(check())


def test_warnings_are_logged_with_the_configuration_they_are_about(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    async def check() -> None:
        async with files.watched():
            files.path.write_text(conf(SECOND) + "isecure = true\n")
            await files.comes_into_use(SECOND)

    asyncio.run(check())
    assert [message for message in caplog.messages if "did you mean insecure?" in message] != []
