"""The command line: `ns-inject check`, `explain` and `addon-path`. Knows arguments, exit codes and streams."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import click

from oci_ns import check as checks
from oci_ns import explain as explanations
from oci_ns.conf_files import Configuration, find_sources, load
from oci_ns.index import RouteIndex
from oci_ns.log_line import printable
from oci_ns.options import blobs_of, check_times, policy_of
from oci_ns.problems import ConfigurationError
from oci_ns.routes import RouteTable

EXIT_WARNINGS = 1
EXIT_DOES_NOT_LOAD = 2


@dataclass(frozen=True)
class Settings:
    """The addon's options as `--set` gives them, with the addon's defaults."""

    ns_registries_conf: str = ""
    ns_registries_conf_d: str = ""
    ns_default: str = ""
    ns_client_namespace: str = "keep"
    ns_unresolved: str = "pass"
    ns_blobs: str = "stream"
    ns_authfile: str = ""
    ns_certs_d: str = ""
    ns_connect_timeout: str = "5"
    ns_response_timeout: str = "30"
    ns_remember: str = "60"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ns-inject")
def main() -> None:
    """Registry proxying (ns) for clients that cannot send it.

    The proxy itself is a mitmproxy addon: mitmdump -s addon/ns_inject.py. These commands work on its registries.conf
    without starting it.
    """


def _load(settings: Settings) -> Configuration:
    """Load the files, or end with the reasons on standard error and exit status 2."""
    try:
        return load(find_sources(settings.ns_registries_conf, settings.ns_registries_conf_d, os.environ))
    except ConfigurationError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        sys.exit(EXIT_DOES_NOT_LOAD)


_DROP_INS = click.option(
    "--registries-conf-d",
    metavar="DIRECTORY",
    default="",
    help="Directory whose *.conf files are read after it, by name; a later prefix replaces an earlier one.",
)


@main.command()
@click.argument("conf", default="", metavar="[CONF]")
@_DROP_INS
@click.option("--strict", is_flag=True, help="Exit with 1 where there are warnings.")
def check(conf: str, registries_conf_d: str, strict: bool) -> None:
    """Load CONF and report everything that is wrong with it.

    CONF is a registries.conf; the default is $CONTAINERS_REGISTRIES_CONF, else the one that comes with ns-inject, and
    'system' is the search path of containers-registries.conf(5). Problems go to standard error, as FILE:LINE: MESSAGE.

    Exit status: 0 it loads; 1 it loads with warnings and --strict is given; 2 it does not load.
    """
    configuration = _load(Settings(conf, registries_conf_d))
    warnings = list(checks.warnings_about(configuration, RouteIndex(configuration.registries)))
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    files = ", ".join(str(path) for path in configuration.files) or "no file"
    click.echo(f"{files}: {_count(len(configuration.registries), 'registry', 'registries')}, ", nl=False)
    click.echo(_count(len(warnings), "warning", "warnings"))
    if strict and warnings:
        sys.exit(EXIT_WARNINGS)


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


@main.command()
@click.argument("targets", nargs=-1, required=True, metavar="URL|IMAGE|-...")
@click.option("--registries-conf", metavar="FILE", default="", help="The registries.conf to use ('system': see check).")
@_DROP_INS
@click.option(
    "--set", "assignments", multiple=True, metavar="OPTION=VALUE", help="An option of the addon, as mitmdump's."
)
@click.option("-X", "--request", "method", default="GET", metavar="METHOD", help="The method for URLs. Default: GET.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def explain(
    targets: tuple[str, ...],
    registries_conf: str,
    registries_conf_d: str,
    assignments: tuple[str, ...],
    method: str,
    as_json: bool,
) -> None:
    """Tell what would happen to each URL or IMAGE, and why.

    For a URL: which registry it is for, what told so, and the URL that goes upstream. For an IMAGE: the places it is
    pulled from, in order. '-' reads one of them per line from standard input; a line may also be METHOD URL.

    \b
    ns-inject explain quay.io/coreos/etcd:v3
    ns-inject explain -X PUT https://quay.io/v2/coreos/etcd/manifests/v3
    ns-inject explain --set ns_default=docker.io https://proxy.example.com/v2/

    Exit status: 0; 1 something was neither a URL nor an image; 2 the configuration does not load.
    """
    settings = _settings(assignments, registries_conf, registries_conf_d)
    try:
        policy = policy_of(settings)
        check_times(asdict(settings))
        blobs_of(settings.ns_blobs)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--set") from error
    table = RouteTable(RouteIndex(_load(settings).registries), policy)
    failed = False
    for verb, text in _questions(targets, method.upper()):
        try:
            click.echo(_explain(table, verb, text, as_json))
        except ValueError as error:
            failed = True
            if as_json:
                click.echo(_dump({"url" if explanations.is_url(text) else "ref": text, "error": str(error)}))
            else:
                click.echo(printable(str(error)), err=True)
    if failed:
        sys.exit(1)


def _settings(assignments: Iterable[str], registries_conf: str, registries_conf_d: str) -> Settings:
    names = [field.name for field in fields(Settings)]
    values = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if name not in names or not equals:
            raise click.BadParameter(f"{assignment!r} is not one of {'=…, '.join(names)}=…", param_hint="--set")
        values[name] = value
    if registries_conf:
        values["ns_registries_conf"] = registries_conf
    if registries_conf_d:
        values["ns_registries_conf_d"] = registries_conf_d
    return replace(Settings(), **values)


def _questions(targets: Iterable[str], method: str) -> Iterator[tuple[str, str]]:
    """Each method and URL or image, those on standard input where `-` stands."""
    for target in targets:
        if target != "-":
            yield method, target
            continue
        for line in sys.stdin.buffer:
            verb, _, rest = line.decode("utf-8", "surrogateescape").strip().partition(" ")
            if rest:
                yield verb.upper(), rest.strip()
            elif verb:
                yield method, verb


def _explain(table: RouteTable, method: str, text: str, as_json: bool) -> str:
    if explanations.is_url(text):
        if as_json:
            return _dump(explanations.url_object(table, method, text))
        lines = explanations.url_lines(table, method, text)
    elif as_json:
        return _dump(explanations.image_object(table.index, text))
    else:
        lines = explanations.image_lines(table.index, text)
    return "\n".join(printable(line) for line in lines)


def _dump(value: dict[str, Any]) -> str:
    return json.dumps(value)


@main.command("addon-path")
def addon_path() -> None:
    """Print the path of ns_inject.py, for mitmdump -s "$(ns-inject addon-path)"."""
    click.echo(str(Path(__file__).parent.with_name("ns_inject.py")))
