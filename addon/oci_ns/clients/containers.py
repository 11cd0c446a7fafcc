"""Files of Podman, Buildah, skopeo and CRI-O: drop-ins of registries.conf and of containers.conf.

Sources: containers-registries.conf.d(5) (a later drop-in's prefix replaces an earlier one), containers.conf(5)
(`[engine] env`: for the program itself; `[containers] http_proxy`: whether containers get its proxy, too).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from oci_ns.clients.address import ProxyAddress
from oci_ns.clients.plan import MARK, File, Files, Plan, SetupError, is_ours, own_file
from oci_ns.clients.registries import ClientRegistries
from oci_ns.clients.toml_file import parsed
from oci_ns.toml_table import shown

REGISTRIES = "/etc/containers/registries.conf"
DROP_IN = f"{REGISTRIES}.d/ns-inject.conf"
ENGINE = "/etc/containers/containers.conf"
ENGINE_DROP_IN = f"{ENGINE}.d/ns-inject.conf"

_HEAD = re.compile(rf"{re.escape(MARK)}\n# It is for (.*)\.\n")


def mirrors(
    files: Files, client: str, locations: Mapping[str, tuple[ProxyAddress, str]], registries: ClientRegistries
) -> Plan:
    """A mirror for each of these registries: an address, and a path below it ('' or `/host`).

    The drop-in names this client beside those that it is for already: each of them reads it. Raises SetupError where
    another file would replace them, or is not to be read.
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
    content = "\n".join(parts)
    clients, there = _shared(files.text(DROP_IN))
    others = clients - {client}
    file = own_file(files, DROP_IN, _for({client, *others}) + content, "rename it and run this again")
    notes = _replaced(files, {*locations, *registries.blocked})
    if others and there != content:
        told = f"{DROP_IN} is for {_names(others)}, too, which goes by what is new in it once it is started anew"
        notes = (told, *notes)
    return Plan((file,), notes=notes)


def taken_back(files: Files, client: str) -> Plan:
    """The drop-in of mirrors without this client: removed where it was for no other, else left, and said."""
    text = files.text(DROP_IN)
    if not is_ours(text):
        return Plan()
    clients, content = _shared(text)
    others = clients - {client}
    if clients and not others:
        return Plan((File(DROP_IN, text, None),))
    left = f"{DROP_IN} is left for {_names(others) or 'whom it is'}: {client} reads it, too, and asks its mirrors first"
    mine = (File(DROP_IN, text, f"{MARK}\n{_for(others)}{content}"),) if client in clients else ()
    return Plan(mine, notes=(left,))


def _shared(text: str | None) -> tuple[set[str], str]:
    """The clients that the drop-in of mirrors names, and what it has for them."""
    head = _HEAD.match(text or "")
    return (set(head[1].split(", ")), head.string[head.end() :]) if head is not None else (set(), "")


def _for(clients: set[str]) -> str:
    return f"# It is for {_names(clients)}.\n"


def _names(clients: set[str]) -> str:
    return ", ".join(sorted(clients))


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


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
