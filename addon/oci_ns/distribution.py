"""A request target of the distribution API (`/v2/…`): parse it, rebuild it, set or drop its `ns`.

Knows the paths of the OCI distribution-spec ("Endpoints") and the `ns` query parameter ("Registry Proxying"), not
which registry is meant. A target is edited, never re-encoded: what an edit does not name keeps its every byte.
"""

from __future__ import annotations

import enum
from urllib.parse import quote_plus, unquote_plus

from oci_ns.reference import is_digest, is_repository, is_tag
from oci_ns.value import value


class Operation(enum.Enum):
    """What a request asks of a registry (distribution-spec, "Endpoints")."""

    PING = "ping"
    CATALOG = "catalog"
    TAGS = "tags"
    MANIFEST = "manifest"
    BLOB = "blob"
    REFERRERS = "referrers"
    UPLOAD = "upload"
    OTHER = "other"
    """Below /v2, but none of the above, or with a name that breaks the grammar."""


@value
class Moved:
    """What a repository's name begins with, for the client and at the endpoint, as in a URL; '' for nothing."""

    client: str
    endpoint: str


@value
class Target:
    """A parsed request target: `path` [+ `?` + `query`].

    The path is `base` + `/` + `raw_repository` + `tail`, without that slash where there is no repository. `base` is
    `/v2` as the client spelt it. `scope` is the decoded repository, or the decoded rest of the path where no
    repository is recognised ('' for ping and catalog). `suffix` is the reference as it stands behind an image name:
    `:tag`, `@digest` or ''. `query` is None where there is no question mark.
    """

    operation: Operation
    path: str
    base: str
    raw_repository: str
    tail: str
    scope: str
    suffix: str
    query: str | None

    @property
    def is_digested(self) -> bool:
        """Whether the reference is a digest, so that any copy of the content is the same content."""
        return self.suffix.startswith("@")

    def moved(self, strip: int, path: str, reference: str) -> str:
        """The target's path with the first `strip` decoded characters of the repository replaced by `path`.

        A slash is put between `path` and what remains where both are non-empty. `reference`, unless '', replaces a
        manifest's tag or digest. '' where no repository would be left.
        """
        # The slash behind what is stripped goes with it, percent-encoded or not.
        rest = self.raw_repository[_raw_length(self.raw_repository, strip + 1 if strip else 0) :]
        repository = f"{path}/{rest}" if path and rest else path or rest
        if not repository:
            return ""
        tail = self.tail
        if reference and self.operation is Operation.MANIFEST:
            # Its own ends the tail, and either may be percent-encoded, as may the slashes.
            kept = len(_decode(tail)) - len(self.suffix) + 1
            tail = f"{tail[: _raw_length(tail, kept)]}{reference}"
        slash = self.path[len(self.base) : len(self.path) - len(self.raw_repository) - len(self.tail)]
        return f"{self.base}{slash}{repository}{tail}"

    def beginning(self, strip: int) -> str:
        """The first `strip` decoded characters of the repository, as the client spelt them."""
        return self.raw_repository[: _raw_length(self.raw_repository, strip)]


def parse(target: str) -> Target | None:
    """Parse the target of a request line (path and query); None where it is not below `/v2`. Never raises."""
    path, question, query_text = target.partition("?")
    query = query_text if question else None
    if "%" in path:
        return _parse_escaped(path, query)
    if not path.startswith("/v2/"):
        return Target(Operation.PING, path, path, "", "", "", "", query) if path == "/v2" else None
    below = path[4:]
    if not below or below == "_catalog":
        return Target(Operation.CATALOG if below else Operation.PING, path, "/v2", "", path[3:], "", "", query)
    operation, length, suffix = _operation(below)
    repository = below[:length]
    return Target(operation, path, "/v2", repository, below[length:], repository, suffix, query)


def _parse_escaped(path: str, query: str | None) -> Target | None:
    """Parse a path with percent-escapes, which may stand for any of its characters."""
    decoded = _decode(path)
    if not decoded.startswith("/v2"):
        return None
    base = path[: _raw_length(path, 3)]
    if len(decoded) == 3 or decoded == "/v2/":
        return Target(Operation.PING, path, base, "", path[len(base) :], "", "", query)
    if decoded[3] != "/":
        return None
    below = decoded[4:]
    if below == "_catalog":
        return Target(Operation.CATALOG, path, base, "", path[len(base) :], "", "", query)
    operation, length, suffix = _operation(below)
    raw = path[len(base) + _raw_length(path[len(base) :], 1) :]
    split = _raw_length(raw, length)
    return Target(operation, path, base, raw[:split], raw[split:], below[:length], suffix, query)


def _operation(below: str) -> tuple[Operation, int, str]:
    """What is asked by the decoded path below `/v2/`, how long its repository is, and the reference's suffix."""
    head, _, last = below.rpartition("/")
    repository, _, kind = head.rpartition("/")
    if kind == "uploads" and repository.endswith("/blobs"):
        repository = repository[: -len("/blobs")]
        operation, suffix = Operation.UPLOAD, ""
    else:
        operation, suffix = _asked(kind, last)
    if operation is Operation.OTHER or not is_repository(repository):
        return Operation.OTHER, len(below), ""
    return operation, len(repository), suffix


