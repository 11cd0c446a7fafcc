"""One request to a token service: what is asked for a Bearer challenge, and what its answer is worth.

Pure: who carries the request, and when it is made, is in `tokens`. Sources: distribution's "Token Authentication
Specification", "Token Scope Documentation" and "OAuth2 Token Authentication".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus, urlsplit

from oci_ns.fetch import Answer, Fields, Outgoing
from oci_ns.logins.login import Login, Secret
from oci_ns.printable import printable
from oci_ns.reference import DEFAULT_PORTS

CLIENT_ID = "ns-inject"
"""Who asks, for the statistics of an OAuth2 token service."""
LIFETIME_DEFAULT = 60.0
"""In seconds, where the answer names none ("Token Authentication Specification", expires_in)."""
ANSWER_MAX = 2**20
"""In bytes; tokens have a few KiB."""

_LIFETIME_MAX = 86400.0
_MARGIN_MAX = 5.0
_MARGIN_SHARE = 0.1
_TOKEN_MAX = 64 * 2**10
_is_token = re.compile(r"[!-~]+").fullmatch
_is_url = re.compile(r"[!-~]+").fullmatch
_NO_OAUTH2 = frozenset({404, 405})


class AuthenticationError(Exception):
    """No Authorization could be had. Its text says why in one line that may be shown to a client: no secret in it."""


@dataclass(frozen=True, slots=True)
class TokenQuestion:
    """What a token is asked for: the service's URL (`realm`), the registry's name there (`service`), and the scope."""

    realm: str
    service: str
    scope: str

    @property
    def host(self) -> str:
        """The token service's host, without a port."""
        return urlsplit(self.realm).hostname or ""

    @property
    def place(self) -> str:
        """The token service, to be shown: never more of its URL than host and port."""
        return f"the token service {_realm_host(self.realm)}"


@dataclass(frozen=True, slots=True)
class Token:
    """A token. `received` and `expires` are points in time, in seconds; it is not to be used from `expires` on."""

    secret: Secret = field(repr=False)
    received: float
    expires: float

    def authorization(self) -> bytes:
        """The Authorization value of the Bearer scheme (RFC 6750)."""
        return b"Bearer " + self.secret.reveal().encode("ascii")


def pull_scope(repository: str) -> str:
    """The scope to pull from a repository, its name as the endpoint has it."""
    return f"repository:{repository}:pull"


CATALOG_SCOPE = "registry:catalog:*"


def narrowed(scope: str, *, catalog: bool) -> str:
    """What a pull may ask for of the scope a challenge names: repositories to pull from, and the catalog if wanted."""
    kept = []
    for part in scope.split():
        resource, _, actions = part.rpartition(":")
        kind, _, name = resource.partition(":")
        # A class may follow the type: repository(plugin).
        if kind.partition("(")[0] == "repository" and name and "pull" in actions.split(","):
            kept.append(f"{resource}:pull")
        elif catalog and part == CATALOG_SCOPE:
            kept.append(part)
    return " ".join(kept)


def question_of(parameters: Mapping[str, str], scope: str, scheme: str) -> TokenQuestion:
    """What is asked for a Bearer challenge of an endpoint that speaks `scheme`.

    Raises AuthenticationError where the realm is no URL for a login to be sent to.
    """
    realm = parameters.get("realm", "")
    if not realm:
        raise AuthenticationError("the challenge names no token service")
    host = _realm_host(realm)
    if host is None:
        raise AuthenticationError("the challenge names a token service that is not an http or https URL")
    if "@" in realm.partition("://")[2].partition("/")[0].partition("?")[0]:
        raise AuthenticationError(f"the URL of the token service {host} has a user name in it")
    if scheme == "https" and not realm.lower().startswith("https://"):
        raise AuthenticationError(f"the token service {host} is not https, although the endpoint is")
    return TokenQuestion(realm, parameters.get("service", ""), scope)


def _realm_host(realm: str) -> str | None:
    """The realm's host[:port], to be shown; None where the realm is no http or https URL."""
    if not _is_url(realm):
        return None
    try:
        parts = urlsplit(realm)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in DEFAULT_PORTS or not host or port == 0:
        return None
    literal = f"[{host}]" if ":" in host else host
    return printable(literal if port is None else f"{literal}:{port}")


