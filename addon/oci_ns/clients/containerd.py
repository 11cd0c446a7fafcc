"""containerd's files: hosts.toml of a registry, and config.toml, which has to name the directory of these for CRI.

Source: containerd's docs/hosts.md and docs/cri/config.md. config.toml is somebody else's: one line is put into it, and
only where the whole then reads as it did before but for that line.
"""

from __future__ import annotations

import fnmatch
import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

from oci_ns.clients.address import ProxyAddress
from oci_ns.clients.plan import File, Files, Plan, SetupError, is_ours, own_file
from oci_ns.clients.registries import api_host
from oci_ns.clients.toml_file import parsed
from oci_ns.clients.trust_store import CERTIFICATE, CONTAINERD
from oci_ns.toml_table import shown

CONFIG = "/etc/containerd/config.toml"
DEFAULT = "_default"
"""The directory for every registry that has none of its own."""

_KEY = "config_path"
_PLUGINS = {1: "cri", 2: "io.containerd.grpc.v1.cri", 3: "io.containerd.cri.v1.images"}
_UNSET = re.compile(rf"""^[ \t]*{_KEY}[ \t]*=[ \t]*(""|'')""", re.MULTILINE)
_COMMENT = r"[ \t]*(?:#.*)?$"


def hosts_path(registry: str) -> str:
    """The hosts.toml of a registry."""
    return f"{CONTAINERD}/{registry}/hosts.toml"


def mirrors(files: Files, addresses: Mapping[str, ProxyAddress], *, trusted: bool) -> Plan:
    """Each registry is pulled by an address first, then from itself. containerd tells the mirror which it is (ns).

    `trusted`: the CA is in the certs.d of the address. Raises SetupError.
    """
    found = []
    for registry, address in addresses.items():
        server = "" if registry == DEFAULT else f"server = {_string(f'https://{api_host(registry)}')}\n\n"
        authority = f"ca = {_string(f'{CONTAINERD}/{address.authority}/{CERTIFICATE}')}"
        ca = f"  {authority}\n" if trusted else ""
        header = f"[host.{_string(address.url)}]"
        table = f'{header}\n  capabilities = ["pull", "resolve"]\n{ca}'
        path = hosts_path(registry)
        found.append(own_file(files, path, server + table, f"put {header} with its capabilities first in it"))
    return Plan(tuple(found)) + config_path(files)


def check_certs_d(files: Files, registries: tuple[str, ...]) -> None:
    """Raises SetupError where a registry has a hosts.toml: the certificates beside that do not count."""
    for registry in registries:
        path = hosts_path(registry)
        if (text := files.text(path)) is not None and not is_ours(text):
            raise SetupError(f"{path} is there, so containerd reads whom to trust from it alone: take it out")


def left_over(files: Files) -> tuple[str, ...]:
    """The hosts.toml that there are."""
    return tuple(hosts_path(registry) for registry in files.names(CONTAINERD) if files.exists(hosts_path(registry)))


def config_path(files: Files) -> Plan:
    """containerd's CRI reads the directory. Raises SetupError where config.toml cannot be given that line."""
    before = files.text(CONFIG)
    imported = _imported(files, before or "")
    after = before if imported else with_config_path(before)
    return Plan((File(CONFIG, before, after),), ("systemctl restart containerd",) if after != before else ())


def _imported(files: Files, text: str) -> bool:
    """Whether a file that config.toml imports has the directory.

    Such a file's table of a plugin replaces the whole of it. Raises SetupError where that would take the line away.
    """
    found = False
    for path in _imports(files, parsed(CONFIG, text)):
        settings = parsed(path, files.text(path) or "")
        plugin = _plugin(settings, path)
        table = _table(settings, "plugins", plugin or "")
        if not table:
            continue
        if not _names_directory(_table(table, "registry").get(_KEY)):
            raise SetupError(
                f"{path}, which {CONFIG} imports, has plugins.{plugin} in it, which replaces that of {CONFIG}: put "
                f'{_KEY} = "{CONTAINERD}" into [plugins."{plugin}".registry] there'
            )
        found = True
    return found


