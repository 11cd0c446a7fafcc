"""What a server wants to see in Authorization: the challenges of WWW-Authenticate, taken apart.

Source: RFC 9110, section 11.6.1 (grammar) and 11.2 (parameters, token68). What is no challenge is passed over, and
never an error: the fields come from anybody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# An unquoted value ought to be a token; URLs that nobody quoted are taken, too.
_parameter = re.compile(rf'({_TOKEN})[ \t]*=[ \t]*("(?:[^"\\]|\\.)*+"?|[^\s",=][^\s",]*)[ \t]*', re.DOTALL).fullmatch
_scheme = re.compile(rf"({_TOKEN})(?:[ \t]+(.*))?", re.DOTALL).fullmatch
_is_token68 = re.compile(r"[A-Za-z0-9._~+/-]+=*").fullmatch
_LENGTH_MAX = 64 * 2**10


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge: `scheme` in lower case, and either parameters (names in lower case) or a `token68`."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    token68: str = ""


def parse_challenges(values: Iterable[str]) -> tuple[Challenge, ...]:
    """Every challenge in the values of all WWW-Authenticate fields, in order. Of a repeated parameter the first counts.

    Values of more than 64 KiB are passed over. Never raises.
    """
    return tuple(challenge for value in values if len(value) <= _LENGTH_MAX for challenge in _challenges(value))


def _challenges(value: str) -> Iterator[Challenge]:
    scheme, token68 = "", ""
    parameters: dict[str, str] = {}
    for element in _elements(value):
        rest = element
        if _parameter(element) is None:
            begun = _scheme(element)
            if begun is None:
                continue
            if scheme:
                yield Challenge(scheme, parameters, token68)
            scheme, rest, parameters, token68 = begun[1].lower(), (begun[2] or "").strip(" \t"), {}, ""
        match = _parameter(rest)
        if match is not None:
            parameters.setdefault(match[1].lower(), _unquoted(match[2]))
        elif _is_token68(rest):
            token68 = rest
    if scheme:
        yield Challenge(scheme, parameters, token68)


def _elements(value: str) -> Iterator[str]:
    """The elements of the list: what lies between commas that are not in a quoted string."""
    begin, position, quoted = 0, 0, False
    while position < len(value):
        character = value[position]
        if quoted and character == "\\":
            position += 1
        elif character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            yield value[begin:position].strip(" \t")
            begin = position + 1
        position += 1
    yield value[begin:].strip(" \t")


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    inner = value[1:-1] if len(value) > 1 and value.endswith('"') else value[1:]
    return re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL)
