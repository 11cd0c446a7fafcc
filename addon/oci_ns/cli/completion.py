"""`ns-inject completion`: prints the script that makes a shell complete the command line."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from oci_ns.completion import PROGRAM, SHELLS, VARIABLE


@click.command(short_help="Print the script that makes a shell complete this.")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that makes SHELL complete commands, flags, files and the addon's options.

    \b
    Try it, or put the line into ~/.bashrc or ~/.zshrc:
      source <(ns-inject completion bash)
      source <(ns-inject completion zsh)
    For fish, once:
      ns-inject completion fish > ~/.config/fish/completions/ns-inject.fish

    Exit status: 0; 2 the shell is none of these.
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.ClickException(f"this version of click has no completion for {shell}")
    click.echo(kind(context.find_root().command, {}, PROGRAM, VARIABLE).source().strip())
