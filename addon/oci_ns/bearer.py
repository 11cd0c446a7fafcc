"""What a Bearer token says of itself where it is a JSON Web Token (RFC 7519): its claims, never its signature.

Nothing is verified: the token is not ours. Sources: RFC 7515, section 7.1; RFC 6750, section 2.1.
"""

from __future__ import annotations

import base64
import json
from typing import Any

_LENGTH_MAX = 64 * 1024


def token_in(authorization: str | None) -> str | None:
    """The token in the value of an Authorization field; None where it has none."""
    scheme, _, token = (authorization or "").strip().partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def claims_in(token: str) -> dict[str, Any] | None:
    """The claims of a JSON Web Token; None where it is opaque. Never raises."""
    parts = token.split(".")
    if len(parts) != 3 or len(token) > _LENGTH_MAX:
        return None
    return _object(parts[1])


def header_in(token: str) -> dict[str, Any] | None:
    """The header of a JSON Web Token; None where it is opaque. Never raises."""
    parts = token.split(".")
    return _object(parts[0]) if len(parts) == 3 and len(token) <= _LENGTH_MAX else None


def expiry_in(token: str) -> float | None:
    """When the token expires, in seconds since the epoch; None where it does not say so. Never raises."""
    expires = (claims_in(token) or {}).get("exp")
    return float(expires) if isinstance(expires, int | float) and not isinstance(expires, bool) else None


def _object(part: str) -> dict[str, Any] | None:
    try:
        value = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
