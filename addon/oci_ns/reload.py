"""When a changed configuration is read again, and what becomes of it: in use as a whole, or logged and not in use.

Knows nothing of mitmproxy. Reads in a worker thread, so that a large table does not keep requests waiting, and hands
over what it has built on the event loop, once.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from oci_ns.background import in_background
from oci_ns.conf_files import Configuration, Sources, load
from oci_ns.file_watch import Fingerprint, fingerprint_of
from oci_ns.garbage import collector_paused, free_slowly_with, spare_the_young
from oci_ns.index import RouteIndex
from oci_ns.problems import ConfigurationError

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
"""A change is read when two looks in a row saw the same, so at the latest after two of these."""

_ATTEMPTS = 3
_REST = 20
"""Times as long as it took to fail: how long to wait before the same is tried again, for a twentieth of a processor."""
_MANY = 10_000
"""In registries: the containers that a larger table is made of take milliseconds to visit."""
_FRESH_NS = 100_000_000

Find = Callable[[], Sources]
"""Finds the files anew: one that appears in the search path counts, too."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration, and the same ready for requests."""

    configuration: Configuration
    index: RouteIndex


def _same(one: Loaded | Exception, other: Loaded | Exception) -> bool:
    """Whether nobody could tell one result from the other."""
    if isinstance(one, Loaded):
        return isinstance(other, Loaded) and one.configuration == other.configuration
    return str(one) == str(other)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What came of reading the files, and what they looked like before; `steady` if they still did afterwards.

    `fresh` tells that they may have changed since without looking any different, `news` that it is not the result of
    the reading before. `seconds` is how long it took.
    """

    result: Loaded | Exception
    fingerprint: Fingerprint
    steady: bool
    fresh: bool
    news: bool
    seconds: float

    @property
    def failed_outside(self) -> bool:
        """Whether the reason may lie outside of the files, and go away without a trace there: too many open files, say.

        The cause is what `load` says it is.
        """
        result = self.result
        return isinstance(result, OSError) or (isinstance(result, Exception) and isinstance(result.__cause__, OSError))


class Reloader:
    """Keeps a table up to date with the files it comes from.

    Belongs to one event loop, on which `use` is called with each new index. The loader and what it looks at may be
    anything: `read` raises ConfigurationError for files that do not load, `look` never raises.
    """

    def __init__(
        self,
        use: Callable[[RouteIndex], None],
        *,
        failed: Callable[[], None] = lambda: None,
        interval: float = POLL_SECONDS,
        look: Callable[[Sources], Fingerprint] = fingerprint_of,
        read: Callable[[Sources], Loaded] | None = None,
    ) -> None:
        """`failed` is called where changed files do not load. `interval` is in seconds."""
        self._use = use
        self._failed = failed
        self._interval = interval
        self._look = look
        self._read = read or load_index
        self._find: Find | None = None
        self._asked = asyncio.Event()
        self._generation = 0
        self._known: Fingerprint | None = None
        """What the files looked like when they were read last, if that is certain."""
        self._pending: Fingerprint | None = None
        """What they looked like at the last look, if that was something new."""
        self._last: Loaded | Exception | None = None
        self._again: float | None = None
        """When to read the files though they look the same (of `time.monotonic`), if ever."""

    def replace(self, find: Find) -> None:
        """Read other files, now. What is being read of the former ones in the meantime comes to nothing.

        Raises ConfigurationError where they do not load: what was in use stays, and these files are watched.
        """
        self._generation += 1
        self._find = find
        reading = self._take(find)
        self._settle(reading)
        self._last = reading.result
        if isinstance(reading.result, Exception):
            raise reading.result
        self._adopt(reading.result)

    def ask(self) -> None:
        """Have the files read at once, whether or not they have changed."""
        self._asked.set()

    async def watch(self) -> None:
        """Look at the files at each interval, until cancelled."""
        while True:
            try:
                await asyncio.wait_for(self._asked.wait(), self._interval)
            except TimeoutError:
                await self._poll()
            else:
                self._asked.clear()
                await self._read_at_once()

    async def _poll(self) -> None:
        find, generation = self._find, self._generation
        if find is None:
            return
        seen = await in_background(functools.partial(self._see, find))
        if generation != self._generation:
            return
        again = seen == self._known and self._again is not None and time.monotonic() >= self._again
        if not again and (seen == self._known or seen != self._pending):
            # Something new may be half-written: it is read when the next look sees the same.
            self._pending = None if seen == self._known else seen
            return
        former = self._last if again or self._known is None else None
        reading = await in_background(functools.partial(self._take, find, former))
        # What it looks like now must be what it looked like when it had rested.
        if generation == self._generation and reading.steady and reading.fingerprint == seen:
            self._known, self._pending = reading.fingerprint, None
            self._again = _again(reading)
            self._report(reading)

    async def _read_at_once(self) -> None:
        find, generation = self._find, self._generation
        if find is None:
            return
        for _ in range(_ATTEMPTS):
            reading = await in_background(functools.partial(self._take, find))
            if generation != self._generation:
                return
            if reading.steady:
                self._settle(reading)
                self._report(reading)
                return
        # They change faster than they can be read. Once they rest, they are read.
        self._known = self._pending = None

    def _settle(self, reading: _Reading) -> None:
        certain = reading.steady and not reading.fresh
        self._known, self._pending = reading.fingerprint if certain else None, None
        self._again = _again(reading)

    def _see(self, find: Find) -> Fingerprint:
        try:
            return self._look(find())
        except Exception as error:
            return Fingerprint((("", f"{type(error).__name__}: {error}"),))

    def _take(self, find: Find, former: Loaded | Exception | None = None) -> _Reading:
        """Read the files in the calling thread. Never raises. `former` is what it may turn out to be the same as."""
        before, now, begin = self._see(find), time.time_ns(), time.monotonic()
        result: Loaded | Exception
        try:
            result = self._read(find())
        except Exception as error:
            result = error
        return _Reading(
            result=result,
            fingerprint=before,
            steady=self._see(find) == before,
            fresh=before.fresh(now, _FRESH_NS),
            news=former is None or not _same(result, former),
            seconds=time.monotonic() - begin,
        )

    def _report(self, reading: _Reading) -> None:
        result = reading.result
        if not reading.news:
            return
        self._last = result
        if isinstance(result, Exception):
            self._failed()
            unforeseen = None if isinstance(result, ConfigurationError | OSError) else result
            logger.error("%s; what was loaded before stays in use", result, exc_info=unforeseen)
        else:
            self._adopt(result)

    def _adopt(self, loaded: Loaded) -> None:
        configuration = loaded.configuration
        for warning in configuration.warnings:
            logger.warning("%s", warning)
        self._use(loaded.index)
        files = ", ".join(str(path) for path in configuration.files) or "no file"
        logger.info("%d registries from %s", len(configuration.registries), files)


def _again(reading: _Reading) -> float | None:
    return time.monotonic() + _REST * reading.seconds if reading.failed_outside else None


def load_index(sources: Sources) -> Loaded:
    """Read the files and build the index. Raises ConfigurationError for files that do not load."""
    with collector_paused():
        configuration = load(sources)
        index = RouteIndex(configuration.registries)
        free_slowly_with(index, index.parts())
        if len(index.registries) > _MANY:
            spare_the_young()
    return Loaded(configuration, index)
