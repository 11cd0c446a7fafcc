"""The readable part of a JSON Web Token: its header and its claims, never its signature.

Knows RFC 7519 and RFC 7515, section 7.1 (the compact form). Nothing is verified: it is for people to read.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Any

from oci_ns.manifests import document

_TOKEN_MAX = 64 * 2**10
_is_compact = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]*").fullmatch


@dataclass(frozen=True, slots=True)
class Jwt:
    """A token's header and claims, as they stand."""

    header: dict[str, Any]
    claims: dict[str, Any]


def read_jwt(token: str) -> Jwt | None:
    """What a token says; None where it is no signed JWT, so that nobody but its service can read it. Never raises."""
    parts = _is_compact(token) if len(token) <= _TOKEN_MAX else None
    if parts is None:
        return None
    header, claims = _object(parts[1]), _object(parts[2])
    return Jwt(header, claims) if header is not None and claims is not None and "alg" in header else None


def _object(part: str) -> dict[str, Any] | None:
    try:
        return document(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except ValueError:
        return None
