"""The command line, `ns-inject`: the commands it has. Each is in a file of its own, `cli_<command>`."""

from __future__ import annotations

from pathlib import Path

import click

from oci_ns.cli_check import check
from oci_ns.cli_client import client
from oci_ns.cli_completion import completion
from oci_ns.cli_explain import explain
from oci_ns.cli_export import export
from oci_ns.cli_pulls import pulls
from oci_ns.cli_serve import serve


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ns-inject")
def main() -> None:
    """Registry proxying (ns) for clients that cannot send it.

    The proxy itself is a mitmproxy addon. The commands check, explain and export work on its registries.conf without
    starting it.

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
    click.echo(str(Path(__file__).parent.with_name("ns_inject.py")))


for _command in (serve, client, check, explain, pulls, export, completion, addon_path):
    main.add_command(_command)
