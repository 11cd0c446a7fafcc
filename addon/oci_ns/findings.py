"""What can be found wrong with a request or its answer: the kinds, how much each matters, and the marker for it.

Knows no traffic; who finds what is in `answer_check`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

from oci_ns.value import value


class Kind(enum.Enum):
    """A kind of finding. The value stands at the beginning of each in a flow's metadata, in JSON and in the metrics."""

    WRONG_NAMESPACE = "wrong-namespace"
    """The proxy says that it served another registry than the `ns` it was sent."""
    WRONG_DIGEST = "wrong-digest"
    """Content, or what the endpoint says of it, is not what its digest says."""
    WRONG_SIZE = "wrong-size"
    """A blob is longer or shorter than its manifest says."""
    WRONG_MEDIA_TYPE = "wrong-media-type"
    """A manifest's Content-Type and its own mediaType differ."""
    NOT_A_MANIFEST = "not-a-manifest"
    """What should be a manifest is something else: a page that somebody put in between, or half of one."""
    TRUNCATED = "truncated"
    """The connection ended before the body did."""
    FAILED = "failed"
    """No answer, or 5xx."""
    REFUSED = "refused"
    """4xx to a GET, that is neither a challenge nor any of the kinds below."""
    TOKEN_EXPIRED = "token-expired"
    """401, and the token that was sent had expired."""
    UNAUTHORIZED = "unauthorized"
    """401 or 403 in spite of a login."""
    RATE_LIMITED = "rate-limited"
    """429."""
    BLOCKED = "blocked"
    """ns-inject answered itself: the configuration forbids it."""
    UNSERVED = "unserved"
    """ns-inject answered itself: no endpoint serves it."""
    UNRESOLVED = "unresolved"
    """Nothing tells which registry it belongs to."""
    FELL_BACK = "fell-back"
    """An endpoint that comes first was passed over."""
    NAMESPACE_UNCONFIRMED = "namespace-unconfirmed"
    """The endpoint does not say which registry it served: it may ignore `ns`."""
    ABORTED = "aborted"
    """The client went away."""


_MARKERS = {
    Kind.WRONG_NAMESPACE: ":x:",
    Kind.WRONG_DIGEST: ":x:",
    Kind.WRONG_SIZE: ":x:",
    Kind.NOT_A_MANIFEST: ":x:",
    Kind.WRONG_MEDIA_TYPE: ":x:",
    Kind.TRUNCATED: ":x:",
    Kind.FAILED: ":x:",
    Kind.UNSERVED: ":x:",
    Kind.BLOCKED: ":no_entry:",
    Kind.TOKEN_EXPIRED: ":lock:",
    Kind.UNAUTHORIZED: ":lock:",
    Kind.RATE_LIMITED: ":hourglass:",
    Kind.UNRESOLVED: ":grey_question:",
    Kind.REFUSED: ":exclamation:",
    Kind.FELL_BACK: ":leftwards_arrow_with_hook:",
    Kind.NAMESPACE_UNCONFIRMED: ":warning:",
}
"""mitmproxy's marker for each kind, the one that matters most first; ABORTED marks nothing."""

_ORDER = {kind: place for place, kind in enumerate(_MARKERS)}
_QUIET = frozenset({Kind.FELL_BACK, Kind.BLOCKED, Kind.UNSERVED, Kind.ABORTED})
"""Who decides these logs them already, or nobody needs to act."""


@value
class Finding:
    """One thing found, in a sentence for people."""

    kind: Kind
    text: str

    @property
    def is_news(self) -> bool:
        """Whether it is worth a line of its own in the log."""
        return self.kind not in _QUIET

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.text}"


def marker_for(findings: Iterable[Finding]) -> str:
    """mitmproxy's marker for the finding that matters most; '' where none marks the flow."""
    kinds = [finding.kind for finding in findings if finding.kind in _ORDER]
    return _MARKERS[min(kinds, key=_ORDER.__getitem__)] if kinds else ""


def finding_in(text: str) -> Finding | None:
    """The finding whose text (`str`) is given, as a flow keeps it; None where it is none. Never raises."""
    name, _, rest = text.partition(": ")
    try:
        return Finding(Kind(name), rest)
    except ValueError:
        return None
