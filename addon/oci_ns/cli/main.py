"""The command line, `ns-inject`: the commands it has. Each is in a file of its own, `cli.<command>`."""

from __future__ import annotations

from pathlib import Path

import click

from oci_ns.cli.check import check
from oci_ns.cli.client import client
from oci_ns.cli.completion import completion
from oci_ns.cli.explain import explain
from oci_ns.cli.export import export
from oci_ns.cli.pulls import pulls
from oci_ns.cli.serve import serve


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ns-inject")
def main() -> None:
    """Registry proxying (ns) for clients that cannot send it.

    The proxy itself is a mitmproxy addon. The commands check, explain, client and export work on its registries.conf
    without starting it.

    \b
    Examples:
      mitmdump -s "$(ns-inject addon-path)"
      ns-inject check registries.conf
      ns-inject explain quay.io/coreos/etcd:v3
      ns-inject client podman --write
      ns-inject export envoy --registries-conf registries.conf -o envoy.yaml
      source <(ns-inject completion bash)
    """


@click.command("addon-path")
def addon_path() -> None:
    """Print the path of ns_inject.py.

    \b
    Example:
      mitmdump -s "$(ns-inject addon-path)"
    """
    click.echo(str(Path(__file__).parents[2] / "ns_inject.py"))


for _command in (serve, client, check, explain, pulls, export, completion, addon_path):
    main.add_command(_command)
