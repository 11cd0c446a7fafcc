"""Where ordinary pulls go: a table's look-ups, reduced to the host and the repository's first component.

An ordinary pull asks for a manifest or a blob by GET or HEAD, in a path without escapes, and without a query. Most
registries have one way for all of these, so that an engine finds it at once; for those of which more would have to be
looked up, nothing is known here. Knows no engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from oci_ns.export.tabulation import Host, Kind, Paths, Scopes, Step, Tabulation, Ways

_PULLS = (Kind.BY_TAG, Kind.BY_DIGEST, Kind.BLOB)


@dataclass(frozen=True, slots=True)
class Ordinary:
    """The ways of a host's repositories; None where more has to be looked up.

    `firsts` is for repositories of several components, by the first. Where that is not in it and looks like a host, and
    `reads_paths` is true, the registries of the table's paths are asked; `others` is for all that is left.
    """

    others: Ways | None
    firsts: Mapping[str, Ways | None]
    reads_paths: bool


def ordinary(host: Host, paths: Paths) -> Ordinary:
    """What is known of a host."""
    others, firsts = _firsts(host.plain)
    asked = host.reads_paths and bool(paths.exactly or paths.below or paths.patterns or host.patterns)
    return Ordinary(others, firsts, asked)


def in_paths(paths: Paths) -> dict[str, Ways | bool | None]:
    """The registries in a path, by the first component; False for what is not taken for one."""
    several = {key.partition("/")[0] for key in (*paths.below, *paths.exactly) if "/" in key}
    several |= {key.partition("@")[0].partition(":")[0] for key in paths.exactly if "/" not in key}
    return {
        key: None if key in several else False if ways is None else ways
        for key, ways in paths.below.items()
        if "/" not in key
    }


def known_hosts(table: Tabulation) -> dict[str, Ordinary]:
    """All hosts that are no patterns."""
    return {name: ordinary(host, table.paths) for name, host in table.hosts.items() if name != "*" and name[:2] != "*."}


def only_steps(ways: Ways | None) -> tuple[Step, ...]:
    """The steps of all ordinary pulls of these ways; () where they differ, or are refused, or have a reference put."""
    if ways is None:
        return ()
    found = [ways[kind] for kind in _PULLS if kind in ways]
    first = found[0] if len(found) == len(_PULLS) else None
    if first is None or first.refusal is not None or any(each.steps != first.steps for each in found):
        return ()
    return () if any(step.reference for step in first.steps) else first.steps


def _firsts(scopes: Scopes) -> tuple[Ways | None, dict[str, Ways | None]]:
    others: Ways | None = scopes.below.get("")
    firsts: dict[str, Ways | None] = {}
    deeper = {key.partition("/")[0] for key in scopes.below if "/" in key}
    for key, ways in scopes.below.items():
        if key:
            first = key.partition("/")[0]
            firsts[first] = None if first in deeper else ways
    for key, ways in scopes.exactly.items():
        first, slash, rest = key.partition("/")
        if slash and rest:
            firsts[first] = None
        elif not slash and ways is not others and ways != others:
            others = None
    return others, firsts
