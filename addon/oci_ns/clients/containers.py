"""Files of Podman, Buildah, skopeo and CRI-O: drop-ins of registries.conf and of containers.conf.

Sources: containers-registries.conf.d(5) (a later drop-in's prefix replaces an earlier one), containers.conf(5)
(`[engine] env`: for the program itself; `[containers] http_proxy`: whether containers get its proxy, too).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from oci_ns.clients.address import ProxyAddress
from oci_ns.clients.plan import Files, Plan, SetupError, own_file
from oci_ns.clients.registries import ClientRegistries
from oci_ns.clients.toml_file import parsed
from oci_ns.toml_table import shown

REGISTRIES = "/etc/containers/registries.conf"
DROP_IN = f"{REGISTRIES}.d/ns-inject.conf"
ENGINE = "/etc/containers/containers.conf"
ENGINE_DROP_IN = f"{ENGINE}.d/ns-inject.conf"


def mirrors(files: Files, locations: Mapping[str, tuple[ProxyAddress, str]], registries: ClientRegistries) -> Plan:
    """A mirror for each of these registries: an address, and a path below it ('' or `/host`).

    Raises SetupError where another file would replace them.
    """
    parts = []
    for registry, (address, path) in locations.items():
        if registry in registries.blocked:
            continue
        insecure = "  insecure = true\n" if address.scheme == "http" else ""
        location = f"{address.registry}{path}"
        parts.append(
            f"[[registry]]\nprefix = {_string(registry)}\nlocation = {_string(registry)}\n\n"
            f"  [[registry.mirror]]\n  location = {_string(location)}\n{insecure}"
        )
    for prefix in registries.blocked:
        # A client that is refused by a mirror goes on to the registry itself.
        location = "" if prefix.startswith("*") else f"location = {_string(prefix)}\n"
        parts.append(f"[[registry]]\nprefix = {_string(prefix)}\n{location}blocked = true\n")
    file = own_file(files, DROP_IN, "\n".join(parts), "rename it and run this again")
    return Plan((file,), notes=_replaced(files, {*locations, *registries.blocked}))


def _replaced(files: Files, prefixes: set[str]) -> tuple[str, ...]:
    notes = []
    for path, document in _documents(files, REGISTRIES):
        if path == DROP_IN:
            continue
        tables = document.get("registry")
        for table in tables if isinstance(tables, list) else ():
            prefix = table.get("prefix") or table.get("location") if isinstance(table, dict) else None
            if prefix is not None and not isinstance(prefix, str):
                raise SetupError(f"{path} has a registry {shown(prefix)}, which is not a string: correct it")
            if prefix not in prefixes:
                if any(str(prefix).startswith(f"{each}/") for each in prefixes):
                    notes.append(f"the entry for {prefix} in {path} is longer, and counts for its images instead")
                continue
            if path > DROP_IN:
                raise SetupError(
                    f"{path} has {prefix}, too, and comes after {DROP_IN}: take it out, or rename that file"
                )
            notes.append(f"the entry for {prefix} in {path} is replaced by that in {DROP_IN}")
    return tuple(notes)


def engine_proxy(files: Files, url: str, no_proxy: str) -> Plan:
    """The program itself goes through the proxy; containers are told of none. Raises SetupError."""
    for path, document in _documents(files, ENGINE):
        engine = document.get("engine")
        if path != ENGINE_DROP_IN and isinstance(engine, dict) and engine.get("env"):
            raise SetupError(
                f"{path} has an env of its own in [engine], and only one counts: add "
                f'"HTTPS_PROXY={url}", "NO_PROXY={no_proxy}" to it, or move it out'
            )
    content = (
        f"[engine]\nenv = [{_string(f'HTTPS_PROXY={url}')}, {_string(f'NO_PROXY={no_proxy}')}]\n\n"
        "# The proxy is for images. Containers would get it, too, and 127.0.0.1 is another place to them.\n"
        "[containers]\nhttp_proxy = false\n"
    )
    note = (
        "containers do not get the proxy variables of Podman's environment any more ([containers] http_proxy = false)"
    )
    return Plan((own_file(files, ENGINE_DROP_IN, content, "rename it and run this again"),), notes=(note,))


def _documents(files: Files, main: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The file and its drop-ins, in the order in which they are read."""
    drop_ins = [f"{main}.d/{name}" for name in files.names(f"{main}.d") if name.endswith(".conf")]
    for path in (main, *drop_ins):
        yield path, parsed(path, files.text(path) or "")


def left_over() -> tuple[str, ...]:
    """The drop-ins that another recipe may have left."""
    return (DROP_IN, ENGINE_DROP_IN)


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
