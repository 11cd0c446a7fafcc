"""Errors in the distribution-spec's JSON ("Error Codes"): written so that clients print them, and read."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SpecError:
    """One error: HTTP status, the spec's code, a sentence for people, and details for machines (None: none)."""

    status: int
    code: str
    message: str
    detail: str | list[dict[str, str]] | None = None

    def __str__(self) -> str:
        return f"{self.status} {self.code}: {self.message}"

    def body(self) -> bytes:
        """The JSON document; `detail` is left out where there is none."""
        error: dict[str, object] = {"code": self.code, "message": self.message}
        if self.detail is not None:
            error["detail"] = self.detail
        return json.dumps({"errors": [error]}).encode()


_MESSAGE_MAX = 200


def message_in(body: bytes) -> str:
    """The message of the first error in a response's body, on one line; '' where there is none. Never raises."""
    return _first(body)[1]


def first_error(body: bytes) -> str:
    """The first error in a response's body as `CODE: message`, on one line; '' where there is none. Never raises."""
    code, message = _first(body)
    return f"{code}: {message}" if code and message else code or message


def _first(body: bytes) -> tuple[str, str]:
    try:
        error = json.loads(body)["errors"][0]
        return _line(error.get("code")), _line(error.get("message"))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return "", ""


def _line(text: object) -> str:
    if not isinstance(text, str):
        return ""
    line = " ".join(text.split())
    return line if len(line) <= _MESSAGE_MAX else f"{line[:_MESSAGE_MAX]}…"
