"""`ns-inject export`: its arguments, exit codes, streams and files. An engine's text is in `export.<engine>.config`."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeVar

import click

from oci_ns.cli import shared
from oci_ns.cli.shared import complete_conf, drop_ins_option, load_or_exit, set_option, settings_of
from oci_ns.export.contract import AUTHORITIES, Exported, NotCarried, NotCarriedError, Settings
from oci_ns.export.options import destination_of, listen_of, resolver_of, without_form
from oci_ns.export.tabulate import tabulate
from oci_ns.export.tabulation import Address, Tabulation
from oci_ns.index import RouteIndex
from oci_ns.options import blobs_of, check_times, policy_of
from oci_ns.printable import printable
from oci_ns.reference import registry_name
from oci_ns.routes import RouteTable
from oci_ns.whole_file import replace_file

ENGINES = ("envoy", "haproxy", "nginx")
_EXIT_NOT_CARRIED = 1
_LISTEN = "127.0.0.1:5000"
_STANDARD_OUTPUT = "-"

Export = Callable[[Tabulation, Settings], Exported]
_Value = TypeVar("_Value")


@click.command(short_help="Write a configuration for Envoy, HAProxy or nginx that does the same.")
@click.argument("engine", type=click.Choice(ENGINES))
@click.option(
    "--registries-conf",
    metavar="FILE",
    default="",
    shell_complete=complete_conf,
    help="The registries.conf to export ('system': see check).",
)
@drop_ins_option
@set_option
@click.option(
    "--listen",
    "listen",
    multiple=True,
    default=(_LISTEN,),
    metavar="[HOST:]PORT",
    help=f"Where the engine listens; without HOST, at all addresses. May be given several times. Default: {_LISTEN}.",
)
@click.option(
    "--tls-cert",
    "certificate",
    default="",
    type=click.Path(dir_okay=False),
    help="A PEM file with the listener's certificate and chain: it speaks https. Default: http.",
)
@click.option(
    "--tls-key",
    "key",
    default="",
    type=click.Path(dir_okay=False),
    help="A PEM file with the certificate's key, where that is not in the same file. HAProxy: only CERTIFICATE.key.",
)
@click.option(
    "--destination",
    default="",
    metavar="URL",
    help="Where requests go whose Host registries.conf does not know, https://proxy.example.com for example; as "
    "with mitmproxy's reverse mode, its scheme counts. Default: such requests are refused with 421.",
)
@click.option(
    "--ca",
    default=AUTHORITIES,
    show_default=True,
    type=click.Path(dir_okay=False),
    help="A PEM file of the CAs that endpoints' certificates are verified against.",
)
@click.option(
    "--resolver",
    "resolvers",
    multiple=True,
    metavar="HOST[:PORT]",
    help="A name server, for engines that look names up themselves. May be given several times.",
)
@click.option("--allow-partial", is_flag=True, help="Leave out what the engine cannot do, with a warning for each.")
@click.option(
    "-o",
    "--output",
    default="",
    type=click.Path(),
    metavar="FILE|DIRECTORY",
    help="Where to write it: a file, or a directory where the engine needs several or this ends with a slash; "
    "'-' is standard output, which is the default.",
)
def export(
    engine: str,
    registries_conf: str,
    registries_conf_d: str,
    assignments: tuple[str, ...],
    listen: tuple[str, ...],
    certificate: str,
    key: str,
    destination: str,
    ca: str,
    resolvers: tuple[str, ...],
    allow_partial: bool,
    output: str,
) -> None:
    """Write a configuration with which ENGINE does what the addon does by this registries.conf.

    ENGINE is envoy, haproxy or nginx. It then sends every request where the addon would, with the same ns, or answers
    with the same error; what it can only guess at it refuses with 400. Without --output the configuration goes to
    standard output. What the engine cannot do goes to standard error, and nothing is written, unless --allow-partial
    is given.

    \b
    Examples:
      ns-inject export envoy --registries-conf registries.conf -o envoy.yaml
      ns-inject export nginx --destination https://proxy.example.com --listen 5000
      ns-inject export haproxy --tls-cert proxy.pem --listen 0.0.0.0:443 -o /etc/haproxy/ns-inject/
      ns-inject export nginx --set ns_default=docker.io --resolver 10.0.0.53 --allow-partial

    \b
    Exit status:
      0  written
      1  the engine cannot do all of it, and --allow-partial is not given; or it cannot be written
      2  the configuration does not load, or an option is wrong
    """
    addon = settings_of(assignments, registries_conf, registries_conf_d)
    try:
        policy = policy_of(addon)
        check_times(asdict(addon))
        blobs_of(addon.ns_blobs)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--set") from error
    if key and not certificate:
        raise click.BadParameter("it is the key of a certificate: give --tls-cert, too", param_hint="--tls-key")
    to = _read(destination_of, destination, "--destination") if destination else None
    is_file = output not in ("", _STANDARD_OUTPUT) and not output.endswith(os.sep) and not os.path.isdir(output)
    place = os.path.abspath(output if output != _STANDARD_OUTPUT else "")
    settings = Settings(
        tuple(dict.fromkeys(_read(listen_of, each, "--listen") for each in listen)),
        certificate=os.path.abspath(certificate) if certificate else "",
        key=os.path.abspath(key) if key else "",
        destination=to,
        authorities=os.path.abspath(ca),
        resolvers=tuple(_read(resolver_of, each, "--resolver") for each in resolvers),
        connect_seconds=int(addon.ns_connect_timeout),
        response_seconds=int(addon.ns_response_timeout),
        allow_partial=allow_partial,
        directory=os.path.dirname(place) if is_file else place,
        without_form=tuple(without_form(asdict(addon), asdict(shared.Settings()))),
    )
    scheme = to.scheme if to is not None else "https" if certificate else "http"
    with _uncollected():
        table = RouteTable(RouteIndex(load_or_exit(addon).registries), policy)
        tabulation = tabulate(table, scheme, _name(to))
        exported, problems = _exported(engine, tabulation, settings)
        if is_file and exported is not None and len(exported.files) > 1:
            # Where the files are stands in them.
            is_file = False
            exported, problems = _exported(engine, tabulation, replace(settings, directory=place))
    _report(problems, allowed=allow_partial and exported is not None)
    if exported is None:
        sys.exit(_EXIT_NOT_CARRIED)
    _note_missing(settings)
    if output in ("", _STANDARD_OUTPUT):
        _print(engine, exported)
    elif is_file:
        (text,) = exported.files.values()
        _write(Path(place).parent, {Path(place).name: text})
    else:
        _write(Path(place), exported.files)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Without the search for garbage: of a large table there are millions of objects, all in use, to look through.

    They are not looked through later, either: the process ends soon.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.freeze()
            gc.enable()


def _read(reader: Callable[[str], _Value], text: str, option: str) -> _Value:
    try:
        return reader(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from error


def _name(to: Address | None) -> str:
    return registry_name(to.scheme, to.host, to.port) if to is not None and isinstance(to.host, str) else ""


def _exported(engine: str, tabulation: Tabulation, settings: Settings) -> tuple[Exported | None, Sequence[NotCarried]]:
    """The engine's files, and what is not in them; None where it refuses."""
    make: Export = importlib.import_module(f"oci_ns.export.{engine}.config").export
    try:
        exported = make(tabulation, settings)
    except NotCarriedError as error:
        return None, error.problems
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    return exported, exported.left_out


