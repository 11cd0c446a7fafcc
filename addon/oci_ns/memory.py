"""Which endpoint served a repository lately, so that the next request for it goes there without a second look.

Bounded in time and in size; knows nothing of why an endpoint was chosen.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from oci_ns.decision import Decision
from oci_ns.distribution import Operation
from oci_ns.registries_conf import Endpoint, Registry

_ENTRIES_MAX = 50_000

_Key = tuple[str, str, str]
_ANY = "any"


class Memory:
    """Endpoints by source registry, repository, and kind of pull. `now` is a clock in seconds; `ttl` is in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.ttl = 0.0
        self._entries: OrderedDict[_Key, tuple[Endpoint, Registry | None, float]] = OrderedDict()

    def recall(self, decision: Decision) -> Decision | None:
        """The one of the decision and its alternatives that served the repository lately; None where none did.

        What was remembered under another `[[registry]]` table, before a reload, does not count.
        """
        key = _key(decision)
        entry = self._entries.get(key)
        if entry is None:
            return None
        endpoint, registry, until = entry
        # Where the registry's table has changed since, another endpoint may come before.
        if self._now() < until and registry == decision.registry:
            for candidate in (decision, *decision.alternatives):
                if candidate.endpoint == endpoint:
                    return candidate
        del self._entries[key]
        return None

    def remember(self, decision: Decision, chosen: Decision) -> None:
        """`chosen`, one of the decision's, serves what the decision is about, and the blobs of that repository."""
        if chosen.endpoint is None:
            return
        key = _key(decision)
        entry = (chosen.endpoint, decision.registry, self._now() + self.ttl)
        for each in (key, (*key[:2], _ANY)):
            self._entries[each] = entry
            self._entries.move_to_end(each)
        while len(self._entries) > _ENTRIES_MAX:
            self._entries.popitem(last=False)

    def forget(self, decision: Decision) -> None:
        """Look anew for what the decision is about, and for the blobs of that repository."""
        key = _key(decision)
        self._entries.pop(key, None)
        self._entries.pop((*key[:2], _ANY), None)

    def clear(self) -> None:
        """Look anew for everything."""
        self._entries.clear()


def _key(decision: Decision) -> _Key:
    """A mirror may serve pulls by digest only, so what a tag was found at says nothing of a digest, nor the reverse."""
    subject = decision.subject
    if subject is None:
        return ("", "", "")
    if decision.operation in (Operation.BLOB, Operation.PING, Operation.CATALOG):
        kind = _ANY
    else:
        kind = "digest" if subject.reference.startswith("@") else "tag"
    return (subject.registry, subject.repository, kind)
