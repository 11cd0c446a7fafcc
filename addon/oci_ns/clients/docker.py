"""Docker's daemon.json: a registry mirror in it, and what in it would override a proxy of the environment.

Source: dockerd(8). The mirrors are for Docker Hub alone; `proxies` (since 23.0) wins over the environment.
"""

from __future__ import annotations

import json
import re
from typing import Any

from oci_ns.clients.plan import File, Files, SetupError

PATH = "/etc/docker/daemon.json"
_MIRRORS = "registry-mirrors"
_TOO_DEEP = f"{PATH} is nested too deeply: correct it"
_INDENTATION = re.compile(r"\n([ \t]+)\S")


def with_mirror(files: Files, url: str) -> File:
    """The file with the mirror before all others; the rest as it is, in its order. Raises SetupError."""
    before = files.text(PATH)
    settings = _read(before)
    mirrors = settings.get(_MIRRORS, [])
    if not isinstance(mirrors, list) or not all(isinstance(mirror, str) for mirror in mirrors):
        raise SetupError(f'{PATH}: "{_MIRRORS}" is not a list of URLs, which dockerd refuses: correct it')
    if mirrors and mirrors[0].rstrip("/") == url:
        return File(PATH, before, before)
    settings[_MIRRORS] = [url, *(mirror for mirror in mirrors if mirror.rstrip("/") != url)]
    indentation = _INDENTATION.search(before or "")
    try:
        after = json.dumps(settings, indent=indentation[1] if indentation else 2, ensure_ascii=False)
    except RecursionError:
        raise SetupError(_TOO_DEEP) from None
    return File(PATH, before, f"{after}\n")


def left_over(files: Files) -> tuple[str, ...]:
    """What to know of mirrors that are there, and may be of the recipe mirror."""
    mirrors = _read(files.text(PATH)).get(_MIRRORS)
    if not mirrors:
        return ()
    return (f'{PATH} has "{_MIRRORS}" yet, which docker.io is pulled from first: take out what is unused',)


def check_proxies(files: Files, url: str) -> None:
    """Raises SetupError where daemon.json has another proxy, or cannot be read."""
    proxies = _read(files.text(PATH)).get("proxies")
    there = proxies.get("https-proxy") if isinstance(proxies, dict) else None
    if there and str(there).rstrip("/") != url:
        raise SetupError(
            f'{PATH}: "proxies" has {there} as "https-proxy", which wins over the environment: take it out'
        )


def _read(text: str | None) -> dict[str, Any]:
    if text is None or not text.strip():
        return {}
    try:
        settings = json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise SetupError(f"{PATH}:{error.lineno}: is not valid JSON: {error.msg}") from None
    except RecursionError:
        raise SetupError(_TOO_DEEP) from None
    except ValueError:
        # Python does not read a number of any length.
        raise SetupError(f"{PATH}: a number has too many digits: correct it") from None
    if not isinstance(settings, dict):
        raise SetupError(f"{PATH}:1: is not a JSON object")
    return settings


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    settings = dict(pairs)
    if len(settings) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise SetupError(f'{PATH}: "{twice}" is there twice; only the last would be kept: correct it')
    return settings
