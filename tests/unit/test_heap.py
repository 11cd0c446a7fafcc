"""Memory that is free is given back, for as long as the addon runs."""

from __future__ import annotations

import asyncio
import os
import platform
from pathlib import Path

from oci_ns.heap import HeapTrimming, trimmer

SIZE = 2000
"""Too big for Python's own pools, and too small for the C library to take from the system one by one."""
BYTES = 64 << 20
KEPT_OF = 50


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_memory_is_trimmed_from_begin_to_end() -> None:
    trims = asyncio.Event()
    count = 0

    def trim() -> None:
        nonlocal count
        count += 1
        trims.set()

    async def run() -> int:
        trimming = HeapTrimming(trim, every=0)
        trimming.begin()
        trimming.begin()
        await trims.wait()
        trimming.end()
        trimming.end()
        before = count
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return before

    assert asyncio.run(run()) == count


def test_where_the_c_library_gives_nothing_back_there_is_nothing_to_do() -> None:
    async def run() -> int:
        trimming = HeapTrimming(None)
        trimming.begin()
        trimming.end()
        return len(asyncio.all_tasks())

    assert asyncio.run(run()) == 1


def test_free_memory_between_what_is_in_use_goes_back_to_the_system() -> None:
    trim = trimmer()
    assert (trim is not None) is (platform.libc_ver()[0] == "glibc")
    if trim is None:
        return
    blocks = [bytes(SIZE) for _ in range(BYTES // SIZE)]
    kept = blocks[::KEPT_OF]
    del blocks
    before = resident()
    trim()
    assert resident() < before - BYTES // 2
    assert len(kept) == -(-(BYTES // SIZE) // KEPT_OF)
