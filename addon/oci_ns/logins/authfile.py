"""The logins of a containers-auth.json(5) or Docker config.json document, and which of them belongs to a repository.

Knows the format, and that no message may quote what stands in it; not where the files are (`auth_files`). Sources:
containers-auth.json(5), and what Podman and Docker make of a file (containers/image, docker/cli).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oci_ns.logins.login import Login, Secret
from oci_ns.problems import ConfigurationError, Problem
from oci_ns.reference import canonical_registry, is_host, split_host

_SCHEMES = ("https://", "http://")
_LOGIN_FIELDS = ("auth", "username", "password", "identitytoken")
_HELPERS = ("credsStore", "credHelpers")


@dataclass(frozen=True, slots=True)
class AuthDocument:
    """What one file says: its logins by entry (host[:port][/path] in normal form), and what looks wrong."""

    logins: Mapping[str, Login] = field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()


class Authfile:
    """The logins of all files. In each the most specific entry counts, and the first file that has one."""

    def __init__(self, documents: Iterable[AuthDocument] = ()) -> None:
        self._files = [document.logins for document in documents if document.logins]
        self._any: dict[str, Login] = {}
        for logins in self._files:
            for entry, login in sorted(logins.items()):
                # The registry's own entry sorts before those of its namespaces.
                self._any.setdefault(entry.partition("/")[0], login)

    def __len__(self) -> int:
        return sum(map(len, self._files))

    def login_for(self, registry: str, path: str) -> Login | None:
        """The login for a repository, from the entry of the longest path above it, else of the registry.

        `registry` is in the normal form of `reference.canonical_registry`, `path` the repository's name there.
        """
        if registry not in self._any:
            return None
        for logins in self._files:
            for entry in _entries(registry, path):
                login = logins.get(entry)
                if login is not None:
                    return login
        return None

    def login_at(self, registry: str) -> Login | None:
        """The login for what is of no repository (ping and catalog): the registry's, else one of its namespaces'."""
        return self._any.get(registry)


def _entries(registry: str, path: str) -> Iterator[str]:
    while path:
        yield f"{registry}/{path}"
        path = path.rpartition("/")[0]
    yield registry


def read_auth_document(path: Path, data: bytes) -> AuthDocument:
    """Read the bytes of the file at `path`. Empty files and files without logins are fine: they have none.

    Raises ConfigurationError, which never quotes the document: not UTF-8, not JSON, or an entry that is no login.
    """
    document = _object_in(path, data)
    auths = document.get("auths") or {}
    if not isinstance(auths, dict):
        raise ConfigurationError(Problem(path, None, "auths is not an object of registries and their logins"))
    problems: list[Problem] = []
    warnings = [_helper_warning(path, key) for key in _HELPERS if document.get(key)]
    logins: dict[str, Login] = {}
    legacy: dict[str, Login] = {}
    for number, (key, value) in enumerate(auths.items(), 1):
        name = f"entry {number} of auths"
        try:
            entry, is_url = _entry(key)
            name = f"auths, {entry}"
            login = _login(entry, value)
        except ValueError as error:
            problems.append(Problem(path, None, f"{name}: {error}"))
            continue
        if login is not None:
            (legacy if is_url else logins).setdefault(entry, login)
        elif value:
            warnings.append(Problem(path, None, f"{name} has no login that can be used here; it is passed over"))
    if problems:
        raise ConfigurationError(*problems)
    return AuthDocument(legacy | logins, tuple(warnings))


def _object_in(path: Path, data: bytes) -> dict[str, Any]:
    """The JSON object. What Python says of bad JSON may quote it, and its exceptions carry it: both end here."""
    problem: Problem | None = None
    document: Any = None
    try:
        text = data.decode("utf-8")
        document = json.loads(text) if text.strip() else {}
    except UnicodeDecodeError as error:
        problem = Problem(path, data.count(b"\n", 0, error.start) + 1, "is not UTF-8")
    except json.JSONDecodeError as error:
        problem = Problem(path, error.lineno, f"is not valid JSON (column {error.colno})")
    except RecursionError:
        problem = Problem(path, None, "is not valid JSON: nested too deeply")
    except ValueError:
        problem = Problem(path, None, "is not valid JSON: a number is too long")
    if problem is not None:
        raise ConfigurationError(problem)
    if not isinstance(document, dict):
        raise ConfigurationError(Problem(path, None, 'is not a JSON object with "auths"'))
    return document


def _helper_warning(path: Path, key: str) -> Problem:
    return Problem(path, None, f"{key} is not used: no credential helper is run; put the login into auths")


def _entry(key: str) -> tuple[str, bool]:
    """The key in normal form, and whether it was a URL, of which only the host counts.

    Raises ValueError, without the key: it may have been a secret's place by mistake.
    """
    scheme = next((each for each in _SCHEMES if key.startswith(each)), "")
    host, _, path = key.removeprefix(scheme).partition("/")
    if not is_host(host):
        raise ValueError("its name is not a host[:port], with or without a path")
    try:
        split_host(host)
    except ValueError:
        raise ValueError("its name does not have a valid port") from None
    registry = canonical_registry(host)
    path = "" if scheme else path.strip("/")
    return (f"{registry}/{path}" if path else registry), bool(scheme)


def _login(entry: str, value: object) -> Login | None:
    """The login of an entry; None where it has none. Raises ValueError, without any of its values."""
    if not isinstance(value, dict):
        raise ValueError("is not an object")
    fields = {}
    for name in _LOGIN_FIELDS:
        text = value.get(name)
        if text is not None and not isinstance(text, str):
            raise ValueError(f"{name} is not a string")
        fields[name] = text or ""
    username, password = fields["username"], fields["password"]
    if fields["auth"]:
        # As in Docker, it wins over the fields.
        username, password = _decoded(fields["auth"])
    if ":" in username:
        raise ValueError("the user name has a colon in it, which the Basic scheme cannot express")
    if not username and not fields["identitytoken"]:
        if password:
            raise ValueError("there is a password and no user name")
        return None
    return Login(entry, Secret(username), Secret(password), Secret(fields["identitytoken"]))


def _decoded(auth: str) -> tuple[str, str]:
    problem = ""
    text = ""
    try:
        # Line breaks may be in it, as in what the `base64` command prints.
        text = base64.b64decode(auth.replace("\r", "").replace("\n", ""), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        problem = "auth is not the base64 of user:password"
    username, colon, password = text.partition(":")
    if problem or not colon:
        raise ValueError(problem or "auth is the base64 of something that is not user:password")
    return username, password.strip("\0")
