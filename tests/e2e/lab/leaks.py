"""Knows what a process holds on to: open files and memory, before and after something was done many times."""

from __future__ import annotations

import os
from collections.abc import Callable

from .process import rss_kib, wait_until


def open_files(pid: int) -> int:
    """How many file descriptors the process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def assert_nothing_is_kept(pid: int, act: Callable[[], object], *, growth_max_kib: int = 24 * 1024) -> None:
    """Do it twice, and assert that the second time left no more open files and about as much memory as the first."""
    before = open_files(pid)
    act()
    wait_until(lambda: open_files(pid) <= before, "all files are closed")
    memory = rss_kib(pid)
    act()
    wait_until(lambda: open_files(pid) <= before, "all files are closed")
    grown = rss_kib(pid) - memory
    assert grown < growth_max_kib, f"{grown} KiB more after the second time"