def _asked(kind: str, last: str) -> tuple[Operation, str]:
    """What is asked of a repository by the two components behind it."""
    if kind == "manifests":
        if is_tag(last):
            return Operation.MANIFEST, f":{last}"
        return (Operation.MANIFEST, f"@{last}") if is_digest(last) else _OTHER
    if kind == "blobs":
        if is_digest(last):
            return Operation.BLOB, f"@{last}"
        return (Operation.UPLOAD, "") if last == "uploads" else _OTHER
    if kind == "tags":
        return (Operation.TAGS, "") if last == "list" else _OTHER
    return (Operation.REFERRERS, f"@{last}") if kind == "referrers" and is_digest(last) else _OTHER


_OTHER = (Operation.OTHER, "")
_HEX = frozenset("0123456789abcdefABCDEF")


def _is_escape(text: str, at: int) -> bool:
    return text[at] == "%" and len(text) >= at + 3 and text[at + 1] in _HEX and text[at + 2] in _HEX


def _decode(path: str) -> str:
    """The path with each percent-escape as the one character of its byte, so that lengths can be mapped back."""
    out = []
    at = 0
    while at < len(path):
        step = 3 if _is_escape(path, at) else 1
        out.append(chr(int(path[at + 1 : at + 3], 16)) if step == 3 else path[at])
        at += step
    return "".join(out)


def _raw_length(raw: str, decoded_length: int) -> int:
    """How many characters of `raw` its first `decoded_length` decoded characters take."""
    if "%" not in raw:
        return decoded_length
    at = 0
    for _ in range(decoded_length):
        if at >= len(raw):
            break
        at += 3 if _is_escape(raw, at) else 1
    return at


def escape_namespace(namespace: str) -> str:
    """A namespace as it stands in a query: form-encoded like Go's `url.QueryEscape` (`:` becomes `%3A`)."""
    return quote_plus(namespace, errors="surrogateescape")


_SPELLINGS = frozenset({"ns", "n%73", "%6es", "%6Es", "%6e%73", "%6E%73"})


def _is_namespace_parameter(parameter: str) -> bool:
    return parameter.partition("=")[0] in _SPELLINGS


def _may_have_namespace(query: str) -> bool:
    return "ns" in query or "%" in query


def namespaces_in(query: str | None) -> list[str]:
    """Every `ns` in the query, in order, decoded; values that are empty included."""
    if not query or not _may_have_namespace(query):
        return []
    return [
        unquote_plus(parameter.partition("=")[2], errors="surrogateescape")
        for parameter in query.split("&")
        if _is_namespace_parameter(parameter)
    ]


def _is_spelt_plainly(query: str) -> bool:
    """Whether the parameter's name is `ns` to the letter: not every proxy decodes the names of parameters."""
    return query.startswith("ns=") or "&ns=" in query


def _is_read_alike(namespace: str) -> bool:
    """Whether everybody reads the parameter so: Go drops one with a `;`, or with a `%` that begins no escape."""
    return "%" not in namespace and ";" not in namespace


def with_namespace(query: str | None, namespace: str, escaped: str | None = None) -> str:
    """The query with `ns` = `namespace` as its only `ns`; untouched where that is what it says already.

    `escaped` is `escape_namespace(namespace)` where the caller has it at hand.
    """
    if query and namespaces_in(query) == [namespace] and _is_spelt_plainly(query) and _is_read_alike(namespace):
        return query
    parameter = f"ns={escaped if escaped is not None else escape_namespace(namespace)}"
    rest = without_namespace(query)
    return f"{rest}&{parameter}" if rest else parameter


def without_namespace(query: str | None) -> str | None:
    """The query without any `ns`; None where nothing else was in it."""
    if not query or not _may_have_namespace(query):
        return query
    parameters = query.split("&")
    kept = [parameter for parameter in parameters if not _is_namespace_parameter(parameter)]
    if len(kept) == len(parameters):
        return query
    return "&".join(kept) or None


def with_first_namespace_only(query: str | None) -> str | None:
    """The query with only the first non-empty `ns` kept, in its place and spelling; untouched where it is alone.

    Proxies differ in which of several they obey, so two must never leave.
    """
    if not query or not _may_have_namespace(query):
        return query
    parameters = query.split("&")
    spoken = [p for p in parameters if _is_namespace_parameter(p)]
    if len(spoken) < 2:
        return query
    kept = next((p for p in spoken if p.partition("=")[2]), spoken[0])
    first = parameters.index(kept)
    return "&".join(p for i, p in enumerate(parameters) if i == first or not _is_namespace_parameter(p))


def join(path: str, query: str | None) -> str:
    """Path and query as a request target."""
    return path if query is None else f"{path}?{query}"
