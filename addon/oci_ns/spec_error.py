"""The errors this addon answers itself, in the distribution-spec's JSON ("Error Codes"), so that clients print them."""

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

    def body(self) -> bytes:
        """The JSON document; `detail` is left out where there is none."""
        error: dict[str, object] = {"code": self.code, "message": self.message}
        if self.detail is not None:
            error["detail"] = self.detail
        return json.dumps({"errors": [error]}).encode()
