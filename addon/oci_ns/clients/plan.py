"""What setting up a client comes to: files before and after, commands to run then, and what else is to be known.

Pure: the files of the machine are asked for through `Files`, and nothing is written here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

MARK = "# Written by ns-inject client, which replaces the whole file when it is run again."
"""The first line of a file that is ours alone."""


class SetupError(Exception):
    """The client cannot be set up so. Its text is one line that says what to do."""


class Files(Protocol):
    """The files of the machine that is set up, by absolute paths as they are there."""

    def text(self, path: str) -> str | None:
        """What is in a file; None where there is none. Raises SetupError where it cannot be read."""

    def names(self, directory: str) -> list[str]:
        """The names in a directory, sorted; none where there is no such directory."""

    def exists(self, path: str) -> bool:
        """Whether there is such a file or directory. Raises SetupError where that cannot be known."""


@dataclass(frozen=True, slots=True)
class File:
    """A file by its path on the client; None as its content is no file.

    `backed_up`: whether what was there is kept beside it.
    """

    path: str
    before: str | None
    after: str | None
    backed_up: bool = True

    @property
    def state(self) -> str:
        """What becomes of it: `new`, `changed`, `unchanged` or `removed`."""
        if self.before == self.after:
            return "unchanged"
        if self.after is None:
            return "removed"
        return "new" if self.before is None else "changed"


@dataclass(frozen=True, slots=True)
class Plan:
    """Files to write, then commands to run there, and notes: sentences on what this does not do."""

    files: tuple[File, ...] = ()
    commands: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __add__(self, other: Plan) -> Plan:
        """Both, each file, command and note once; of a file in both, what this plan makes of it."""
        mine = {file.path for file in self.files}
        return Plan(
            (*self.files, *(file for file in other.files if file.path not in mine)),
            tuple(dict.fromkeys((*self.commands, *other.commands))),
            tuple(dict.fromkeys((*self.notes, *other.notes))),
        )


def is_ours(text: str | None) -> bool:
    """Whether a file's content is what was written here."""
    return text is not None and text.startswith(MARK)


def own_file(files: Files, path: str, content: str, instead: str) -> File:
    """A file that is ours alone. Raises SetupError with `instead`, what to do, where somebody else's is there."""
    before = files.text(path)
    if before is not None and not is_ours(before):
        raise SetupError(f"{path} is there and not from ns-inject, so it is left as it is: {instead}")
    return File(path, before, f"{MARK}\n{content}")


def without(files: Files, paths: tuple[str, ...], kept: tuple[File, ...]) -> tuple[File, ...]:
    """Those of the paths that were written here, for another recipe, and are not among the kept: to be removed."""
    needed = {file.path for file in kept}
    texts = ((path, files.text(path)) for path in paths if path not in needed)
    return tuple(File(path, text, None) for path, text in texts if is_ours(text))
