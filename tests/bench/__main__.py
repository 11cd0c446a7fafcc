"""The command line: `python -m tests.bench`."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TextIO

import click
from rich.console import Console

from lab.network import PrivateNetworkError, enter_private_network

from . import programs, report
from .bench import Bench, Row, roomy_directory
from .measures import Figure, Outcome
from .profiling import PROFILED, profile
from .rows import ROWS
from .settings import FULL, MIB, QUICK, Settings

_MISSED: Final = 1
_PROGRAMS_MISSING: Final = 2
_BROKEN: Final = 3

# The biggest row: an image, the same in the registry and in a client's directory, and what else lies around.
_MEBIBYTES_NEEDED: Final = 4096

# Wide enough for every line of the table, whatever the terminal.
_WIDTH: Final = 150


def _row_names(_: click.Context, __: click.Parameter, values: Sequence[str]) -> frozenset[str]:
    names = frozenset(name for value in values for name in value.replace(",", " ").split())
    unknown = sorted(names - set(ROWS))
    if unknown:
        raise click.BadParameter(f"no row is called {', '.join(unknown)}; there are {', '.join(ROWS)}")
    return names


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--rows", multiple=True, callback=_row_names, metavar="NAME,…", help="Only these rows; may be given several times."
)
@click.option("--list", "list_rows", is_flag=True, help="Print the rows and what they measure.")
@click.option("--rounds", type=click.IntRange(1), help=f"Rounds in which every peer has its turn ({FULL.rounds}).")
@click.option(
    "--scale", type=click.FloatRange(0.001, 10), help="Times the sizes and numbers that rows are named for (1)."
)
@click.option("--quick", is_flag=True, help="Everything in about a minute: plausible, not exact.")
@click.option("--json", "json_file", type=click.File("a"), help="Write everything to this file, each sample included.")
@click.option("--markdown", is_flag=True, help="Print the table as Markdown.")
@click.option("--check", is_flag=True, help="Exit with status 1 where a target is missed or could not be measured.")
@click.option("--profile", "profiled", type=click.Choice(PROFILED), help="Profile mitmdump with the addon instead.")
def main(
    rows: frozenset[str],
    list_rows: bool,
    rounds: int | None,
    scale: float | None,
    quick: bool,
    json_file: TextIO | None,
    markdown: bool,
    check: bool,
    profiled: str | None,
) -> None:
    """Measure ns-inject beside its peers, and show what came of it.

    Exit status 0, whatever the figures are; 1 with --check, 2 where programs are missing, 3 where a row broke.
    """
    if list_rows:
        for row in ROWS.values():
            click.echo(f"{row.name:15} {row.summary}")
        return
    chosen = [ROWS[name] for name in ROWS if not rows or name in rows]
    settings = _settings(quick, rounds, scale)
    needed = {"curl", "nginx", "wrk", "setpriv"} if profiled else {name for row in chosen for name in row.programs}
    _require(needed)
    # Also when it is ended by others, what was started and written is taken away.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    console = Console(stderr=True)
    outside = _without_network(chosen) if not profiled else {}
    with _bench(settings, console) as bench:
        if profiled:
            profile(bench, profiled, sys.stdout)
            return
        outcomes = [outside.get(row.name) or _measured(row, bench) for row in chosen]
    versions = programs.versions(needed)
    if json_file is not None:
        # Opened for appending, so that until there is something to write nothing is lost.
        json_file.truncate(0)
        json.dump(report.as_json(outcomes, versions, settings), json_file, indent=1)
    if markdown:
        click.echo(report.markdown(outcomes, versions))
    else:
        report.print_table(Console(width=_WIDTH), outcomes, versions)
    sys.exit(_status(outcomes, check))


def _settings(quick: bool, rounds: int | None, scale: float | None) -> Settings:
    settings = QUICK if quick else FULL
    if rounds is not None:
        settings = dataclasses.replace(settings, rounds=rounds)
    if scale is not None:
        settings = dataclasses.replace(settings, scale=scale)
    return settings


def _require(names: set[str]) -> None:
    missing = programs.missing(names)
    if missing:
        click.echo(f"not installed: {', '.join(missing)}\n{programs.how_to_install(missing)}", err=True)
        sys.exit(_PROGRAMS_MISSING)


def _without_network(chosen: Sequence[Row]) -> dict[str, Outcome]:
    """Enter a network of our own if a row needs one; the outcomes of those rows where that cannot be."""
    needing = [row for row in chosen if row.private_network]
    try:
        if needing:
            enter_private_network()
    except PrivateNetworkError as error:
        return {row.name: Outcome(row.name, "", [Figure(row.summary, unavailable=str(error))]) for row in needing}
    return {}


@contextlib.contextmanager
def _bench(settings: Settings, console: Console) -> Iterator[Bench]:
    needed = int(_MEBIBYTES_NEEDED * MIB * settings.scale)
    with (
        tempfile.TemporaryDirectory(prefix="ns-inject-bench-", dir=roomy_directory(needed)) as directory,
        console.status("") as status,
    ):
        yield Bench(settings, Path(directory), lambda text: status.update(text) if console.is_terminal else None)


def _measured(row: Row, bench: Bench) -> Outcome:
    try:
        return row.measure(dataclasses.replace(bench, say=lambda text: bench.say(f"{row.name}: {text}")))
    except Exception as error:
        # The other rows are still worth measuring.
        traceback.print_exc()
        return Outcome(row.name, failed=f"{type(error).__name__}: {error}")


def _status(outcomes: Sequence[Outcome], check: bool) -> int:
    if any(outcome.failed for outcome in outcomes):
        return _BROKEN
    missed = report.missed(outcomes) if check else []
    for what in missed:
        click.echo(f"missed: {what}", err=True)
    return _MISSED if missed else 0


main(prog_name="python -m tests.bench")
