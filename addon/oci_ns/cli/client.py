"""`ns-inject client`: its arguments, exit codes and streams. What a client needs is in `clients.recipes`."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import datetime
from pathlib import Path

import click

from oci_ns.cli.shared import complete_conf, drop_ins_option, load_or_exit, settings_of
from oci_ns.clients import env, recipes
from oci_ns.clients.address import ProxyAddress, parse_proxy
from oci_ns.clients.ca import ca_certificates
from oci_ns.clients.check import examine
from oci_ns.clients.files import Root
from oci_ns.clients.plan import Plan, SetupError
from oci_ns.clients.probe import probes
from oci_ns.clients.recipes import DOCKER, ENV, LISTENER, PROXIES, RECIPES, Setup
from oci_ns.clients.registries import registries_of
from oci_ns.clients.trust_store import not_taken_up
from oci_ns.conf_files import SYSTEM
from oci_ns.index import RouteIndex
from oci_ns.reference import canonical_registry, is_host

EXIT_WRONG = 1
_NO_PROXY = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:-_*/[]")
_CA = "~/.mitmproxy/mitmproxy-ca-cert.pem"
_ALL_RECIPES = tuple(dict.fromkeys(recipe for each in RECIPES.values() for recipe in each))


def _proxy(_context: click.Context, _parameter: click.Parameter, text: str | None) -> ProxyAddress | None:
    if text is None:
        return None
    try:
        return parse_proxy(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _listeners(
    _context: click.Context, _parameter: click.Parameter, assignments: tuple[str, ...]
) -> dict[str, ProxyAddress]:
    listeners = {}
    for assignment in assignments:
        registry, equals, url = assignment.partition("=")
        if not equals or not is_host(registry):
            raise click.BadParameter(f"{assignment!r} is not REGISTRY=URL, as quay.io=http://127.0.0.1:8082")
        try:
            listeners[canonical_registry(registry)] = parse_proxy(url)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    return listeners


def _no_proxy(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    if not set(text) <= _NO_PROXY:
        raise click.BadParameter(f"{text!r} is not a list of hosts and networks with commas between them")
    return text


@click.command(short_help="Set up a client: print or write its files, or check it.")
@click.argument("kind", type=click.Choice(tuple(RECIPES)), metavar="CLIENT")
@click.option("--recipe", type=click.Choice(_ALL_RECIPES), help="How it finds ns-inject; see above.")
@click.option(
    "--proxy",
    callback=_proxy,
    metavar="URL",
    help="Where ns-inject listens, as the client sees it. Default: http://127.0.0.1:8080; for mirror "
    "http://127.0.0.1:8081, for dns https://127.0.0.1.",
)
@click.option(
    "--listener",
    "listeners",
    multiple=True,
    callback=_listeners,
    metavar="REGISTRY=URL",
    help="For the recipe listener: where the listener of a registry is. May be given several times.",
)
@click.option(
    "--ca",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help=f"The CA certificate that ns-inject runs with, in PEM, without its key. Default: {_CA}.",
)
@click.option(
    "--registries-conf",
    default="",
    metavar="FILE",
    shell_complete=complete_conf,
    help="The registries.conf that ns-inject runs with: the client is set up for the registries in it. "
    "Default: $CONTAINERS_REGISTRIES_CONF, else the one that comes with ns-inject.",
)
@drop_ins_option
@click.option(
    "--no-proxy",
    default=recipes.NO_PROXY,
    callback=_no_proxy,
    metavar="HOSTS",
    help=f"For https-proxy: hosts that are reached without the proxy. Default: {recipes.NO_PROXY}.",
)
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("/"),
    metavar="DIRECTORY",
    help="The client's file system, where it is not this one: an image, say.",
)
@click.option("--write", is_flag=True, help="Write the files; what was there is kept as FILE.bak-TIME, but for a CA.")
@click.option("--check", "check_only", is_flag=True, help="Ask ns-inject as the client would, and compare the files.")
def client(
    kind: str,
    recipe: str | None,
    proxy: ProxyAddress | None,
    listeners: dict[str, ProxyAddress],
    ca: str | None,
    registries_conf: str,
    registries_conf_d: str,
    no_proxy: str,
    root: Path,
    write: bool,
    check_only: bool,
) -> None:
    """Set up CLIENT (docker, podman, containerd, cri-o, env) for ns-inject.

    Prints the files that it needs, and the commands to run after they are written. Files of the client that are there
    are merged with, never replaced: other settings stay as they are, and where that cannot be done, nothing is written.
    podman is for Buildah and skopeo, too, except for https-proxy (for these, env); env is what a shell evaluates.

    \b
    Recipes, those that a client has (its default first):
      docker      https-proxy, mirror, dns
      podman      mirror, listener, https-proxy, dns
      containerd  mirror, listener, https-proxy, dns
      cri-o       mirror, listener, https-proxy, dns
      env         https-proxy
    \b
      mirror       registries are pulled through a listener first; no CA. Docker does so
                   for docker.io only, so it is not the default there
      listener     the same, with one listener per registry: --listener
      https-proxy  every registry, wildcards too, by HTTPS_PROXY; the CA is trusted
      dns          names in /etc/hosts lead to ns-inject at port 443; the CA is trusted

    \b
    Examples:
      ns-inject client docker --registries-conf config/https-proxy.conf
      ns-inject client podman --proxy http://10.0.0.7:8081 --write
      ns-inject client podman --recipe listener --listener quay.io=http://127.0.0.1:8082
      ns-inject client containerd --check
      eval "$(ns-inject client env)"

    \b
    Exit status:
      0  done; with --check: all is well
      1  with --check: something is wrong
      2  it cannot be set up so
    """
    if write and (check_only or kind == ENV):
        raise click.UsageError(f"--write and {'--check' if check_only else 'env'} do not go together")
    if listeners and recipe not in (None, LISTENER):
        raise click.UsageError("--listener is for the recipe listener")
    chosen = recipe or (LISTENER if listeners else RECIPES[kind][0])
    try:
        recipes.check_recipe(kind, chosen)
        _check_sources(kind, chosen, registries_conf, root)
        setup = _setup(kind, chosen, proxy, listeners, ca, (registries_conf, registries_conf_d), no_proxy)
        if kind == ENV:
            _env(setup, Path(os.path.expanduser(ca or _CA)), check_only)
            return
        files = Root(root)
        plan = recipes.plan(setup, files)
        if check_only:
            _check(setup, plan, files)
        elif write:
            _write(plan, files)
        else:
            _show(plan)
    except SetupError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)


def _check_sources(kind: str, recipe: str, conf: str, root: Path) -> None:
    if conf == SYSTEM and kind != DOCKER and recipe in ("mirror", LISTENER) and root == Path("/"):
        raise SetupError(
            "with --registries-conf system, ns-inject reads the mirrors that are written here, and asks itself: "
            "give it a file of its own"
        )


def _setup(
    kind: str,
    recipe: str,
    proxy: ProxyAddress | None,
    listeners: dict[str, ProxyAddress],
    ca: str | None,
    conf: tuple[str, str],
    no_proxy: str,
) -> Setup:
    if recipe == LISTENER and not listeners:
        raise SetupError("the recipe listener needs --listener REGISTRY=URL for each registry")
    address = proxy or parse_proxy(PROXIES.get(recipe, PROXIES["mirror"]))
    recipes.check_address(recipe, address)
    addresses = (*listeners.values(),) if recipe == LISTENER else (address,)
    certificates = _certificates(ca) if recipes.needs_ca(recipe, addresses) else ""
    configuration = load_or_exit(settings_of((), *conf))
    registries = registries_of(RouteIndex(configuration.registries).routes())
    return Setup(kind, recipe, registries, address, listeners, certificates, no_proxy)


def _certificates(ca: str | None) -> str:
    path = Path(os.path.expanduser(ca or _CA))
    try:
        return ca_certificates(path.read_text(encoding="ascii", errors="replace"), str(path))
    except OSError as error:
        hint = (
            "" if ca else ": mitmdump makes it at its first start; if that was another user's, name the file with --ca"
        )
        raise SetupError(f"{path} cannot be read: {error.strerror}{hint}") from None


def _env(setup: Setup, ca: Path, check_only: bool) -> None:
    if check_only:
        _check(setup, Plan(), Root(Path("/")))
    else:
        click.echo(env.exports(setup.proxy.url, setup.no_proxy, str(ca.absolute())), nl=False)


def _show(plan: Plan) -> None:
    for file in plan.files:
        click.echo(f"==> {file.path} ({file.state}) <==")
        if file.after is not None:
            click.echo(file.after)
    _show_rest(plan, "then run:")


def _show_rest(plan: Plan, heading: str) -> None:
    if plan.commands:
        click.echo("\n".join((heading, *(f"  {command}" for command in plan.commands))))
    for note in plan.notes:
        click.echo(f"note: {note}", err=True)


def _write(plan: Plan, files: Root) -> None:
    written = files.write(plan.files, datetime.now().astimezone())
    for each in written:
        kept = f", what was there is in {each.backup}" if each.backup is not None else ""
        click.echo(f"{'removed' if each.file.after is None else 'written'}: {each.file.path}{kept}")
    if not written:
        click.echo("nothing to write: all files are as they have to be")
        plan = Plan(notes=plan.notes)
    _show_rest(plan, "now run:")


def _check(setup: Setup, plan: Plan, files: Root) -> None:
    wrong = [
        f"{file.path} {_WRONG[file.state]}: --write, and run the commands that it names"
        for file in plan.files
        if file.state in _WRONG
    ]
    wrong += filter(None, (not_taken_up(files, file.path) for file in plan.files if file.state == "unchanged"))
    asked = probes(setup, recipes.covered(setup))
    wrong += asyncio.run(examine(asked, setup.certificates))
    for line in wrong:
        click.echo(line, err=True)
    if wrong:
        sys.exit(EXIT_WRONG)
    if not asked:
        click.echo(f"{setup.client}: the files are right; there are only wildcards, so no registry was asked for")
        return
    places = ", ".join(dict.fromkeys(probe.address.url for probe in asked))
    click.echo(f"{setup.client}: ns-inject serves {', '.join(probe.registry for probe in asked)} at {places}")


_WRONG = {"new": "is missing", "changed": "is not as it has to be", "removed": "is of another recipe"}
