"""The shape that nearly all tables of a large registries.conf have, read into rows without a TOML parser.

Knows `[[registry]]` and `[[registry.mirror]]` tables with known keys, plain strings and booleans, in which nothing can
be wrong. Reads those as the parser and `registries_conf` would, in a tenth of the time; all others are left to them.
"""

from __future__ import annotations

import re

from oci_ns.registry_rows import BLOCKED, BY_DIGEST_ONLY, FORWARD_CREDENTIALS, INSECURE, PLAIN_HTTP, PULLS, Rows

_SPACE = r"[ \t]*+"
_COMMENT = r"[ \t]*+(?:#[^\x00-\x08\x0a-\x1f\x7f]*+)?\r?\n"
_TEXT = r'"([^"\\\x00-\x1f\x7f]++)"'
_PLACE = r'"((?!https?://)[^"\\\x00-\x1f\x7f]++)(?<!/)"'
_NAME = r'"((?!https?://|\*)[^"\\\x00-\x1f\x7f]++)(?<!/)"'
_FLAG = "(true|false)"


def _table(header: str, keys: dict[str, str]) -> re.Pattern[str]:
    """A table, from its header to the next one. Its groups are the keys' values; no key is there twice."""
    lines = [
        rf"(?({group})(?!)){key}{_SPACE}={_SPACE}{value}{_COMMENT}"
        for group, (key, value) in enumerate(keys.items(), 1)
    ]
    return re.compile(rf"{_SPACE}\[\[{header}\]\]{_COMMENT}(?:{_SPACE}(?:{'|'.join(lines)})|{_COMMENT})*+")


_registry = _table(
    "registry",
    {
        "prefix": _NAME,
        "location": _PLACE,
        "namespace-proxy": _TEXT,
        "insecure": _FLAG,
        "plain-http": _FLAG,
        "forward-credentials": _FLAG,
        "blocked": _FLAG,
        "mirror-by-digest-only": _FLAG,
    },
).match
_mirror = _table(
    r"registry\.mirror",
    {
        "location": _PLACE,
        "namespace-proxy": _TEXT,
        "insecure": _FLAG,
        "plain-http": _FLAG,
        "forward-credentials": _FLAG,
        "pull-from-mirror": f'"({"|".join(PULLS)})"',
    },
).match

_Match = re.Match[str]


def read_plain_tables(text: str, at: int, line: int, rows: Rows, file: int, table: int) -> int:
    """Add the registries that are plain, from the `[[registry]]` at position `at` on, up to the first that is not.

    Returns the position behind them, which is where another `[[registry]]` begins, or the end. `line` is the number of
    the line at `at`; `file` is the number of the file in the rows, `table` how many registries are in it before.
    """
    names: dict[str, str] = {}
    locations, namespaces, lines = rows.locations, rows.namespaces, rows.lines
    flags, registry_flags = rows.endpoint_flags, rows.flags
    count = text.count
    former = ""
    while (found := _plain(text, at)) is not None:
        registry, mirrors, behind = found
        prefix, location, namespace, insecure, plain_http, forward, blocked, by_digest = registry.groups()
        # Strings that are equal are one: most are there more than once.
        if prefix is None or prefix == location:
            prefix = location
        own_line, own_flags = line, _endpoint_flags(insecure, plain_http, forward)
        for mirror in mirrors:
            start = mirror.start()
            line += count("\n", at, start)
            at = start
            place, name, insecure, plain_http, forward, pull = mirror.groups()
            if place == former:
                place = former
            former = place
            locations.append(place)
            namespaces.append(prefix if name == prefix else names.setdefault(name, name))
            flags.append(_endpoint_flags(insecure, plain_http, forward) | PULLS[pull or "all"])
            lines.append(line)
        locations.append(location)
        namespaces.append(prefix if namespace == prefix else namespace)
        flags.append(own_flags)
        lines.append(own_line)
        table += 1
        rows.prefixes.append(prefix)
        registry_flags.append((BLOCKED if blocked == "true" else 0) | (BY_DIGEST_ONLY if by_digest == "true" else 0))
        rows.files.append(file)
        rows.tables.append(table)
        rows.ends.append(len(locations))
        line += count("\n", at, behind)
        at = behind
    return at


def _endpoint_flags(insecure: str | None, plain_http: str | None, forward: str | None) -> int:
    if insecure is plain_http is forward is None:
        return 0
    return (
        (INSECURE if insecure == "true" else 0)
        | (PLAIN_HTTP if plain_http == "true" else 0)
        | (FORWARD_CREDENTIALS if forward == "true" else 0)
    )


def _plain(text: str, at: int) -> tuple[_Match, list[_Match], int] | None:
    """The registry at `at`, its mirrors, and where they end; None where one is not plain, or what follows is not."""
    registry = _registry(text, at)
    if registry is None or registry[2] is None:
        return None
    by_digest = registry[8] == "true"
    behind = registry.end()
    mirrors: list[_Match] = []
    while (mirror := _mirror(text, behind)) is not None:
        if mirror[1] is None or (by_digest and mirror[6] is not None):
            return None
        mirrors.append(mirror)
        behind = mirror.end()
    if behind < len(text) and not text.startswith("[[registry]]", behind):
        return None
    return registry, mirrors, behind
