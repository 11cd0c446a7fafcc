"""A Bearer token for people: what it allows, to whom, and until when. Never the token itself.

Knows distribution's "Token Authentication Specification" (the answer of a token service), "Token Authentication
Implementation" (the claim `access`) and the times of RFC 7519, section 4.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl

from oci_ns.logins.jwt import Jwt, read_jwt
from oci_ns.logins.token_request import LIFETIME_DEFAULT
from oci_ns.manifests import document
from oci_ns.printable import printable
from oci_ns.views.envelope import Envelope, may_be_object
from oci_ns.views.text import compact, counted, fields, table, utc

_TOKENS = ("token", "access_token")
_ANSWER = frozenset({*_TOKENS, "refresh_token", "expires_in", "issued_at", "scope", "token_type"})
_PATH_ENDS = frozenset({"token", "auth", "exchange"})
_SCOPES = ("repository:", "repository(", "registry:")
_NAMED = frozenset({"iss", "sub", "aud", "jti", "iat", "nbf", "exp", "access"})


def is_token(body: bytes, envelope: Envelope) -> bool:
    """Whether a token is all there is to see: a token service's answer, or a request to a registry without a body."""
    if not body:
        return bool(envelope.bearer) and envelope.operation is not None
    if not envelope.is_response or not envelope.is_vague or not may_be_object(body):
        return False
    answer = document(body)
    if answer is None or not _tokens_in(answer):
        return False
    return _asks_for_token(envelope) or _is_plain(answer)


def token_answer_lines(body: bytes, envelope: Envelope) -> list[str] | None:
    """The token in a token service's answer, else the one that a request carries; None where there is none."""
    answer = document(body) if body else None
    tokens = _tokens_in(answer) if answer is not None else {}
    if answer is None or not tokens:
        return _lines(envelope.bearer, envelope.time) if envelope.bearer else None
    lines = ["token service's answer", *fields(_about(answer, tokens))]
    for token in dict.fromkeys(tokens.values()):
        lines += ["", *_lines(token, envelope.time)]
    return lines


def token_lines(token: str, now: float) -> list[str]:
    """What a Bearer token says, at a point in time (seconds since 1970). Never raises, and never shows the token."""
    return _lines(token, now)


def _tokens_in(answer: dict[str, Any]) -> dict[str, str]:
    return {key: answer[key] for key in _TOKENS if isinstance(answer.get(key), str) and answer[key]}


def _is_plain(answer: dict[str, Any]) -> bool:
    """Whether it has what a token service answers and nothing else: other services have tokens, too."""
    says_more = "expires_in" in answer or "issued_at" in answer or "access_token" in answer
    return "token" in answer and says_more and answer.keys() <= _ANSWER


def _asks_for_token(envelope: Envelope) -> bool:
    """Whether the request is one for a registry's token: of other OAuth2 services nobody asks for a `service`."""
    path, _, query = envelope.target.partition("?")
    if path.rstrip("/").rpartition("/")[2] not in _PATH_ENDS:
        return False
    asked = parse_qsl(query) + parse_qsl(envelope.form.decode("latin-1"))
    return any(key == "service" or (key == "scope" and value.startswith(_SCOPES)) for key, value in asked)


def _about(answer: dict[str, Any], tokens: dict[str, str]) -> list[tuple[str, str]]:
    pairs = [(key, _kind(token)) for key, token in tokens.items()]
    lifetime = answer.get("expires_in")
    default = f"not said, which means {LIFETIME_DEFAULT:g} s"
    return [
        *pairs,
        ("refresh_token", "present" if answer.get("refresh_token") else ""),
        ("expires_in", default if lifetime is None else f"{compact(lifetime)} s"),
        ("issued_at", compact(answer.get("issued_at"))),
        ("scope", compact(answer.get("scope"))),
    ]


def _kind(token: str) -> str:
    return f"{'JWT' if read_jwt(token) is not None else 'opaque'}, {counted(len(token), 'character')}"


def _lines(token: str, now: float | None) -> list[str]:
    jwt = read_jwt(token)
    title = f"Bearer token: {_kind(token)}"
    if jwt is None:
        return [title]
    return [title, *fields([*_header(jwt), *_claims(jwt.claims, now)]), *_access(jwt.claims), *_others(jwt)]


def _header(jwt: Jwt) -> list[tuple[str, str]]:
    return [(key, compact(jwt.header.get(key))) for key in ("alg", "typ", "kid")]


def _claims(claims: dict[str, Any], now: float | None) -> list[tuple[str, str]]:
    return [
        *((key, compact(claims.get(key))) for key in ("iss", "sub", "aud", "jti")),
        ("iat", _moment(claims.get("iat"), now, "", "in the future, by {}")),
        ("nbf", _moment(claims.get("nbf"), now, "", "not valid before {} from now")),
        ("exp", _moment(claims.get("exp"), now, "expired {} ago", "expires in {}")),
    ]


def _moment(value: object, now: float | None, past: str, future: str) -> str:
    """A NumericDate (RFC 7519, section 2) as time, and how far that is from now; what is no date is shown as it is."""
    moment = utc(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""
    if not moment or not isinstance(value, int | float):
        return compact(value)
    if now is None:
        return moment
    phrase = (past if value <= now else future).format(f"{abs(int(value - now)):,} s")
    return f"{moment} ({phrase})" if phrase else moment


def _access(claims: dict[str, Any]) -> list[str]:
    if "access" not in claims:
        return ["access: not said"]
    access = claims["access"]
    if access is not None and not isinstance(access, list):
        return [f"access: {printable(compact(access))}"]
    if not access:
        return ["access: none"]
    rows: list[Sequence[str]] = [("  type", "name", "actions"), *(_row(each) for each in access)]
    return ["access", *table(rows)]


def _row(entry: object) -> Sequence[str]:
    if not isinstance(entry, dict):
        return (f"  {compact(entry)}", "", "")
    actions = entry.get("actions")
    told = ",".join(compact(each) for each in actions) if isinstance(actions, list) else compact(actions)
    return (f"  {compact(entry.get('type'))}", compact(entry.get("name")), told)


def _others(jwt: Jwt) -> list[str]:
    """What else is there, by name only: it may be keys, or whatever a service thinks is for itself alone."""
    groups = {
        "also in the header": jwt.header.keys() - {"alg", "typ", "kid"},
        "other claims": jwt.claims.keys() - _NAMED,
    }
    return [f"{title}: {printable(', '.join(sorted(names)))}" for title, names in groups.items() if names]
