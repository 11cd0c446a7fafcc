"""The command line: `python -m tests.soak`."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Final, TextIO

import click

from lab.network import PrivateNetworkError
from tests.bench import programs

from .report import as_json, markdown
from .settings import SHORT, Settings
from .soak import PROGRAMS, soak
from .verdict import verdict

_FAILED: Final = 1
_CANNOT: Final = 2


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--minutes", type=click.FloatRange(0.5), default=30.0, show_default=True, help="How long the load lasts.")
@click.option(
    "--runner", type=click.Choice(["mitmdump", "serve"]), default="mitmdump", show_default=True, help="What is loaded."
)
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Of serve.")
@click.option("--seed", type=int, default=1, show_default=True, help="What the actors do is drawn from it.")
@click.option("--light", is_flag=True, help="Fewer and smaller of everything, as the test has it.")
@click.option("--keep", is_flag=True, help="Keep the directory with all logs, and say where it is.")
@click.option("--json", "json_file", type=click.File("w"), help="Write everything to this file, each sample included.")
def main(
    minutes: float, runner: str, workers: int, seed: int, light: bool, keep: bool, json_file: TextIO | None
) -> None:
    """Load one ns-inject for a long time with pulls, pushes, clients that go away, reloads and restarts.

    Needs root, for a network of its own. Exit status 0 where all holds that has to, 1 where something does not, 2 where
    it cannot run.
    """
    if workers > 1 and runner != "serve":
        raise click.UsageError("--workers is for --runner serve")
    missing = programs.missing(PROGRAMS)
    if missing:
        click.echo(f"not installed: {', '.join(missing)}\n{programs.how_to_install(missing)}", err=True)
        sys.exit(_CANNOT)
    # Also when it is ended by others, what was started and written is taken away.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    settings = dataclasses.replace(
        SHORT if light else Settings(), seconds=minutes * 60, runner=runner, workers=workers, seed=seed
    )
    with contextlib.ExitStack() as stack:
        directory = tempfile.mkdtemp(prefix="ns-inject-soak-")
        if not keep:
            stack.callback(shutil.rmtree, directory, ignore_errors=True)
        try:
            outcome = soak(settings, Path(directory), lambda text: click.echo(text, err=True))
        except PrivateNetworkError as error:
            click.echo(str(error), err=True)
            sys.exit(_CANNOT)
        if keep:
            click.echo(f"logs in {directory}", err=True)
    checks = verdict(outcome)
    click.echo(markdown(outcome, checks))
    if json_file is not None:
        json.dump(as_json(outcome, checks), json_file, indent=1)
    sys.exit(0 if all(check.holds for check in checks) else _FAILED)


main(prog_name="python -m tests.soak")
