"""`ns-inject explain`: its arguments, exit codes and streams. What it says is in `explain` and `trace`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from typing import Any

import click
from click.shell_completion import CompletionItem

from oci_ns import explain as explanations
from oci_ns.cli.shared import color_option, complete_conf, drop_ins_option, load_or_exit, set_option, settings_of
from oci_ns.discreet import discreet
from oci_ns.explain_text import show
from oci_ns.index import RouteIndex
from oci_ns.options import blobs_of, check_times, policy_of
from oci_ns.printable import printable
from oci_ns.reference import parse_image
from oci_ns.routes import RouteTable
from oci_ns.terminal import console_on
from oci_ns.trace import trace_image

_METHODS = ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE")

Answer = Callable[[str, str], None]
"""Writes the answer about a method and URL or image. Raises ValueError where it is neither."""


def _complete_method(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(method) for method in _METHODS if method.startswith(incomplete.upper())]


@click.command(short_help="Tell what becomes of a URL or an image, and why.")
@click.argument("targets", nargs=-1, required=True, metavar="URL|IMAGE|-...")
@click.option(
    "--registries-conf",
    metavar="FILE",
    default="",
    shell_complete=complete_conf,
    help="The registries.conf to use ('system': see check).",
)
@drop_ins_option
@set_option
@click.option(
    "-X",
    "--request",
    "method",
    default="GET",
    metavar="METHOD",
    shell_complete=_complete_method,
    help="The method for URLs. Default: GET.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@click.option(
    "--trace/--no-trace",
    "traced",
    default=None,
    help="Whether to tell each rule and what came close. Default: yes, but not with --json and not with '-'.",
)
@color_option
def explain(
    targets: tuple[str, ...],
    registries_conf: str,
    registries_conf_d: str,
    assignments: tuple[str, ...],
    method: str,
    as_json: bool,
    traced: bool | None,
    color: str,
) -> None:
    """Tell what would happen to each URL or IMAGE, and why.

    For a URL: which registry it is for, what told so, and the URL that goes upstream. For an IMAGE: the places it is
    pulled from, in order, as Podman tries them. '-' reads one of them per line from standard input; a line may also be
    METHOD URL.

    Then why: every rule in order, '=>' where it answered, 'no' where it did not, '..' where it was not reached, '--'
    where it was not asked; and '~' before entries that came close. Each with file and line.

    \b
    Examples:
      ns-inject explain quay.io/coreos/etcd:v3
      ns-inject explain --registries-conf registries.conf docker.io/library/alpine
      ns-inject explain -X PUT https://quay.io/v2/coreos/etcd/manifests/v3
      ns-inject explain --set ns_default=docker.io https://proxy.example.com/v2/
      ns-inject explain --json --trace https://quay.io/v2/ | jq .trace

    \b
    Exit status:
      0  every question is answered
      1  something was neither a URL nor an image
      2  the configuration does not load, or an option is wrong
    """
    settings = settings_of(assignments, registries_conf, registries_conf_d)
    try:
        policy = policy_of(settings)
        check_times(asdict(settings))
        blobs_of(settings.ns_blobs)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--set") from error
    table = RouteTable(RouteIndex(load_or_exit(settings).registries), policy)
    if as_json:
        answer = _as_json(table, bool(traced))
    else:
        answer = _as_text(table, "-" not in targets if traced is None else traced, color)
    failed = False
    for verb, text in _questions(targets, method.upper()):
        try:
            answer(verb, text)
        except ValueError as error:
            failed = True
            if as_json:
                _print({"url" if explanations.is_url(text) else "ref": text, "error": str(error)})
            else:
                click.echo(printable(str(error)), err=True)
    if failed:
        sys.exit(1)


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


def _as_text(table: RouteTable, traced: bool, color: str) -> Answer:
    console = console_on(sys.stdout, color, os.environ)

    def answer(method: str, text: str) -> None:
        if explanations.is_url(text):
            trace = explanations.trace_url(table, method, text) if traced else None
            lines = explanations.url_lines(table, method, text)
        else:
            trace = trace_image(table.index, parse_image(text)) if traced else None
            lines = explanations.image_lines(table.index, text)
        show(console, lines, trace)

    return answer


def _as_json(table: RouteTable, traced: bool) -> Answer:
    def answer(method: str, text: str) -> None:
        if explanations.is_url(text):
            value = explanations.url_object(table, method, text)
            trace = explanations.trace_url(table, method, text) if traced else None
        else:
            value = explanations.image_object(table.index, text)
            trace = trace_image(table.index, parse_image(text)) if traced else None
        if trace is not None:
            value["trace"] = [step.as_object() for step in trace.steps]
        _print(value)

    return answer


def _print(value: dict[str, Any]) -> None:
    click.echo(json.dumps(discreet(value)))
