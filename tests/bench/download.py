"""Knows how a client downloads a blob: curl, which throws the bytes away and tells how long it took."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from lab.process import clean_env, require, run

from .measures import BenchError


@dataclass(frozen=True, slots=True)
class Download:
    """What a download took, in seconds from the start of the connection."""

    bytes: int
    first_byte: float
    seconds: float


def command(url: str, *, host: str = "") -> list[str]:
    """The curl that downloads `url` over HTTP/1.1; `host` is the host that it addresses, where that is another."""
    flags = ["--disable", "--silent", "--show-error", "--fail", "--insecure", "--http1.1", "--noproxy", "*"]
    if host:
        flags += ["--header", f"Host: {host}"]
    return [require("curl"), *flags, "--output", "/dev/null", "--write-out", "%{json}", url]


def download(url: str, size: int, *, host: str = "") -> Download:
    """Download `url`. Raises BenchError where it is not `size` bytes."""
    printed = run(command(url, host=host), env=clean_env(Path("/nonexistent")), timeout=600).stdout
    told = json.loads(printed)
    got = int(told["size_download"])
    if told["http_code"] != 200 or got != size:
        raise BenchError(f"{url}: status {told['http_code']}, {got} bytes of {size}")
    return Download(got, told["time_starttransfer"], told["time_total"])
