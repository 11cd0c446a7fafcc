"""What a text for people and logs leaves out: logins in front of a host, and what a query may sign or prove.

The addresses that requests are sent to are never made of it.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote_plus

LEFT_OUT = "…"

# Of the distribution-spec, and what goes with token services and their names; no login is ever a value of these.
_PLAIN_PARAMETERS = frozenset(
    {"ns", "n", "last", "digest", "mount", "from", "artifactType", "tag", "scope", "service", "page_size"}
)
_DIGEST = r"sha(?:256|384|512):|[a-z0-9]+(?:[+._-][a-z0-9]+)*:[A-Za-z0-9=_-]{32,}"
_OF_LOGIN = r"""[^\s/@"'<>()\[\]]"""
# Looked for where such characters begin, and not at each of them again: a text may be as long as a client likes.
_without_login = re.compile(rf"(?<!{_OF_LOGIN}){_OF_LOGIN}++@(?!{_DIGEST})")


def without_logins(text: str) -> str:
    """The text with `…@` in place of each `user:password@` (or `token@`); `name:tag@digest` stays."""
    return text if "@" not in text else _without_login.sub(f"{LEFT_OUT}@", text)


def shown_url(url: str) -> str:
    """The URL with the values of all query parameters left out but those that are known to hold no secret."""
    place, question, query = url.partition("?")
    if not query:
        return url
    return f"{place}{question}{'&'.join(map(_shown_parameter, query.split('&')))}"


def _shown_parameter(parameter: str) -> str:
    name, equals, value = parameter.partition("=")
    if not parameter or unquote_plus(name) in _PLAIN_PARAMETERS:
        return parameter
    if not equals:
        return LEFT_OUT
    return f"{name}={LEFT_OUT}" if value else parameter


def discreet(value: Any) -> Any:
    """An object for JSON with every text in it as `without_logins` has it."""
    if isinstance(value, str):
        return without_logins(value)
    if isinstance(value, dict):
        return {key: discreet(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [discreet(each) for each in value]
    return value
