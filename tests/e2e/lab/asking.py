"""Knows a client that is as strict as a container engine, and tells all that came of a request."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass, field
from typing import Any

_TIMEOUT = 30
_REDIRECTS_MAX = 10


@dataclass(frozen=True)
class Outcome:
    """What came of a request. `status` is None without an answer; `broken` says why it is not complete."""

    status: int | None = None
    body: bytes = b""
    broken: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def error(self) -> dict[str, Any]:
        """The first error of the distribution-spec's in the body; an AssertionError where there is none."""
        assert self.headers.get("content-type") == "application/json", self
        (error,) = json.loads(self.body)["errors"]
        assert isinstance(error, dict)
        return error


def ask(port: int, url: str, *, follow: bool = True) -> Outcome:
    """GET the URL through the proxy at the port; redirects that stay there are followed."""
    origin = "/".join(url.split("/")[:3])
    for _ in range(_REDIRECTS_MAX):
        outcome = _ask_once(port, url)
        location = outcome.headers.get("location", "")
        if not (follow and outcome.status == 307 and location.startswith("/")):
            return outcome
        url = origin + location
    raise AssertionError(f"more than {_REDIRECTS_MAX} redirects")


def _ask_once(port: int, url: str) -> Outcome:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)
    try:
        connection.request("GET", url)
        response = connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return Outcome(broken=repr(error))
    headers = {name.lower(): value for name, value in response.getheaders()}
    try:
        return Outcome(response.status, response.read(), "", headers)
    except http.client.IncompleteRead as error:
        return Outcome(response.status, error.partial, repr(error), headers)
    except OSError as error:
        return Outcome(response.status, b"", repr(error), headers)
    finally:
        connection.close()
