"""The ways of a table as nginx's look-ups tell them: one line of words for each place that a request is sent to.

Knows what stands in such a line (`Hop`). Where it leads is in `upstreams`, the `map`s that lead to it are
in `maps`, and what nginx does with it is in `locations`.
"""

from __future__ import annotations

import enum
import functools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import quote_plus

from oci_ns.distribution import escape_namespace
from oci_ns.export.contract import NotCarried, Settings
from oci_ns.export.nginx.locations import Place
from oci_ns.export.nginx.text import TOKEN_MAX, comment, literal
from oci_ns.export.nginx.upstreams import Upstreams, is_address
from oci_ns.export.tabulation import Address, NamespaceEdit, Part, Refusal, Step, Way
from oci_ns.reference import DEFAULT_PORTS, is_host
from oci_ns.spec_error import SpecError

HOPS_MAX = 8
"""nginx follows at most ten redirections of its own in one request."""
NOTHING = "-"
NAMES_ONLY = "nginx compares only names with certificates: write a name, or insecure = true"
NEEDS_RESOLVERS = "nginx looks its name up for each request: name servers have to be given (--resolver)"
OWN = "$oci_own"
"""The base of the addressed host itself."""
NEVER = "%"
"""No client's `ns` that is read is that."""


_is_word = re.compile(r"[!-~]*").fullmatch
_EDITS = {id(edit): edit.value for edit in NamespaceEdit}
"""By identity: enumerations are slow keys, and slow to read."""


class Asker(enum.Enum):
    """What tells the source registry: the prefix of the variables that have its name."""

    HOST = "oci_addressed"
    NAMESPACE = "oci_spoken"
    PATH = "oci_first"


class Hop(NamedTuple):
    """One place. Words without blanks; variables are replaced."""

    mode: str
    base: str
    authority: str
    strip: int
    put: str
    reference: str
    edit: str
    namespace: str
    plain_namespace: str

    def __str__(self) -> str:
        return (
            f"{self.mode} {self.base} {self.authority} {self.strip} {self.put} {self.reference} "
            f"{self.edit} {self.namespace} {self.plain_namespace}"
        )


