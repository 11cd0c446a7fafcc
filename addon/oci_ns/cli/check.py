"""`ns-inject check`: its arguments, exit codes and streams. What it finds is in `check`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

import click

from oci_ns.check import findings
from oci_ns.check_text import show_findings
from oci_ns.cli.shared import (
    EXIT_DOES_NOT_LOAD,
    EXIT_WARNINGS,
    color_option,
    complete_conf,
    drop_ins_option,
    load_from,
)
from oci_ns.conf_findings import CODES, Finding, Severity
from oci_ns.index import RouteIndex
from oci_ns.problems import ConfigurationError
from oci_ns.terminal import console_on

_CODES_HELP = "\b\nCodes:\n" + "\n".join(f"  {code:<19} {text}" for code, text in CODES.items())


@click.command(short_help="Report what is wrong or odd in a registries.conf.", epilog=_CODES_HELP)
@click.argument("conf", default="", metavar="[CONF]", shell_complete=complete_conf)
@drop_ins_option
@click.option("--strict", is_flag=True, help="Exit with 1 where there are warnings.")
@click.option(
    "--ignore",
    "ignored",
    multiple=True,
    type=click.Choice(list(CODES)),
    metavar="CODE",
    help="Leave out what has this code (below); for what is intended. May be given several times.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per problem, on standard output.")
@color_option
def check(conf: str, registries_conf_d: str, strict: bool, ignored: tuple[str, ...], as_json: bool, color: str) -> None:
    """Load CONF and report everything that is wrong with it.

    CONF is a registries.conf; the default is $CONTAINERS_REGISTRIES_CONF, else the one that comes with ns-inject, and
    'system' is the search path of containers-registries.conf(5). Problems go to standard error: a table on a terminal,
    else FILE:LINE: SEVERITY: MESSAGE [CODE]. With --json each is an object with file, line, severity (error, warning,
    note), code, message and hint.

    \b
    Examples:
      ns-inject check registries.conf
      ns-inject check --strict --ignore ambiguous-location registries.conf
      ns-inject check --json system | jq -r 'select(.severity == "error").message'

    \b
    Exit status:
      0  it loads
      1  it loads, with warnings, and --strict is given
      2  it does not load
    """
    try:
        configuration = load_from(conf, registries_conf_d)
    except ConfigurationError as error:
        _report([Finding(Severity.ERROR, problem) for problem in error.problems], as_json, color)
        sys.exit(EXIT_DOES_NOT_LOAD)
    every = findings(configuration, RouteIndex(configuration.registries))
    found = [finding for finding in every if finding.problem.code not in ignored]
    _report(found, as_json, color)
    warnings = sum(finding.severity is Severity.WARNING for finding in found)
    if not as_json:
        files = ", ".join(str(path) for path in configuration.files) or "no file"
        notes = len(found) - warnings
        counts = [
            _count(len(configuration.registries), "registry", "registries"),
            _count(warnings, "warning", "warnings"),
            *([_count(notes, "note", "notes")] if notes else []),
        ]
        click.echo(f"{files}: {', '.join(counts)}")
    if strict and warnings:
        sys.exit(EXIT_WARNINGS)


def _report(found: Sequence[Finding], as_json: bool, color: str) -> None:
    if as_json:
        for finding in found:
            click.echo(json.dumps(finding.as_object()))
    else:
        show_findings(console_on(sys.stderr, color, os.environ), found)


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
