"""Where the files with logins are, and whether they are kept as secrets should be.

Knows the option `ns_authfile` and the search path of containers-auth.json(5); not what is in the files (`authfile`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from oci_ns.logins.authfile import AuthDocument, Authfile, read_auth_document
from oci_ns.problems import ConfigurationError, Problem

SYSTEM = "system"
"""The word that stands for the search path of containers-auth.json(5)."""
FILE_SIZE_MAX = 4 * 2**20
"""In bytes; more than this is not a file of logins."""

_OTHERS_READ = stat.S_IRGRP | stat.S_IROTH


@dataclass(frozen=True, slots=True)
class Logins:
    """What all files say: the logins, the files they were read from, and what looks wrong."""

    authfile: Authfile
    files: tuple[Path, ...] = ()
    warnings: tuple[Problem, ...] = ()


def find_auth_files(option: str, environment: Mapping[str, str], user: int) -> list[Path]:
    """The files that `ns_authfile` means: none for '', for `system` those of the search path that exist.

    As in containers/image, $REGISTRY_AUTH_FILE alone counts where it is set. Otherwise the search goes through Podman's
    file of the session and the one in the home directory, then Docker's. `user` is the numeric user id.
    """
    if not option:
        return []
    if option != SYSTEM:
        return [Path(os.path.expanduser(option))]
    if environment.get("REGISTRY_AUTH_FILE"):
        return [Path(environment["REGISTRY_AUTH_FILE"])]
    home = Path(os.path.expanduser(environment.get("HOME") or "~"))
    session = environment.get("XDG_RUNTIME_DIR")
    candidates = [
        Path(session, "containers", "auth.json") if session else Path(f"/run/containers/{user}/auth.json"),
        Path(environment.get("XDG_CONFIG_HOME") or home / ".config", "containers", "auth.json"),
        Path(environment.get("DOCKER_CONFIG") or home / ".docker", "config.json"),
    ]
    return [path for path in candidates if os.path.exists(path)]


def load_logins(files: list[Path]) -> Logins:
    """Read every file. Raises ConfigurationError for one that cannot be read or does not load."""
    documents: list[AuthDocument] = []
    problems: list[Problem] = []
    for path in files:
        try:
            documents.append(read_auth_file(path))
        except ConfigurationError as error:
            problems += error.problems
    if problems:
        raise ConfigurationError(*problems)
    warnings = tuple(warning for document in documents for warning in document.warnings)
    return Logins(Authfile(documents), tuple(files), warnings)


def read_auth_file(path: Path) -> AuthDocument:
    """Read one file. Raises ConfigurationError: not readable, too large, or not what it should be."""
    try:
        # A FIFO or device would block or never end; a directory is told apart by its own error.
        if path.exists() and not path.is_file() and not path.is_dir():
            raise ConfigurationError(Problem(path, None, "is not a regular file"))
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(FILE_SIZE_MAX + 1)
    except OSError as error:
        raise ConfigurationError(Problem(path, None, f"cannot be read: {error.strerror}")) from None
    if len(data) > FILE_SIZE_MAX:
        raise ConfigurationError(Problem(path, None, f"is larger than {FILE_SIZE_MAX // 2**20} MiB"))
    document = read_auth_document(path, data)
    if document.logins and mode & _OTHERS_READ:
        exposed = Problem(path, None, "its logins can be read by other users of this machine; chmod 600 closes it")
        return replace(document, warnings=(exposed, *document.warnings))
    return document
