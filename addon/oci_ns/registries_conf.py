"""The tables of one registries.conf document, as containers-registries.conf(5) version 2 and this addon define them.

Knows what each key means, what it defaults to and what may not be combined; not where files are found (`conf_files`)
nor how a request is matched (`routes`). What Podman refuses is refused, what it ignores is ignored.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oci_ns.problems import UNREACHABLE, ConfigurationError, Problem
from oci_ns.reference import is_host, looks_like_host, parse_image
from oci_ns.toml_lines import TomlLines
from oci_ns.toml_table import Report, Table, shown

ANY_PREFIX = "*"
"""The prefix that matches every source registry no other prefix matches."""
SOURCE_HOST = "*"
"""The `namespace-proxy` that stands for the source registry's own host."""


class PullFromMirror(enum.Enum):
    """Which pulls a mirror serves."""

    ALL = "all"
    DIGEST_ONLY = "digest-only"
    TAG_ONLY = "tag-only"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a table was written: file, number of the table in it (from 1), line (None where not known)."""

    path: Path
    table: int
    line: int | None

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line is not None else f"{self.path}, [[registry]] {self.table}"


# What is made while a request waits is not frozen, which would take it three times as long; nothing changes it.
@dataclass(slots=True, unsafe_hash=True)
class Endpoint:
    """One place images are fetched from: a `[[registry.mirror]]`, or a `[[registry]]` as its own primary."""

    location: str
    """`host[:port][/path]` without a scheme; '' for the source registry itself (wildcard prefixes only)."""
    insecure: bool = False
    """https with an unverified certificate, or http where the endpoint does not speak TLS. Default: neither."""
    pull_from_mirror: PullFromMirror = PullFromMirror.ALL
    """Mirrors only, and not together with the registry's `mirror-by-digest-only`."""
    namespace: str | None = None
    """`namespace-proxy`: the `ns` of every request sent here; `*` for the source registry's host. Default: no `ns`."""
    plain_http: bool = False
    """Speak http, never https."""
    forward_credentials: bool = False
    """Let a client's `Authorization` for the source registry travel here."""
    line: int | None = field(default=None, compare=False)
    """Of its table in its registry's file; None where not known."""
    number: int | None = field(default=None, compare=False, repr=False)
    """Its place in the `registry_rows.Rows` it comes from, if any: tells it from others that say the same."""

    @property
    def row(self) -> int:
        """The same place, where there must be one. Raises ValueError."""
        if self.number is None:
            raise ValueError(f"the endpoint {self.location} is not of an index")
        return self.number


