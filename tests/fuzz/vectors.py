"""The shared vectors and the configurations that come with the project, as material for seeds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
_VECTORS = _ROOT / "tests" / "vectors"

REQUESTS: dict[str, Any] = json.loads((_VECTORS / "requests.json").read_text())
REGISTRIES_CONF: dict[str, Any] = json.loads((_VECTORS / "registries_conf.json").read_text())


def files() -> dict[str, bytes]:
    """The registries.conf files that come with the project, by name."""
    return {path.name: path.read_bytes() for path in sorted((_ROOT / "config").glob("*.conf"))}


def configurations() -> Iterator[bytes]:
    """Every registries.conf there is."""
    yield from files().values()
    for text in REQUESTS["configs"].values():
        yield text.encode()
    for case in REGISTRIES_CONF["cases"]:
        for text in (case["files"]["main"], *case["files"].get("d", {}).values()):
            yield text.encode()


def images() -> Iterator[str]:
    """Every image name that is asked for or answered."""
    for case in REGISTRIES_CONF["cases"]:
        for image in case.get("images", ()):
            yield image["ref"]
            yield from (source["reference"] for source in image.get("sources", ()))


def urls() -> Iterator[str]:
    """Every URL that is asked for or answered."""
    for case in REQUESTS["cases"]:
        yield case["url"]
        if case["upstream"]:
            yield case["upstream"]
