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
    """A configuration that does not load; its text is one line: file, line, what is wrong, what is allowed."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem
