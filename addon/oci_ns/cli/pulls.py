"""`ns-inject pulls`: the pulls in a saved flow file. Knows arguments, exit codes and streams."""

from __future__ import annotations

import json
import os
import sys

import click

from oci_ns.cli.shared import color_option
from oci_ns.discreet import discreet
from oci_ns.flow_file import transfers_in
from oci_ns.pull_table import show_pulls, show_timelines
from oci_ns.pull_text import pull_object
from oci_ns.pulls import pulls_in
from oci_ns.terminal import console_on

EXIT_FAILED = 1
EXIT_UNREADABLE = 2


@click.command(short_help="Show the pulls in a saved flow file.")
@click.argument("file", metavar="FILE|-", type=click.Path(allow_dash=True))
@click.option("--image", default="", metavar="TEXT", help="Only pulls of images whose name contains TEXT.")
@click.option("--failed", is_flag=True, help="Only pulls that failed.")
@click.option("--timeline", is_flag=True, help="For each pull, a waterfall of its requests.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@color_option
def pulls(file: str, image: str, failed: bool, timeline: bool, as_json: bool, color: str) -> None:
    """Show the pulls in FILE: one for each image that a client pulled, not one for each request.

    FILE is what mitmdump writes with -w, or mitmproxy and mitmweb save, with or without ns-inject. '-' is standard
    input.

    A pull is 'complete'; 'partial', where the client had the other blobs; 'resolved', where it asked for the
    manifest only; or 'failed', with the reason.

    \b
    Examples:
      mitmdump -s "$(ns-inject addon-path)" -w flows
      ns-inject pulls flows
      ns-inject pulls --failed flows
      ns-inject pulls --timeline --image library/nginx flows

    Exit status: 0; 1 with --failed, where there are such pulls; 2 FILE cannot be read to its end (what is readable is
    shown).
    """
    transfers, problem = transfers_in(file)
    found = [pull for pull in pulls_in(transfers) if image in pull.image and (not failed or pull.result == "failed")]
    if as_json:
        for pull in found:
            click.echo(json.dumps(discreet(pull_object(pull))))
    elif found:
        console = console_on(sys.stdout, color, os.environ)
        (show_timelines if timeline else show_pulls)(console, found)
    elif not problem:
        click.echo(f"{file}: no pulls", err=True)
    if problem:
        click.echo(problem, err=True)
        sys.exit(EXIT_UNREADABLE)
    if failed and found:
        sys.exit(EXIT_FAILED)
