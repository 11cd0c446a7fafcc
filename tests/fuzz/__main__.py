"""The command line: `python -m tests.fuzz`."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import click

from tests.fuzz.catalogue import TARGETS
from tests.fuzz.fuzzing import FuzzingError, Limits, fuzz

_FINDING = 1
_BROKEN = 2


@click.command(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Targets: " + "; ".join(f"{name} ({target.summary})" for name, target in TARGETS.items()) + ".",
)
@click.argument("names", metavar="[TARGET]...", nargs=-1, type=click.Choice(list(TARGETS)))
@click.option("--minutes", type=click.FloatRange(0.01), default=10, show_default=True, help="How long, each target.")
@click.option("--executions", type=click.IntRange(1), help="End after so many inputs, each target, if that is earlier.")
@click.option("--corpus", metavar="DIR", type=click.Path(path_type=Path, file_okay=False),
              help="Keep what is worth trying again here, and begin with it. Default: nothing is kept.")  # fmt: skip
@click.option("--findings", metavar="DIR", type=click.Path(path_type=Path, file_okay=False), default=Path(),
              help="Where an input is put that shows a fault. Default: the current directory.")  # fmt: skip
@click.option(
    "--jobs", type=click.IntRange(1), default=os.cpu_count(), help="Targets at once. Default: one a processor."
)
def main(
    names: Sequence[str], minutes: float, executions: int | None, corpus: Path | None, findings: Path, jobs: int
) -> None:
    """Fuzz the TARGETs (default: all), each in a process of its own.

    Ends with status 1 where an input shows a fault, and prints the file it is in; such an input becomes a row of
    tests/fuzz/findings.py. Status 2: it could not be run.
    """
    if importlib.util.find_spec("atheris") is None:
        click.echo(
            "atheris is not installed: pip install -e '.[fuzz]' (there are wheels for CPython on x86-64 Linux; the "
            "targets also run without it, over their seeds: pytest tests/unit/test_fuzz_targets.py)",
            err=True,
        )
        sys.exit(_BROKEN)
    with _directory(corpus) as kept, ThreadPoolExecutor(jobs) as pool:
        limits = Limits(max(1, round(minutes * 60)), executions)
        running = [
            pool.submit(fuzz, TARGETS[name], limits, kept / name, findings) for name in dict.fromkeys(names or TARGETS)
        ]
        status = 0
        for each in as_completed(running):
            try:
                outcome = each.result()
            except FuzzingError as error:
                click.echo(str(error), err=True)
                status = _BROKEN
                continue
            click.echo(str(outcome))
            if outcome.finding is not None:
                click.echo(outcome.report)
                status = status or _FINDING
    sys.exit(status)


@contextlib.contextmanager
def _directory(corpus: Path | None) -> Iterator[Path]:
    if corpus is not None:
        yield corpus
        return
    with tempfile.TemporaryDirectory(prefix="fuzz-corpus-") as name:
        yield Path(name)


if __name__ == "__main__":
    main(prog_name="python -m tests.fuzz")