def _imports(files: Files, settings: dict[str, Any]) -> Iterator[str]:
    patterns = settings.get("imports")
    for pattern in patterns if isinstance(patterns, list) else ():
        if not isinstance(pattern, str):
            raise SetupError(f"{CONFIG} imports {shown(pattern)}, which is no path: correct it")
        place = posixpath.join(posixpath.dirname(CONFIG), pattern)
        directory, _, name = place.rpartition("/")
        yield from (f"{directory}/{each}" for each in files.names(directory) if fnmatch.fnmatchcase(each, name))


def _table(settings: dict[str, Any], *path: str) -> dict[str, Any]:
    for key in path:
        below = settings.get(key)
        settings = below if isinstance(below, dict) else {}
    return settings


def _names_directory(setting: object) -> bool:
    return isinstance(setting, str) and CONTAINERD in setting.split(":")


def _plugin(settings: dict[str, Any], path: str) -> str | None:
    """The plugin that has the settings of CRI in a file of this version; None where that is not known."""
    version = settings.get("version", 1)
    if not isinstance(version, int):
        raise SetupError(f"{path} has version = {shown(version)}, which is not a whole number: correct it")
    return _PLUGINS.get(version)


def with_config_path(text: str | None) -> str:
    """The file with the directory in its config_path. Raises SetupError."""
    if text is None or not text.strip():
        return f'version = 2\n\n[plugins."{_PLUGINS[2]}".registry]\n  {_KEY} = "{CONTAINERD}"\n'
    wanted = parsed(CONFIG, text)
    plugin = _plugin(wanted, CONFIG)
    if plugin is None:
        raise SetupError(
            f"{CONFIG} has version = {shown(wanted.get('version'))}, which is not known: set {_KEY} by hand"
        )
    try:
        registry = wanted.setdefault("plugins", {}).setdefault(plugin, {}).setdefault("registry", {})
        there = registry.get(_KEY)
    except AttributeError:
        raise SetupError(f"{CONFIG}: plugins.{plugin}.registry is not a table: correct it") from None
    if _names_directory(there):
        return text
    if there:
        raise SetupError(
            f"{CONFIG}: {_KEY} is {shown(there)}: add {CONTAINERD} to it (a colon between), or move the directory"
        )
    if registry.get("mirrors") or any("tls" in each for each in _configs(registry, plugin)):
        raise SetupError(
            f"{CONFIG} has mirrors or certificates of registries, which containerd refuses beside {_KEY}: "
            f"move them to {CONTAINERD}/HOST/hosts.toml"
        )
    registry[_KEY] = CONTAINERD
    for edited in _edited(text, plugin):
        if _reads_as(edited, wanted):
            return edited
    raise SetupError(f'{CONFIG}: put {_KEY} = "{CONTAINERD}" into [plugins."{plugin}".registry] by hand')


def _configs(registry: dict[str, Any], plugin: str) -> list[dict[str, Any]]:
    """The settings of each registry. Raises SetupError where there is something else."""
    configs = registry.get("configs", {})
    tables = list(configs.values()) if isinstance(configs, dict) else [configs]
    if not all(isinstance(table, dict) for table in tables):
        raise SetupError(f"{CONFIG}: plugins.{plugin}.registry.configs has more than a table for each host: correct it")
    return tables


def _edited(text: str, plugin: str) -> Iterator[str]:
    """The ways to set it in the text; most of them wrong, depending on what else the text has."""
    for unset in _UNSET.finditer(text):
        yield f'{text[: unset.start(1)]}"{CONTAINERD}"{text[unset.end(1) :]}'
    name = re.escape(plugin)
    header = re.compile(rf"^([ \t]*)\[ *plugins *\. *[\"']?{name}[\"']? *\. *registry *\]{_COMMENT}", re.MULTILINE)
    for found in header.finditer(text):
        yield f'{text[: found.end()]}\n{found[1]}  {_KEY} = "{CONTAINERD}"{text[found.end() :]}'
    yield f'{text.rstrip()}\n\n[plugins."{plugin}".registry]\n  {_KEY} = "{CONTAINERD}"\n'


def _reads_as(text: str, wanted: dict[str, Any]) -> bool:
    try:
        return parsed(CONFIG, text) == wanted
    except (SetupError, RecursionError):
        return False


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
