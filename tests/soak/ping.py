"""The probe: asks for `/v2/` ten times a second, as a process of its own, and writes down how long each answer took.

`python -m tests.soak.ping PORT FILE`; a JSON array per line: begin and end of `time.monotonic`, status (0: none),
whether ns-inject itself refused, what was wrong.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .talk import ERRORS, is_refusal

_INTERVAL: Final = 0.1
_PATIENCE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Ping:
    """One answer, or none. Times are in seconds."""

    begin: float
    end: float
    status: int
    refused: bool
    detail: str

    @property
    def took(self) -> float:
        """Until the answer."""
        return self.end - self.begin


def pings(file: Path) -> list[Ping]:
    """What a probe wrote."""
    lines = file.read_text().split("\n")[:-1] if file.exists() else []
    return [Ping(*json.loads(line)) for line in lines]


def quantiles(found: list[Ping]) -> dict[str, float]:
    """How long answers took, in milliseconds."""
    took = sorted(each.took * 1000 for each in found) or [0.0, 0.0]
    return {"p50": statistics.median(took), "p99": took[int(len(took) * 0.99)], "max": took[-1]}


def _ask(connection: http.client.HTTPConnection) -> tuple[int, bool, str]:
    try:
        connection.request("GET", "/v2/", headers={"User-Agent": "soak-ping"})
        response = connection.getresponse()
        body = response.read()
    except ERRORS as error:
        connection.close()
        return 0, False, f"{type(error).__name__}: {error}"
    detail = "" if response.status == 200 else f"{response.status} {response.reason}: {body[:200]!r}"
    # A ping that no endpoint answers is greeted, with the error in its body.
    refused = is_refusal(response.status, response.reason) or b'"errors"' in body
    return response.status, refused, detail


def main(port: int, file: Path) -> None:
    """Ask until ended by a signal."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    with file.open("a", buffering=1) as log, contextlib.suppress(KeyboardInterrupt):
        while True:
            begin = time.monotonic()
            answer = _ask(connection)
            log.write(json.dumps([begin, time.monotonic(), *answer]) + "\n")
            time.sleep(max(0.0, begin + _INTERVAL - time.monotonic()))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
