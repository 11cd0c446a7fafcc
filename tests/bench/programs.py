"""Knows which programs the rows need, what they are called in Debian, and which versions they are."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from lab.process import run, search_path

_PACKAGES: Final = {
    "containerd": "containerd",
    "ctr": "containerd",
    "curl": "curl",
    "docker": "docker.io",
    "docker-registry": "docker-registry",
    "dockerd": "docker.io",
    "haproxy": "haproxy",
    "nginx": "nginx",
    "podman": "podman",
    "setpriv": "util-linux",
    "skopeo": "skopeo",
    "wrk": "wrk",
}
_VERSION_FLAGS: Final = {"haproxy": "-v", "nginx": "-v", "wrk": "-v", "skopeo": "-v"}
_VERSION: Final = re.compile(r"\d+\.\d+[\w.+~-]*")


def missing(names: Iterable[str]) -> list[str]:
    """Which of these programs are not installed."""
    return sorted(name for name in set(names) if shutil.which(name, path=search_path()) is None)


def how_to_install(names: Iterable[str]) -> str:
    """The command that installs these programs."""
    return "apt-get install -y " + " ".join(sorted({_PACKAGES[name] for name in names}))


def versions(names: Iterable[str]) -> dict[str, str]:
    """What was measured with: Python, its packages, these programs, the kernel and the processors."""
    found = {
        "python": platform.python_version(),
        "ns-inject": _package("ns-inject"),
        "mitmproxy": _package("mitmproxy"),
    }
    found |= {name: _version_of(name) for name in sorted(set(names)) if not missing([name])}
    return found | {
        "kernel": ".".join(platform.release().split(".")[:2]),
        "processors": f"{len(os.sched_getaffinity(0))} x {_processor()}",
    }


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _version_of(name: str) -> str:
    # Some print it on standard error, wrk with a status other than 0.
    answer = run([name, _VERSION_FLAGS.get(name, "--version")], check=False)
    numbers = _VERSION.search(answer.stdout + answer.stderr)
    return numbers[0] if numbers else "unknown"


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        return next(names, platform.machine())