@dataclass(slots=True, unsafe_hash=True)
class Registry:
    """A `[[registry]]`: images whose name begins with `prefix` come from `mirrors` in order, then from `primary`."""

    prefix: str
    """`host[:port][/path][:tag|@digest]`, `*.example.com`, or `*`. Default: the location."""
    primary: Endpoint
    mirrors: tuple[Endpoint, ...] = ()
    blocked: bool = False
    """Pulling is forbidden."""
    mirror_by_digest_only: bool = False
    """Mirrors serve pulls by digest only."""
    path: Path = field(default=Path(), compare=False)
    """The file it is written in."""
    table: int = field(default=0, compare=False)
    """The number of its table there, from 1."""

    @property
    def origin(self) -> Origin:
        """Where its table was written."""
        return Origin(self.path, self.table, self.primary.line)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Mirrors in order, then the primary."""
        return (*self.mirrors, self.primary)

    def origin_of(self, endpoint: Endpoint) -> Origin:
        """Where the table of one of its endpoints was written."""
        return Origin(self.path, self.table, endpoint.line)


_ENDPOINT_KEYS: dict[str, type] = {
    "location": str,
    "insecure": bool,
    "pull-from-mirror": str,
    "namespace-proxy": str,
    "plain-http": bool,
    "forward-credentials": bool,
}
_OF_THE_REGISTRY_KEYS: dict[str, type] = {"prefix": str, "blocked": bool, "mirror-by-digest-only": bool, "mirror": list}
_REGISTRY_KEYS = {**_ENDPOINT_KEYS, **_OF_THE_REGISTRY_KEYS}
_OF_THE_REGISTRY = dict.fromkeys(_OF_THE_REGISTRY_KEYS, "to the [[registry]]")
_SEARCH = "unqualified-search-registries"
_TOP_LEVEL_KEYS: dict[str, type] = {
    "registry": list,
    _SEARCH: list,
    "credential-helpers": list,
    "short-name-mode": str,
    "additional-layer-store-auth-helper": str,
    "aliases": dict,
    "registries": dict,
}
_SHORT_NAME_MODES = ("", "disabled", "enforcing", "permissive")


class TableReader:
    """Reads the tables of one document, some at a time, and keeps what is to be told of them.

    `warnings` are those of all tables so far, `problems` what keeps the document from loading.
    """

    def __init__(self, path: Path) -> None:
        self.warnings: list[Problem] = []
        self.problems: list[Problem] = []
        self._path = path

    def registries(self, tables: list[dict[str, Any]], text: str, line: int, before: int) -> Iterator[Registry]:
        """The `[[registry]]` tables of a part of the document that load.

        `text` is the part and `line` the number of its first; `before` registries are in the parts before it.
        """
        lines = TomlLines(text, [_mirrors_in(table) for table in tables], line)
        names = [_name(table) for table in tables]
        report = Report(self._path, lines, names, self.warnings, before)
        for number, values in enumerate(tables):
            try:
                yield _registry(Table(report, values, _REGISTRY_KEYS, (number,)))
            except ConfigurationError as error:
                self.problems += error.problems

    def top_level(self, document: Mapping[str, Any], text: str) -> TopLevel:
        """The keys of the document itself, whose whole text is `text`.

        Raises ConfigurationError for what the reference implementation refuses to load.
        """
        warnings: list[Problem] = []
        top = Table(Report(self._path, TomlLines(text, []), [], warnings), document, _TOP_LEVEL_KEYS)
        _check_top_level(top)
        tables = top.tables("registry")
        self.warnings[:0] = warnings
        return TopLevel(top, tables)


class TopLevel:
    """The keys of the document itself. `tables` are the registries that are still in it."""

    def __init__(self, top: Table, tables: list[dict[str, Any]]) -> None:
        self.tables = tables
        self._top = top

    def search_registries(self) -> tuple[str, ...] | None:
        """`unqualified-search-registries`; None where it is not set. Raises ConfigurationError for what is no host."""
        if _SEARCH not in self._top.values:
            return None
        return tuple(_search_registry(self._top, entry) for entry in self._top.strings(_SEARCH))


def _name(table: Mapping[str, Any]) -> str:
    name = table.get("prefix") or table.get("location") or ""
    return name if isinstance(name, str) else shown(name)


def _mirrors_in(table: dict[str, Any]) -> int:
    # As `Table` chooses: the key as it is written here, else in another case.
    spelt = (
        "mirror" if "mirror" in table else next((key for key in reversed(table) if key.lower() == "mirror"), "mirror")
    )
    mirrors = table.get(spelt)
    return sum(isinstance(item, dict) for item in mirrors) if isinstance(mirrors, list) else 0


def _registry(table: Table) -> Registry:
    location, prefix = _location(table, "location"), _location(table, "prefix")
    _check_prefix(table, prefix, location)
    if table.text("pull-from-mirror"):
        table.fail("pull-from-mirror", "pull-from-mirror is for a [[registry.mirror]], not for the registry itself")
    number = table.place[0]
    mirrors = tuple(
        _mirror(table, Table(table.report, mirror, _ENDPOINT_KEYS, (number, index), _OF_THE_REGISTRY))
        for index, mirror in enumerate(table.tables("mirror"))
    )
    return Registry(
        prefix=prefix or location,
        primary=_endpoint(table, location, PullFromMirror.ALL),
        mirrors=mirrors,
        blocked=table.flag("blocked"),
        mirror_by_digest_only=table.flag("mirror-by-digest-only"),
        path=table.report.path,
        table=table.report.before + number + 1,
    )


def _check_top_level(top: Table) -> None:
    version_1 = top.values.get("registries", {})
    kinds = [version_1.get(kind) for kind in ("search", "insecure", "block")]
    if any(isinstance(kind, dict) and "registries" in kind for kind in kinds):
        top.fail("registries", "[registries.*] is version 1 of this format; write [[registry]] tables (version 2)")
    mode = top.text("short-name-mode")
    if mode not in _SHORT_NAME_MODES:
        top.fail("short-name-mode", f'short-name-mode "{mode}" is not one of {", ".join(_SHORT_NAME_MODES[1:])}')
    top.strings("credential-helpers")
    for alias, value in top.values.get("aliases", {}).items():
        _check_alias(top, alias, value)


def _search_registry(top: Table, entry: str) -> str:
    name = entry.rstrip("/")
    if not is_host(name):
        top.fail(_SEARCH, f'{_SEARCH}: "{entry}" is not a host[:port]')
    return name


def _location(table: Table, key: str) -> str:
    value = table.text(key)
    if value.startswith(("http://", "https://")):
        table.fail(key, f'{key} "{value}" has a scheme; write host[:port][/path], and plain-http = true for http')
    return value.rstrip("/")


def _check_prefix(table: Table, prefix: str, location: str) -> None:
    wildcard = prefix.startswith("*.")
    if not location and not prefix:
        table.fail(None, "has neither a location nor a prefix; give it at least a location")
    if not location and not wildcard and prefix != ANY_PREFIX:
        table.fail("prefix", "has no location; only the prefixes *.example.com and * may go without one")
    if wildcard and any(character in prefix for character in "/@:"):
        table.fail("prefix", f'prefix "{prefix}": behind *. only a host name is allowed, no port, path or tag')
    if prefix.startswith("*") and not wildcard and prefix != ANY_PREFIX:
        table.warn("prefix", f'prefix "{prefix}" never matches; wildcards are *.example.com and *', UNREACHABLE)


def _mirror(registry: Table, table: Table) -> Endpoint:
    location, pull = _location(table, "location"), table.text("pull-from-mirror")
    if not location:
        table.fail(None, "has no location; a mirror needs one")
    if pull and registry.flag("mirror-by-digest-only"):
        table.fail("pull-from-mirror", "pull-from-mirror cannot be combined with the registry's mirror-by-digest-only")
    if pull and pull not in {kind.value for kind in PullFromMirror}:
        allowed = ", ".join(kind.value for kind in PullFromMirror)
        table.fail("pull-from-mirror", f'pull-from-mirror "{pull}" is not one of {allowed}')
    return _endpoint(table, location, PullFromMirror(pull or "all"))


def _endpoint(table: Table, location: str, pull: PullFromMirror) -> Endpoint:
    return Endpoint(
        location=location,
        insecure=table.flag("insecure"),
        pull_from_mirror=pull,
        namespace=table.text("namespace-proxy") or None,
        plain_http=table.flag("plain-http"),
        forward_credentials=table.flag("forward-credentials"),
        line=table.line(),
    )


def _check_alias(top: Table, alias: str, value: object) -> None:
    if not isinstance(value, str):
        top.fail("aliases", f"the alias {alias} must be a string, not {shown(value)}")
    if not value:
        return
    try:
        short, image = parse_image(alias), parse_image(value)
    except ValueError as error:
        top.fail("aliases", f"the alias {alias}: {error}")
    if short.tag or short.digest or ("/" in alias and looks_like_host(alias.partition("/")[0])):
        top.fail("aliases", f"the alias {alias} must be a name without registry, tag or digest")
    if image.tag or image.digest or not looks_like_host(value.partition("/")[0]) or "/" not in value:
        top.fail("aliases", f'the alias {alias} = "{value}" must name a registry and repository, without tag or digest')
