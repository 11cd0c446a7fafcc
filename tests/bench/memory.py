"""Knows how much memory a program occupies: the process and all that it has started."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from lab.process import peak_rss_kib, reset_peak_rss, rss_kib

_KIB_PER_MIB = 1024


def resident_mib(pid: int) -> float:
    """What the program occupies now, in MiB; what its processes share counts for each of them."""
    return sum(rss_kib(each) for each in session(pid)) / _KIB_PER_MIB


def peak_mib(pid: int) -> float:
    """The most it has occupied since `forget_peak`, in MiB."""
    return sum(peak_rss_kib(each) for each in session(pid)) / _KIB_PER_MIB


def forget_peak(pid: int) -> None:
    """Let the peak start anew."""
    for each in session(pid):
        reset_peak_rss(each)


def session(pid: int) -> list[int]:
    """The processes of a program that was started as the first of its own session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(ProcessLookupError):
                if os.getsid(int(entry.name)) == pid:
                    found.append(int(entry.name))
    return found
