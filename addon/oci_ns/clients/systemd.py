"""A drop-in that gives a systemd service the address of a proxy, and what of the service's settings stands against it.

Sources: systemd.unit(5) (drop-ins are read in the order of their names, whatever directory they are in),
systemd.exec(5) (`Environment=`; what an `EnvironmentFile=` says wins over it).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from oci_ns.clients.plan import Files, Plan, SetupError, own_file

_UNITS = (
    *("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system"),
    *("/usr/lib/systemd/system", "/lib/systemd/system"),
)
"""The first that has a file of a name has the one that counts."""
_NAME = "ns-inject.conf"
_SETTING = re.compile(r"^[ \t]*(Environment|EnvironmentFile)[ \t]*=[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_VARIABLE = r"(https_proxy|no_proxy)=[\"']?([^\s\"']*)"
_ASSIGNED = re.compile(rf"(?<![^\s\"']){_VARIABLE}", re.IGNORECASE)
_ASSIGNED_IN_FILE = re.compile(rf"^[ \t]*{_VARIABLE}", re.IGNORECASE | re.MULTILINE)


def drop_in_path(service: str) -> str:
    """The drop-in of a service (`docker`)."""
    return f"{_UNITS[0]}/{service}.service.d/{_NAME}"


def proxy_drop_in(files: Files, service: str, url: str, no_proxy: str) -> Plan:
    """The service goes through the proxy.

    Raises SetupError where something else names another proxy: the way out may lead through that one.
    """
    path = drop_in_path(service)
    notes = []
    for other, wins, name, value in _variables(files, service):
        if name == "HTTPS_PROXY" and value.rstrip("/") not in ("", url):
            raise SetupError(
                f"{other} sets HTTPS_PROXY={value}: take it out there; if the way out leads through that proxy, "
                "chain ns-inject to it (--mode upstream:URL)"
            )
        if name == "NO_PROXY" and value != no_proxy:
            told = f"{other} sets NO_PROXY={value}, which "
            notes.append(
                f"{told}counts instead of {no_proxy}: what is in it is reached without ns-inject"
                if wins
                else f"{told}does not count any more: name what shall stay with --no-proxy"
            )
    content = f'[Service]\nEnvironment="HTTPS_PROXY={url}"\nEnvironment="NO_PROXY={no_proxy}"\n'
    commands = ("systemctl daemon-reload", f"systemctl restart {service}")
    file = own_file(files, path, content, "rename it and run this again")
    return Plan((file,), commands, tuple(notes))


def _variables(files: Files, service: str) -> Iterator[tuple[str, bool, str, str]]:
    """What else sets them: the file, whether it wins over our drop-in, the variable, its value."""
    unit = f"{service}.service"
    for path in (*_first(files, unit), *_drop_ins(files, f"{unit}.d")):
        text = (files.text(path) or "").replace("\\\n", " ")
        for setting, value in _SETTING.findall(text):
            if setting == "Environment":
                wins = path.rpartition("/")[2] > _NAME and f"{unit}.d/" in path
                yield from ((path, wins, name.upper(), said) for name, said in _ASSIGNED.findall(value))
                continue
            file = value.removeprefix("-")
            # Neither specifiers nor patterns are resolved here.
            if file.startswith("/") and not set(file) & set("%*?["):
                found = _ASSIGNED_IN_FILE.findall(files.text(file) or "")
                yield from ((file, True, name.upper(), said) for name, said in found)


def _first(files: Files, name: str) -> tuple[str, ...]:
    paths = (f"{directory}/{name}" for directory in _UNITS)
    return tuple(path for path in paths if files.exists(path))[:1]


def _drop_ins(files: Files, directory: str) -> list[str]:
    names = {name for unit in _UNITS for name in files.names(f"{unit}/{directory}") if name.endswith(".conf")}
    return [path for name in sorted(names - {_NAME}) for path in _first(files, f"{directory}/{name}")]
