"""What is wrong with a configuration, and where: one line a person can act on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from oci_ns.discreet import without_logins
from oci_ns.printable import printable

UNREADABLE = "unreadable"
"""The code of a file that cannot be read."""
NOT_TOML = "not-toml"
"""The code of a file whose text is not TOML."""
SHADOWED = "shadowed"
"""The code of a table that another one hides."""
UNREACHABLE = "unreachable"
"""The code of a table that nothing can match."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to tell the user about a configuration: file, line (None where not known), one sentence.

    `code` names the kind of problem for programs and never changes its meaning; `hint` says what to do about it, and
    is '' where the message does.
    """

    path: Path
    line: int | None
    message: str
    code: str = "invalid"
    hint: str = ""

    def __post_init__(self) -> None:
        # What is quoted of a configuration may have a login in it, be it by mistake.
        object.__setattr__(self, "message", without_logins(self.message))

    @property
    def place(self) -> str:
        """File and line as compilers write them."""
        return f"{self.path}:{self.line}" if self.line is not None else str(self.path)

    @property
    def text(self) -> str:
        """The message, and what to do about it."""
        return self.message + (f"; {self.hint}" if self.hint else "")

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


class ConfigurationError(Exception):
    """A configuration that does not load. Its text is one line, about the first problem: file, line, what is wrong."""

    def __init__(self, *problems: Problem) -> None:
        first, *others = problems
        more = f" (and {len(others)} more; ns-inject check lists them all)" if others else ""
        super().__init__(f"{printable(str(first))}{more}")
        self.problems = problems
