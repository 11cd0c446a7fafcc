"""What the files of a configuration look like from outside: a fingerprint that differs when any of them has changed.

Knows which files `Sources` means and what stat(2) tells of them; never opens one. A look costs one stat per file.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from oci_ns.conf_files import Sources


@dataclass(frozen=True, slots=True)
class FileState:
    """A regular file: where its content is, its size in bytes, and when content and anything else changed last (ns)."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """All files at one look. Two that are equal mean the same content, unless it was `fresh` at the first.

    `entries` are each path and what is there: a file, or in words what else or why it cannot be told.
    """

    entries: tuple[tuple[str, FileState | str], ...]

    def fresh(self, now: int, within: int) -> bool:
        """Whether a file was changed less than `within` before `now` (ns; `now` since the epoch).

        Time stamps come in steps (a few ms on Linux). A file can change again within one and look the same.
        """
        states = (state for _, state in self.entries if isinstance(state, FileState))
        return any(max(state.modified, state.changed) > now - within for state in states)


def fingerprint_of(sources: Sources) -> Fingerprint:
    """Look at every file that `sources` means now, symbolic links followed. Never raises OSError."""
    entries = [] if sources.main is None else [(str(sources.main), _state(sources.main))]
    for directory in sources.drop_in_directories:
        try:
            names = sorted(os.listdir(directory))
        except FileNotFoundError:
            continue
        except OSError as error:
            entries.append((str(directory), _why(error)))
            continue
        drop_ins = [(str(directory / name), _state(directory / name)) for name in names if name.endswith(".conf")]
        entries += [entry for entry in drop_ins if entry[1] != _DIRECTORY]
    return Fingerprint(tuple(entries))


def _state(path: Path) -> FileState | str:
    try:
        seen = path.stat()
    except OSError as error:
        return _why(error)
    if stat.S_ISREG(seen.st_mode):
        return FileState(seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
    # The times of a directory change with what is in it, those of a pipe with its use: no news.
    return _DIRECTORY if stat.S_ISDIR(seen.st_mode) else "no regular file"


_DIRECTORY = "a directory"


def _why(error: OSError) -> str:
    return error.strerror or str(error)