def get_request(question: TokenQuestion, login: Login, *, insecure: bool) -> Outgoing:
    """Ask with user name and password. `insecure` leaves the service's certificate unverified."""
    form = _form(("service", question.service), *(("scope", part) for part in question.scope.split()))
    query = "&".join(filter(None, (urlsplit(question.realm).query, form)))
    return _outgoing("GET", question, query, insecure, fields=((b"Authorization", login.basic()),))


def post_request(question: TokenQuestion, login: Login, *, insecure: bool) -> Outgoing:
    """Ask with the identity token, as OAuth2's refresh token. `insecure` leaves the certificate unverified."""
    form = _form(
        ("grant_type", "refresh_token"),
        ("service", question.service),
        ("client_id", CLIENT_ID),
        ("refresh_token", login.identity_token.reveal()),
        ("scope", question.scope),
    )
    kind = (b"Content-Type", b"application/x-www-form-urlencoded")
    query = urlsplit(question.realm).query
    return _outgoing("POST", question, query, insecure, fields=(kind,), body=form.encode())


def _form(*pairs: tuple[str, str]) -> str:
    return "&".join(f"{name}={quote_plus(value, errors='surrogatepass')}" for name, value in pairs if value)


def _outgoing(
    method: str, question: TokenQuestion, query: str, insecure: bool, *, fields: Fields, body: bytes = b""
) -> Outgoing:
    parts = urlsplit(question.realm)
    common = ((b"Accept", b"application/json"), (b"Accept-Encoding", b"identity"), (b"User-Agent", CLIENT_ID.encode()))
    path = parts.path or "/"
    return Outgoing(
        method=method,
        scheme=parts.scheme,
        host=parts.hostname or "",
        port=parts.port or DEFAULT_PORTS[parts.scheme],
        target=f"{path}?{query}" if query else path,
        fields=common + fields,
        body=body,
        insecure=insecure,
    )


def has_no_oauth2(answer: Answer) -> bool:
    """Whether the service has no OAuth2, so that it is to be asked with GET ("OAuth2 Token Authentication")."""
    return answer.status in _NO_OAUTH2


def token_in(answer: Answer, question: TokenQuestion, asked: float, now: float) -> Token:
    """The token of an answer. `asked` is when it was asked for and `now` the time, in seconds since 1970.

    Raises AuthenticationError. Nothing the service says is quoted: it may repeat what it was sent.
    """
    service = question.place
    if 300 <= answer.status < 400:
        raise AuthenticationError(f"{service} answers {answer.status}; a redirect is not followed with a login")
    if answer.status in (400, 401, 403):
        raise AuthenticationError(f"{service} refuses the login ({answer.status})")
    if answer.status != 200:
        raise AuthenticationError(f"{service} answers {answer.status}")
    document = _document(answer.body)
    if document is None:
        raise AuthenticationError(f"{service} does not answer with a JSON object")
    text = document.get("token") or document.get("access_token")
    if not isinstance(text, str):
        raise AuthenticationError(f"{service} answers without a token")
    if len(text) > _TOKEN_MAX or not _is_token(text):
        raise AuthenticationError(f"{service} answers with something that is not a token")
    lifetime = _lifetime(document.get("expires_in"))
    # From the moment it was asked for: whenever the service began to count, it was not before that.
    begin = _issued(document.get("issued_at"), asked, lifetime)
    margin = min(_MARGIN_MAX, lifetime * _MARGIN_SHARE)
    return Token(Secret(text), now, begin + lifetime - margin)


def _document(body: bytes) -> dict[str, Any] | None:
    if len(body) > ANSWER_MAX:
        return None
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _lifetime(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        return LIFETIME_DEFAULT
    return float(min(value, _LIFETIME_MAX))


def _issued(value: object, asked: float, lifetime: float) -> float:
    """When the lifetime begins: earlier than `asked` where the service hands out a token that it made before.

    Where that would leave nothing of it the two clocks differ, and `asked` counts.
    """
    try:
        issued = datetime.fromisoformat(value) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        issued = None
    if issued is None:
        return asked
    begin = (issued if issued.tzinfo is not None else issued.replace(tzinfo=UTC)).timestamp()
    return begin if asked - lifetime < begin < asked else asked
