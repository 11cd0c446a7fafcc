"""One run of libFuzzer over one target, in a process of its own, and what it said."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz import ROOT
from tests.fuzz.catalogue import write_seeds, write_words
from tests.fuzz.target import Target

COMMAND = (sys.executable, "-m", "tests.fuzz.under_atheris")

_INPUT_BYTES_MAX = 8192
_INPUT_SECONDS_MAX = 20
_MEBIBYTES_MAX = 2048
_KINDS = ("crash", "timeout", "oom", "leak")
_REPORT_LINES_MAX = 40
_PROGRESS = re.compile(r"cov: (\d+) ft: \d+ corp: (\d+)")
_EXECUTIONS = re.compile(r"^stat::number_of_executed_units:\s*(\d+)", re.MULTILINE)


class FuzzingError(Exception):
    """The fuzzer ended by itself, without a finding: what it said last."""


@dataclass(frozen=True)
class Outcome:
    """What a run did: inputs tried, edges of the code reached, inputs kept, and the one that showed a fault, if any."""

    target: str
    executions: int
    edges: int
    kept: int
    finding: Path | None = None
    report: str = ""
    """How the fault showed; '' where there is none."""

    def __str__(self) -> str:
        found = f"FINDING: {self.finding}" if self.finding is not None else "no finding"
        said = f"{self.executions} executions, {self.edges} edges, {self.kept} inputs in the corpus"
        return f"{self.target}: {said}, {found}"


@dataclass(frozen=True)
class Limits:
    """When a run ends that finds nothing."""

    seconds: int
    executions: int | None = None


def fuzz(target: Target, limits: Limits, corpus: Path, findings: Path, command: Sequence[str] = COMMAND) -> Outcome:
    """Fuzz within the limits, or until a fault shows. The seeds, and what is worth keeping, are put into `corpus`.

    The input that shows a fault is put into `findings`. Raises FuzzingError.
    """
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch_name:
        scratch = Path(scratch_name)
        write_seeds(target, corpus)
        write_words(target, scratch / "words")
        (scratch / "artifacts").mkdir()
        options = {
            "max_total_time": limits.seconds,
            "runs": limits.executions if limits.executions is not None else -1,
            "max_len": _INPUT_BYTES_MAX,
            "timeout": _INPUT_SECONDS_MAX,
            "rss_limit_mb": _MEBIBYTES_MAX,
            "print_final_stats": 1,
            "dict": scratch / "words",
            "artifact_prefix": f"{scratch / 'artifacts'}/",
        }
        arguments = [f"-{name}={value}" for name, value in options.items()]
        ended = subprocess.run(
            [*command, target.name, *arguments, str(corpus.resolve())],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        output = ended.stdout.decode(errors="replace")
        artifact = next((file for kind in _KINDS for file in (scratch / "artifacts").glob(f"{kind}-*")), None)
        if artifact is None and ended.returncode != 0:
            raise FuzzingError(f"{target.name}: status {ended.returncode}\n{_last_lines(output)}")
        finding = _kept(artifact, target, findings) if artifact is not None else None
    executions, progress = _EXECUTIONS.search(output), _PROGRESS.findall(output)
    edges, kept = map(int, progress[-1]) if progress else (0, 0)
    report = _last_lines(output) if finding is not None else ""
    return Outcome(target.name, int(executions[1]) if executions else 0, edges, kept, finding, report)


def _kept(artifact: Path, target: Target, findings: Path) -> Path:
    findings.mkdir(parents=True, exist_ok=True)
    kind, _, digest = artifact.name.partition("-")
    return Path(shutil.move(artifact, findings / f"fuzz-{target.name}-{kind}-{digest[:12]}"))


def _last_lines(output: str) -> str:
    """From where an exception begins, if one does; never many."""
    said = output[max(output.find("=== Uncaught Python exception"), 0) :]
    lines = said.splitlines()
    return "\n".join(lines[:_REPORT_LINES_MAX] if len(said) < len(output) else lines[-_REPORT_LINES_MAX:])
