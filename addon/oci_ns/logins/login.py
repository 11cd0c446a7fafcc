"""A login, and how a secret is kept: nothing that prints, formats or logs one of these values shows what is in it."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Secret:
    """A text that only `reveal` shows; `repr` and `str` show three asterisks."""

    _text: str = field(repr=False)

    def reveal(self) -> str:
        """The text itself, for the one place that sends it."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    def __bool__(self) -> bool:
        return bool(self._text)


@dataclass(frozen=True, slots=True)
class Login:
    """Who asks at a registry. `entry` is the key it is written under, host[:port][/path] in normal form.

    With an identity token, a token service is asked with that (OAuth2) and user name and password may be empty.
    """

    entry: str
    username: Secret = field(default=Secret(""), repr=False)
    password: Secret = field(default=Secret(""), repr=False)
    identity_token: Secret = field(default=Secret(""), repr=False)

    @property
    def has_password(self) -> bool:
        """Whether it can be used with the Basic scheme. Beside an identity token a user name alone is no login."""
        return bool(self.username) and (bool(self.password) or not self.identity_token)

    def basic(self) -> bytes:
        """The Authorization value of the Basic scheme (RFC 7617), the user name and password in UTF-8."""
        pair = f"{self.username.reveal()}:{self.password.reveal()}"
        return b"Basic " + base64.b64encode(pair.encode("utf-8", "surrogatepass"))
