"""Where registries.conf files are found, how they are read, and how several become one configuration.

Knows the search path and the drop-in rule of containers-registries.conf(5); not what the tables mean.
"""

from __future__ import annotations

import codecs
import heapq
import itertools
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from oci_ns.conf_document import Document, read_document
from oci_ns.problems import NOT_TOML, UNREADABLE, ConfigurationError, Problem
from oci_ns.registries_conf import Registry
from oci_ns.registry_rows import Registries, Rows
from oci_ns.toml_pieces import TomlSyntaxError

SYSTEM = "system"
"""The word that stands for the search path of containers-registries.conf(5)."""
DEFAULT_CONF = Path(__file__).with_name("registries.conf")
"""What is used when nothing is configured: the checkout's config/registries.conf, or the copy in the package."""
ENVIRONMENT_VARIABLE = "CONTAINERS_REGISTRIES_CONF"
FILE_SIZE_MAX = 64 * 2**20
"""In bytes. 100,000 registries take about 20 MB; more than this is not a registries.conf."""

_PIECE_SIZE = 2**20
_SORTED_MAX = 10_000
_SYSTEM_CONF = Path("/etc/containers/registries.conf")
_SYSTEM_DROP_INS = Path("/etc/containers/registries.conf.d")
_USER_DIRECTORY = "containers"


@dataclass(frozen=True, slots=True)
class Sources:
    """The files to read: the main one, if any, then each drop-in directory's `*.conf` by name."""

    main: Path | None
    drop_in_directories: tuple[Path, ...] = ()

    def files(self) -> list[Path]:
        """Every file to read now, in order. Directories that do not exist have none.

        Raises ConfigurationError where a directory cannot be listed.
        """
        found = [self.main] if self.main is not None else []
        for directory in self.drop_in_directories:
            try:
                entries = sorted(directory.iterdir())
            except FileNotFoundError:
                continue
            except OSError as error:
                raise ConfigurationError(
                    Problem(directory, None, f"cannot be listed: {error.strerror}", UNREADABLE)
                ) from error
            found += [entry for entry in entries if entry.name.endswith(".conf") and not entry.is_dir()]
        return found


@dataclass(frozen=True, slots=True)
class Configuration:
    """All files as one: registries sorted by prefix (each prefix once), search registries, and what looks wrong.

    `replaced` holds each registry of an earlier file whose prefix a later file has again.
    """

    registries: Sequence[Registry] = ()
    unqualified_search_registries: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    warnings: tuple[Problem, ...] = ()
    replaced: Sequence[Registry] = ()


def find_sources(conf: str, drop_in_directory: str, environment: Mapping[str, str]) -> Sources:
    """Which files `ns_registries_conf` and `ns_registries_conf_d` mean; '' is the default of either.

    `environment` is read for CONTAINERS_REGISTRIES_CONF, XDG_CONFIG_HOME and HOME.
    """
    if conf == SYSTEM:
        return _system_sources(drop_in_directory, environment)
    main = Path(os.path.expanduser(conf or environment.get(ENVIRONMENT_VARIABLE) or DEFAULT_CONF.resolve()))
    return Sources(main, (Path(os.path.expanduser(drop_in_directory)),) if drop_in_directory else ())


def _system_sources(drop_in_directory: str, environment: Mapping[str, str]) -> Sources:
    """The user's file hides the system's; the user's drop-ins come after the system's (man page, "FILES")."""
    home = environment.get("XDG_CONFIG_HOME") or os.path.join(environment.get("HOME", "~"), ".config")
    user = Path(os.path.expanduser(home)) / _USER_DIRECTORY
    candidates = [user / "registries.conf", _SYSTEM_CONF]
    if environment.get(ENVIRONMENT_VARIABLE):
        main: Path | None = Path(environment[ENVIRONMENT_VARIABLE])
    else:
        main = next((path for path in candidates if path.exists()), None)
    if drop_in_directory:
        return Sources(main, (Path(os.path.expanduser(drop_in_directory)),))
    return Sources(main, (_SYSTEM_DROP_INS, user / "registries.conf.d"))


def load(sources: Sources) -> Configuration:
    """Read and merge every file; a prefix in a later file replaces the same prefix of an earlier one.

    Raises ConfigurationError for a file that cannot be read or does not load; where one could not be read, the cause is
    an OSError.
    """
    files = sources.files()
    rows = Rows()
    numbers: dict[str, int] = {}
    search: tuple[str, ...] = ()
    warnings: list[Problem] = []
    problems: list[Problem] = []
    replaced = array("I")
    unread: OSError | None = None
    for path in files:
        try:
            document = read_file(path, rows)
        except ConfigurationError as error:
            problems += error.problems
            if isinstance(error.__cause__, OSError):
                unread = error.__cause__
            continue
        replaced.extend(numbers[prefix] for prefix in document.numbers if prefix in numbers)
        numbers |= document.numbers
        if document.unqualified_search_registries is not None:
            search = document.unqualified_search_registries
        warnings += document.warnings
    if problems:
        raise ConfigurationError(*problems) from unread
    ordered = Registries(rows, array("I", (numbers[prefix] for prefix in _in_order(numbers))))
    return Configuration(ordered, search, tuple(files), tuple(warnings), Registries(rows, replaced))


def _in_order(prefixes: Iterable[str]) -> Iterator[str]:
    rest = iter(prefixes)
    parts = []
    while part := sorted(itertools.islice(rest, _SORTED_MAX)):
        parts.append(part)
    return heapq.merge(*parts)


def read_file(path: Path, rows: Rows) -> Document:
    """Add what one file says to the rows.

    Raises ConfigurationError: not readable, not UTF-8, not TOML, or not a registries.conf.
    """
    try:
        # A FIFO or device would block or never end; a directory is told apart by its own error.
        if path.exists() and not path.is_file() and not path.is_dir():
            raise ConfigurationError(Problem(path, None, "is not a regular file", UNREADABLE))
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > FILE_SIZE_MAX:
                raise ConfigurationError(_too_large(path))
            # Piece by piece, and so is decoded and sorted: what C does to much at once lets no other thread run.
            pieces = list(itertools.islice(iter(lambda: file.read(_PIECE_SIZE), b""), FILE_SIZE_MAX // _PIECE_SIZE + 1))
    except OSError as error:
        raise ConfigurationError(Problem(path, None, f"cannot be read: {error.strerror}", UNREADABLE)) from error
    if sum(map(len, pieces)) > FILE_SIZE_MAX:
        raise ConfigurationError(_too_large(path))
    return _read_text(path, _decoded(path, pieces), rows)


def _too_large(path: Path) -> Problem:
    return Problem(path, None, f"is larger than {FILE_SIZE_MAX // 2**20} MiB", UNREADABLE)


def parse_text(path: Path, data: bytes) -> Document:
    """Parse a file's bytes. Raises ConfigurationError: not UTF-8, not TOML, or not a registries.conf."""
    return _read_text(path, _decoded(path, [data]), Rows())


def _decoded(path: Path, pieces: Iterable[bytes]) -> str:
    try:
        return "".join(codecs.iterdecode(pieces, "utf-8"))
    except UnicodeDecodeError:
        return _decoded_at_once(path, b"".join(pieces))


def _decoded_at_once(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(Problem(path, line, "is not UTF-8", NOT_TOML)) from error


def _read_text(path: Path, text: str, rows: Rows) -> Document:
    try:
        return read_document(path, text, rows)
    except TomlSyntaxError as error:
        raise ConfigurationError(Problem(path, error.line, f"is not valid TOML: {error}", NOT_TOML)) from error
