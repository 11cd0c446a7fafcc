"""What is wrong with a configuration, and where: one line a person can act on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to tell the user about a configuration: file, line (None where not known), one sentence."""

    path: Path
    line: int | None
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}" if self.line is not None else f"{self.path}: {self.message}"


class ConfigurationError(Exception):
    """A configuration that does not load. Its text is one line, about the first problem: file, line, what is wrong."""

    def __init__(self, *problems: Problem) -> None:
        first, *others = problems
        more = f" (and {len(others)} more; ns-inject check lists them all)" if others else ""
        super().__init__(f"{first}{more}")
        self.problems = problems
