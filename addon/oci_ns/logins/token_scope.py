"""The scope of a token that a client asks for, with its repositories as the endpoint calls them.

A client names repositories as it addresses them, also when it asks the endpoint's token service. Source: distribution's
"Token Scope Documentation".
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote_plus

from oci_ns.distribution import escape_namespace, join

_KIND = "repository:"


def with_scopes_moved(target: str, moved: Callable[[str], str]) -> str:
    """The target of a request with every repository in its `scope` parameters replaced by what `moved` makes of it.

    A scope that stays the same keeps its every byte, as does all else.
    """
    path, question, query = target.partition("?")
    if not question or "scope=" not in query:
        return target
    return join(path, "&".join(_parameter(each, moved) for each in query.split("&")))


def _parameter(parameter: str, moved: Callable[[str], str]) -> str:
    name, _, value = parameter.partition("=")
    if name != "scope":
        return parameter
    before = unquote_plus(value, errors="surrogateescape")
    after = " ".join(_scope(each, moved) for each in before.split(" "))
    return parameter if after == before else f"scope={escape_namespace(after)}"


def _scope(scope: str, moved: Callable[[str], str]) -> str:
    if not scope.startswith(_KIND):
        return scope
    repository, colon, actions = scope[len(_KIND) :].rpartition(":")
    return f"{_KIND}{moved(repository)}{colon}{actions}" if repository else scope
