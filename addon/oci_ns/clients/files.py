"""The files of a machine below a root: read, and written so that nothing is lost that was there before."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from oci_ns.clients.plan import File, SetupError
from oci_ns.whole_file import replace_file

_DIRECTORY_MODE = 0o755


@dataclass(frozen=True, slots=True)
class Written:
    """A file that was written or removed, and where its earlier content is now, if it had one."""

    file: File
    backup: Path | None


class Root:
    """The file system of the machine that is set up: this one, or what is mounted at a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = Path(os.path.realpath(directory))

    def text(self, path: str) -> str | None:
        """What is in a file; None where there is none. Raises SetupError where it cannot be read as UTF-8."""
        try:
            return self._place(path).read_bytes().decode()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SetupError(f"{path} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise SetupError(f"{path} is not UTF-8") from None

    def names(self, directory: str) -> list[str]:
        """The names in a directory, sorted; none where there is no such directory. Raises SetupError."""
        try:
            return sorted(os.listdir(self._place(directory)))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise SetupError(f"{directory} cannot be listed: {error.strerror}") from None

    def exists(self, path: str) -> bool:
        """Whether there is such a file or directory. Raises SetupError where that is not for us to know."""
        try:
            return self._place(path).exists()
        except OSError as error:
            raise SetupError(f"{path} cannot be read: {error.strerror}") from None

    def write(self, files: Iterable[File], now: datetime) -> list[Written]:
        """Write what differs, each file at once and whole, its earlier content kept beside it where it is to be.

        Raises SetupError, with what was written before, where one cannot be written.
        """
        done: list[Written] = []
        for file in files:
            if file.state == "unchanged":
                continue
            try:
                if self.text(file.path) != file.before:
                    raise SetupError(f"{file.path} has changed meanwhile: run this again")
                done.append(self._write(file, now))
            except OSError as error:
                raise SetupError(f"{file.path} cannot be written: {error.strerror}{_before(done)}") from None
            except SetupError as error:
                raise SetupError(f"{error}{_before(done)}") from None
        return done

    def _place(self, path: str) -> Path:
        """Where a file of the machine really is. Raises SetupError where a link leads out of the root."""
        place = Path(os.path.realpath(self._directory / path.lstrip("/")))
        if not place.is_relative_to(self._directory):
            raise SetupError(f"{path} leads out of {self._directory}, to {place}: give the file itself")
        return place

    def _write(self, file: File, now: datetime) -> Written:
        place = self._place(file.path)
        _make_directory(place.parent)
        backup = _back_up(place, now) if file.before is not None and file.backed_up else None
        try:
            if file.after is None:
                place.unlink()
            else:
                replace_file(place, file.after.encode(), place.stat() if file.before is not None else None)
        except OSError:
            if backup is not None:
                backup.unlink()
            raise
        return Written(file, backup)


def _before(done: list[Written]) -> str:
    return f"; written before: {', '.join(each.file.path for each in done)}" if done else ""


def _make_directory(directory: Path) -> None:
    if directory.is_dir():
        return
    _make_directory(directory.parent)
    directory.mkdir(exist_ok=True)
    # Whatever the umask: these files are for everybody to read.
    directory.chmod(_DIRECTORY_MODE)


def _back_up(place: Path, now: datetime) -> Path:
    stem = f"{place.name}.bak-{now:%Y%m%d%H%M%S}"
    number = 0
    while True:
        backup = place.with_name(f"{stem}-{number}" if number else stem)
        try:
            # Never onto a backup that is there.
            os.close(os.open(backup, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            number += 1
            continue
        try:
            shutil.copy2(place, backup)
            status = place.stat()
            os.chown(backup, status.st_uid, status.st_gid)
        except OSError:
            backup.unlink()
            raise
        return backup
