"""Names swapped in a part of a table: what is decided about some registries, said of others that are configured alike.

Knows in which places of a table names stand. Which of them may be swapped is in `twins`. Decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from oci_ns.export.tabulation import Address, Host, Kind, Refusal, Scopes, Step, Way, Ways

_any_word = re.compile(r"[^/:@]+")
_any_name = re.compile(r"[^\s,;\"'()=]*[/.:][^\s,;\"'()=]*")
"""What looks like a registry or a repository in a message."""
V = TypeVar("V")


def words_of(text: str) -> list[str]:
    """The words of a location, namespace or scope: the host without its port, the port, and each component."""
    return _any_word.findall(text)


@dataclass(frozen=True, slots=True)
class Swap:
    """Names that change places, each way: `words` as `words_of` has them, and `entries`, which are `FILE:LINE`."""

    words: Mapping[str, str]
    entries: Mapping[str, str]
    _made: dict[int, tuple[object, object]] = field(default_factory=dict, compare=False, repr=False)
    """What was made of a thing, by its identity; with it, so that nothing else gets the same."""

    def text(self, text: str) -> str:
        """A host, namespace, scope or what is put in front of one."""
        found = self.words.get(text)
        if found is not None:
            return found
        if "/" in text or ":" in text or "@" in text:
            return _any_word.sub(lambda match: self.words.get(match[0], match[0]), text)
        return text

    def host(self, host: Host) -> Host:
        """What the one's host is, for the other's."""
        plain = self.scopes(host.plain)
        by_namespace = {self.text(spoken): self.scopes(scopes) for spoken, scopes in host.by_namespace.items()}
        patterns = {pattern: self.ways_or_none(ways) for pattern, ways in host.patterns.items()}
        # What nothing knows has no name that could be swapped.
        other = plain if host.other_namespace is host.plain else host.other_namespace
        return Host(plain, by_namespace, other, host.reads_paths, patterns)

    def scopes(self, scopes: Scopes) -> Scopes:
        """What is decided for the one, for the other."""
        exactly = {self.text(key): self.ways(ways) for key, ways in scopes.exactly.items()}
        below = {self.text(key): self.ways(ways) for key, ways in scopes.below.items()}
        return Scopes(self.ways(scopes.root), exactly, below)

    def ways_or_none(self, ways: Ways | None) -> Ways | None:
        """The same for each kind of request, if there are any."""
        return None if ways is None else self.ways(ways)

    def ways(self, ways: Ways) -> Ways:
        """The same for each kind of request."""
        known = self._made.get(id(ways))
        if known is not None:
            return known[1]  # type: ignore[return-value]
        last, other = None, None
        made: dict[Kind, Way] = {}
        for kind, way in ways.items():
            if way is not last or other is None:
                last, other = way, self._way(way)
            made[kind] = other
        self._made[id(ways)] = ways, made
        return made

    def _way(self, way: Way) -> Way:
        known = self._made.get(id(way))
        if known is not None:
            return known[1]  # type: ignore[return-value]
        steps = tuple([self._step(step) for step in way.steps])
        refusal = self._refusal(way.refusal) if way.refusal is not None else None
        made = Way(steps, refusal, self.entries.get(way.entry, way.entry))
        self._made[id(way)] = way, made
        return made

    def _step(self, step: Step) -> Step:
        known = self._made.get(id(step))
        if known is not None:
            return known[1]  # type: ignore[return-value]
        to, namespace = step.to, step.namespace
        if to is not None and isinstance(to.host, str):
            host = self.text(to.host)
            to = to if host == to.host else Address(to.scheme, host, to.port)
        if isinstance(namespace, str):
            namespace = self.text(namespace)
        made = Step(
            to,
            step.strip,
            self.text(step.put),
            step.reference,
            step.edit,
            namespace,
            step.keeps_credentials,
            step.insecure,
            self.entries.get(step.entry, step.entry),
        )
        self._made[id(step)] = step, made
        return made

    def _refusal(self, refusal: Refusal) -> Refusal:
        message = tuple([self._message(part) if isinstance(part, str) else part for part in refusal.message])
        detail = self.entries.get(refusal.detail, refusal.detail)
        return Refusal(refusal.status, refusal.code, message, detail, refusal.is_greeted)

    def _message(self, text: str) -> str:
        return _any_name.sub(lambda match: self.text(match[0]), text)
