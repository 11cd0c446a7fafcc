"""A drop-in that gives a systemd service the address of a proxy (systemd.exec(5), `Environment=`)."""

from __future__ import annotations

import re

from oci_ns.clients.plan import Files, Plan, SetupError, own_file

_PROXY = re.compile(r"https_proxy=([^\s\"']*)", re.IGNORECASE)
_ENVIRONMENT = re.compile(r"^\s*Environment\s*=(.*)$", re.MULTILINE)


def drop_in_path(service: str) -> str:
    """The drop-in of a service (`docker`)."""
    return f"/etc/systemd/system/{service}.service.d/ns-inject.conf"


def proxy_drop_in(files: Files, service: str, url: str, no_proxy: str) -> Plan:
    """The service goes through the proxy.

    Raises SetupError where another drop-in names another proxy: the way out may lead through that one.
    """
    path = drop_in_path(service)
    directory, _, own = path.rpartition("/")
    for name in files.names(directory):
        other = f"{directory}/{name}"
        if name == own or not name.endswith(".conf"):
            continue
        for line in _ENVIRONMENT.findall(files.text(other) or ""):
            there = _PROXY.search(line)
            if there is not None and there[1].rstrip("/") not in ("", url):
                raise SetupError(
                    f"{other} sets HTTPS_PROXY={there[1]}: take it out there; if the way out leads through that proxy, "
                    "chain ns-inject to it (--mode upstream:URL)"
                )
    content = f'[Service]\nEnvironment="HTTPS_PROXY={url}"\nEnvironment="NO_PROXY={no_proxy}"\n'
    commands = ("systemctl daemon-reload", f"systemctl restart {service}")
    return Plan((own_file(files, path, content, "rename it and run this again"),), commands)
