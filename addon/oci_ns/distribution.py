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
    """A parsed request target: `base` + `/` + `raw_repository` + `tail` [+ `?` + `query`].

    `base` is `/v2` as the client spelt it. `scope` is the decoded repository, or the decoded rest of the path where no
    repository is recognised ('' for ping and catalog). `suffix` is the reference as it stands behind an image name:
    `:tag`, `@digest` or ''. `query` is None where there is no question mark.
    """

    operation: Operation
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

    def moved(self, strip: int, path: str, reference: str = "") -> str:
        """The target's path with the first `strip` decoded characters of the repository replaced by `path`.

        A slash is put between `path` and what remains where both are non-empty. `reference`, where given, replaces the
        tag or digest at the end. '' where no repository would be left.
        """
        # The slash behind what is stripped goes with it, percent-encoded or not.
        rest = self.raw_repository[_raw_length(self.raw_repository, strip + 1 if strip else 0) :]
        repository = f"{path}/{rest}" if path and rest else path or rest
        if not repository:
            return ""
        tail = f"{self.tail[: self.tail.rindex('/') + 1]}{reference}" if reference else self.tail
        return f"{self.base}/{repository}{tail}"

    def beginning(self, strip: int) -> str:
        """The first `strip` decoded characters of the repository, as the client spelt them."""
        return self.raw_repository[: _raw_length(self.raw_repository, strip)]

    @property
    def path(self) -> str:
        """The path as the client sent it."""
        return f"{self.base}/{self.raw_repository}{self.tail}" if self.raw_repository else f"{self.base}{self.tail}"


def parse(target: str) -> Target | None:
    """Parse the target of a request line (path and query); None where it is not below `/v2`. Never raises."""
    path, question, query_text = target.partition("?")
    query = query_text if question else None
    decoded = _decode(path)
    if not decoded.startswith("/v2"):
        return None
    base = path[: _raw_length(path, 3)]
    if len(decoded) == 3 or decoded == "/v2/":
        return Target(Operation.PING, base, "", path[len(base) :], "", "", query)
    if decoded[3] != "/":
        return None
    below = decoded[4:]
    if below == "_catalog":
        return Target(Operation.CATALOG, base, "", path[len(base) :], "", "", query)
    operation, length, suffix = _operation(below)
    raw = path[len(base) + _raw_length(path[len(base) :], 1) :]
    split = _raw_length(raw, length)
    return Target(operation, base, raw[:split], raw[split:], below[:length], suffix, query)


def _operation(below: str) -> tuple[Operation, int, str]:
    """What is asked by the decoded path below `/v2/`, how long its repository is, and the reference's suffix."""
    head, _, last = below.rpartition("/")
    repository, _, kind = head.rpartition("/")
    if kind == "uploads" and repository.endswith("/blobs"):
        repository = repository[: -len("/blobs")]
        found = (Operation.UPLOAD, "") if is_repository(repository) else None
    elif kind == "blobs" and last == "uploads":
        found = (Operation.UPLOAD, "") if is_repository(repository) else None
    elif not is_repository(repository):
        found = None
    elif kind == "manifests":
        found = _manifest(last)
    elif kind == "blobs":
        found = (Operation.BLOB, f"@{last}") if is_digest(last) else None
    elif kind == "referrers":
        found = (Operation.REFERRERS, f"@{last}") if is_digest(last) else None
    else:
        found = (Operation.TAGS, "") if kind == "tags" and last == "list" else None
    if found is None:
        return Operation.OTHER, len(below), ""
    return found[0], len(repository), found[1]


def _manifest(reference: str) -> tuple[Operation, str] | None:
    if is_tag(reference):
        return Operation.MANIFEST, f":{reference}"
    return (Operation.MANIFEST, f"@{reference}") if is_digest(reference) else None


_HEX = frozenset("0123456789abcdefABCDEF")


def _is_escape(text: str, at: int) -> bool:
    return text[at] == "%" and len(text) >= at + 3 and text[at + 1] in _HEX and text[at + 2] in _HEX


def _decode(path: str) -> str:
    """The path with each percent-escape as the one character of its byte, so that lengths can be mapped back."""
    if "%" not in path:
        return path
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
    return quote_plus(namespace, safe="", errors="surrogateescape")


def _is_namespace_parameter(parameter: str) -> bool:
    key = parameter.partition("=")[0]
    return key == "ns" or ("%" in key and unquote_plus(key) == "ns")


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


def with_namespace(query: str | None, namespace: str, escaped: str | None = None) -> str:
    """The query with `ns` = `namespace` as its only `ns`; untouched where that is what it says already.

    `escaped` is `escape_namespace(namespace)` where the caller has it at hand.
    """
    if namespaces_in(query) == [namespace] and query is not None and _is_spelt_plainly(query):
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