@dataclass
class Hops:
    """Makes the lines of words, and notes what of them there is."""

    settings: Settings
    scheme: str
    upstreams: Upstreams
    problems: dict[NotCarried, None] = field(default_factory=dict)
    askers: set[Asker] = field(default_factory=set)
    strips: set[int] = field(default_factory=set)
    has_references: bool = False
    places: set[Place] = field(default_factory=lambda: {Place(1, "verified-patient-kept", "")})
    statuses: set[int] = field(default_factory=set)
    firsts: dict[str, tuple[Hop, Place]] = field(default_factory=dict)
    """By the way in words: its first hop, and where that is asked of what has a repository."""
    _known: dict[tuple[int, int, bool, bool, bool], tuple[Way, str]] = field(default_factory=dict)
    """By the identity of the way, which is kept with it, and of the asker (0: any): enumerations are slow keys."""

    _noted: set[tuple[str, ...]] = field(default_factory=set)
    """The modes, in turn, whose places are noted."""

    def finds(self, name: str) -> bool:
        """Whether nginx can connect to what a key of the table's hosts stands for."""
        return bool(self.settings.resolvers) or not name.startswith("*")

    def note(self, rule: str, why: str, entry: str = "") -> None:
        """Something that nginx cannot do."""
        self.problems.setdefault(NotCarried(rule, why, entry))

    def way(self, way: Way, asker: Asker, *, pulls: bool, stays: bool = True, greets: bool = False) -> str:
        """A way in words.

        `pulls` tells whether it is for pulls, `stays` whether nginx can find the addressed host itself, and `greets`
        whether a ping is answered all the same.
        """
        key = (id(way), id(asker) if is_for_the_asker(way) else 0, pulls, stays, greets)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = (way, self._way(way, asker, pulls, stays, greets))
        return known[1]

    def _way(self, way: Way, asker: Asker, pulls: bool, stays: bool, greets: bool) -> str:
        if way.refusal is not None:
            return self.refusal(way.refusal, asker, greets=greets)
        hops: list[Hop] = []
        # The body of what is no pull has left: it cannot be sent again elsewhere.
        for number, step in enumerate(way.steps if pulls else way.steps[:1]):
            try:
                hops += self._hops(step, asker, stays, pulls=pulls, first=pulls and number == 0)
            except _UnknownError as unknown:
                entry = step.entry or way.entry
                self.note("a request to the source registry of a pattern", str(unknown), entry)
                if number == 0:
                    # What was not asked first must not answer instead.
                    hops = []
                    break
        if not hops:
            return self.cannot_look_up()
        if len(hops) > HOPS_MAX:
            self.note(f"more than {HOPS_MAX} endpoints", "nginx tries no more one after another", way.entry)
            hops = hops[:HOPS_MAX]
        self._note_places(hops)
        text = " | ".join(map(str, hops))
        if len(text) > TOKEN_MAX // 2:
            self.note("names that long", "nginx's configuration has no words of that length", way.entry)
            return self.refused(502, "UNAVAILABLE", "this is not carried: its names are too long")
        more = "" if len(hops) == 1 else "-once" if _has_own_http(hops, 1) else "-more"
        self.firsts[text] = hops[0], Place(1, hops[0].mode, more)
        return text

    def _note_places(self, hops: Sequence[Hop]) -> None:
        """Which locations these hops need."""
        modes = tuple([hop.mode for hop in hops])
        if modes in self._noted:
            return
        self._noted.add(modes)
        for number, hop in enumerate(hops, 1):
            behind = len(hops) - number
            if not behind:
                self.places.add(Place(number, hop.mode, ""))
            elif _has_own_http(hops, number):
                self.places.add(Place(number, hop.mode, "-once"))
            else:
                self.places |= {Place(number, hop.mode, "-more"), Place(number, hop.mode, "-5xx")}

    def refusal(self, refusal: Refusal, asker: Asker, *, greets: bool = False) -> str:
        """An answer in words: an exclamation mark, the status, and the spec's JSON."""
        self.statuses.add(refusal.status)
        message = []
        texts = {
            Part.ADDRESSED: "$oci_addressed_source",
            Part.NAMESPACE: "$oci_said_namespace",
            Part.PATH: "$oci_said_path",
            Part.SOURCE: f"${asker.value}_source",
            Part.SUBJECT: f"${asker.value}_source $oci_said_path",
        }
        for part in refusal.message:
            if isinstance(part, Part) and part in (Part.SOURCE, Part.SUBJECT):
                self.askers.add(asker)
            message.append(texts[part] if isinstance(part, Part) else literal(json.dumps(part)[1:-1]))
        detail = f', "detail": {literal(json.dumps(refusal.detail))}' if refusal.detail else ""
        code = literal(json.dumps(refusal.code))
        body = f'{{"errors": [{{"code": {code}, "message": "{"".join(message)}"{detail}}}]}}'
        return f"!{refusal.status}{'-greeting' if greets else ''} {body}"

    def refused(self, status: int, code: str, message: str) -> str:
        """The same, of an error without parts."""
        self.statuses.add(status)
        return f"!{status} {literal(SpecError(status, code, message).body().decode())}"

    def cannot_look_up(self) -> str:
        """What is answered where a name would have to be looked up, and no name server is known."""
        return self.refused(502, "UNAVAILABLE", "this host cannot be looked up: no name server is configured")

    def _hops(self, step: Step, asker: Asker, stays: bool, *, pulls: bool, first: bool) -> Iterator[Hop]:
        kept = f"{'' if pulls else '-patient'}{'-kept' if step.keeps_credentials else ''}"
        to = step.to
        if to is None:
            if not stays:
                raise _UnknownError(NEEDS_RESOLVERS)
            mode = f"{'unverified' if step.insecure else 'verified'}{kept}"
            yield self._hop(step, asker, mode, OWN, "$oci_addressed")
            return
        verified = not (step.insecure and to.scheme == "https")
        mode = f"{'verified' if verified else 'attempt' if pulls else 'unverified'}{kept}"
        if verified and to.scheme == "https" and isinstance(to.host, str) and is_address(to.host):
            self.note("https at an IP address", f"{to.host}: {NAMES_ONLY}", step.entry)
        yield self._hop(step, asker, mode, *self._base(to, asker, step, first))
        if not verified and pulls:
            plain = Address("http", to.host, 80 if to.port == DEFAULT_PORTS["https"] else to.port)
            yield self._hop(step, asker, f"verified{kept}", *self._base(plain, asker, step, first))

    def _base(self, to: Address, asker: Asker, step: Step, first: bool) -> tuple[str, str]:
        if isinstance(to.host, str):
            return self.upstreams.place(to, step.insecure, first=first)
        if not self.settings.resolvers:
            raise _UnknownError(NEEDS_RESOLVERS)
        if to.port != DEFAULT_PORTS[to.scheme]:
            raise _UnknownError("nginx cannot add a port to a name that may have one")
        self.askers.add(asker)
        return f"{to.scheme}://${asker.value}_api", f"${asker.value}_api"

    def _hop(self, step: Step, asker: Asker, mode: str, base: str, host: str) -> Hop:
        escaped, plain = NOTHING, NEVER
        if step.edit is NamespaceEdit.SET:
            if isinstance(step.namespace, str):
                escaped, plain = _in_query(step.namespace)
            else:
                self.askers.add(asker)
                escaped, plain = f"${asker.value}_escaped", f"${asker.value}_source"
        if (step.put or step.reference) and not (_is_word(step.put) and _is_word(step.reference)):
            raise ValueError(f"{step.put!r} cannot stand in a URL")
        if step.put == NOTHING:
            self.note("an unusual location or prefix", f"{step.put} stands for nothing here", step.entry)
        if step.strip or step.put:
            self.strips.add(step.strip)
        self.has_references |= step.reference != ""
        put = literal(step.put) if step.put else NOTHING
        reference = literal(step.reference) if step.reference else NOTHING
        return Hop(mode, base, host, step.strip, put, reference, _EDITS[id(step.edit)], escaped, plain)


