"""The token of an Authorization field, and when it expires.

Knows RFC 6750, section 2.1; what a token says is in `jwt`. Nothing is verified: the token is not ours.
"""

from __future__ import annotations

from oci_ns.logins.jwt import read_jwt


def token_in(authorization: str | None) -> str:
    """The token in the value of an Authorization field; '' where it has none."""
    scheme, _, token = (authorization or "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def expiry_in(token: str) -> float | None:
    """When the token expires, in seconds since the epoch; None where it does not say so. Never raises."""
    jwt = read_jwt(token)
    expires = jwt.claims.get("exp") if jwt is not None else None
    if not isinstance(expires, int | float) or isinstance(expires, bool):
        return None
    try:
        return float(expires)
    except OverflowError:
        return None