def _report(problems: Sequence[NotCarried], *, allowed: bool) -> None:
    """Tell what is not carried, and end there unless that is allowed."""
    for problem in problems:
        click.echo(printable(f"{'left out: ' if allowed else 'error: '}{problem}"), err=True)
    if problems and not allowed:
        sys.exit(_EXIT_NOT_CARRIED)


def _note_missing(settings: Settings) -> None:
    """Tell which files the engine will look for that are not here. It may run on another machine, which has them."""
    for place in filter(None, (settings.certificate, settings.key, settings.authorities)):
        if not os.path.isfile(place):
            click.echo(printable(f"note: there is no {place} here: the engine does not start without it"), err=True)


def _print(engine: str, exported: Exported) -> None:
    if len(exported.files) > 1:
        names = ", ".join(exported.files)
        raise click.UsageError(f"{engine} needs several files ({names}): give a directory with --output")
    click.echo(next(iter(exported.files.values())), nl=False)


def _write(directory: Path, files: Mapping[str, str]) -> None:
    """Write each file at once and whole, the main one last, which the others are for."""
    place = directory
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in reversed(list(files.items())):
            place = directory / name
            _put(place, text.encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise click.ClickException(f"{place} cannot be written: {error.strerror}") from error
    for name in files:
        click.echo(f"written: {directory / name}", err=True)


def _put(place: Path, content: bytes) -> None:
    """Replace what is there; a symbolic link stays, and so does what is no file but a device or a pipe."""
    if place.exists() and not place.is_file():
        place.write_bytes(content)
        return
    file = Path(os.path.realpath(place))
    replace_file(file, content, file.stat() if file.exists() else None)
