"""What several commands of the command line share: the addon's options as flags, and a configuration that must load."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

import click
from click.shell_completion import CompletionItem

from oci_ns.completion import complete_assignment
from oci_ns.conf_files import SYSTEM, Configuration, find_sources, load
from oci_ns.printable import printable
from oci_ns.problems import ConfigurationError
from oci_ns.terminal import COLOURS

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
    ns_upstream_timeout: str = "60"
    ns_remember: str = "60"
    ns_hook_table: str = "true"
    ns_verify_blobs: str = "false"
    ns_log_json: str = ""
    ns_metrics: str = ""


def settings_of(assignments: Iterable[str], registries_conf: str, registries_conf_d: str) -> Settings:
    """The options that `--set` and the two flags for files give. Raises click.BadParameter for what is no option."""
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


def load_from(conf: str, drop_in_directory: str) -> Configuration:
    """Load the files that the two options mean. Raises ConfigurationError where they do not load."""
    return load(find_sources(conf, drop_in_directory, os.environ))


def load_or_exit(settings: Settings) -> Configuration:
    """Load the files, or end with the reasons on standard error and exit status 2."""
    try:
        return load_from(settings.ns_registries_conf, settings.ns_registries_conf_d)
    except ConfigurationError as error:
        for problem in error.problems:
            click.echo(printable(str(problem)), err=True)
        sys.exit(EXIT_DOES_NOT_LOAD)


def complete_conf(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Files, and the word `system` where it is being typed and no file is."""
    if incomplete and SYSTEM.startswith(incomplete) and not glob.glob(f"{glob.escape(incomplete)}*"):
        return [CompletionItem(SYSTEM, help="the search path of containers-registries.conf(5)")]
    return [CompletionItem(incomplete, type="file")]


def complete_directory(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Directories."""
    return [CompletionItem(incomplete, type="dir")]


set_option = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="OPTION=VALUE",
    shell_complete=complete_assignment,
    help="An option of the addon, as mitmdump's. May be given several times.",
)
drop_ins_option = click.option(
    "--registries-conf-d",
    metavar="DIRECTORY",
    default="",
    shell_complete=complete_directory,
    help="Directory whose *.conf files are read after it, by name; a later prefix replaces an earlier one.",
)
color_option = click.option(
    "--color",
    type=click.Choice(COLOURS),
    default="auto",
    help="Colours: auto is on a terminal, unless NO_COLOR is set. Default: auto.",
)