def is_for_the_asker(way: Way) -> bool:
    """Whether the words of a way are not the same whoever asks for it."""
    if way.refusal is not None:
        return True
    for step in way.steps:
        if step.to is not None and not isinstance(step.to.host, str):
            return True
        if step.edit is NamespaceEdit.SET and not isinstance(step.namespace, str):
            return True
    return False


def _has_own_http(hops: Sequence[Hop], number: int) -> bool:
    """Whether a hop is an attempt that nothing but its own http comes behind."""
    return len(hops) == number + 1 and hops[number - 1].mode.startswith("attempt")


class _UnknownError(Exception):
    """An address that nginx cannot find."""


@functools.lru_cache(maxsize=65_536)
def _in_query(namespace: str) -> tuple[str, str]:
    """The namespace as it is put in a query, and as a client may have sent it without escapes."""
    return literal(escape_namespace(namespace)), literal(as_sent(namespace))


def as_sent(namespace: str) -> str:
    """The namespace as it stands in a query that nothing needs to be escaped in; `NEVER` where something does."""
    plain = namespace.replace(" ", "+")
    is_plain = quote_plus(namespace, safe=":/@,~!$'()*[]") == plain and "+" not in namespace
    return plain if is_plain else NEVER


def entry_of(ways: Sequence[Way]) -> str:
    """The first entry that these ways come from, for a comment."""
    return next((comment(way.entry) for way in ways if way.entry), "")


def is_carried_host(name: str) -> bool:
    """Whether nginx's look-ups have such a host."""
    return is_host(name)
