"""The rules of the decision, once more: slow and obvious, one function per rule, a linear scan for every question.

Written from the design and containers-registries.conf(5) alone, to compare the product with. It reads TOML itself and
shares no code with the product. What it leaves out: files that do not load, and the `from` of a mount.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, unquote_plus

# -- words of the distribution-spec ----------------------------------------------------------------------------------

COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
REPOSITORY = rf"(?P<repository>{COMPONENT}(?:/{COMPONENT})*)"
TAG = r"(?P<tag>[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127})"
DIGEST = r"(?P<digest>[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+)"
LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
HOST = rf"(?P<host>{LABEL}(?:\.{LABEL})*\.?|\[[a-fA-F0-9:.]+\])(?::(?P<port>[0-9]*))?"

OPERATIONS = {
    "manifest": rf"{REPOSITORY}/manifests/(?:{TAG}|{DIGEST})",
    "blob": rf"{REPOSITORY}/blobs/{DIGEST}",
    "tags": rf"{REPOSITORY}/tags/list",
    "referrers": rf"{REPOSITORY}/referrers/{DIGEST}",
    "upload": rf"{REPOSITORY}/blobs/uploads(?:/[^/]*)?",
}
HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")


# -- names of registries ---------------------------------------------------------------------------------------------


def host_and_port(text: str) -> tuple[str, int | None] | None:
    """`host[:port]` in two, without the brackets of IPv6; None where the text is none."""
    found = re.fullmatch(HOST, text)
    if found is None:
        return None
    port = int(found["port"]) if found["port"] else None
    return None if port is not None and not 0 < port < 65536 else (found["host"].strip("[]"), port)


def registry_called(host: str, port: int | None, own_ports: Iterable[int]) -> str:
    """The one name of a registry: lower case, no port that goes without saying, Docker Hub is docker.io."""
    name = host.lower().removesuffix(".")
    if ":" in name and not name.startswith("["):
        name = f"[{name}]"
    if port is not None and port not in own_ports:
        return f"{name}:{port}"
    return "docker.io" if name in HUB else name


def registry_written(text: str) -> str:
    """The same for one that is written without a scheme."""
    found = host_and_port(text)
    return text.lower() if found is None else registry_called(*found, own_ports=(80, 443))


def in_three(text: str) -> tuple[str, str, str]:
    """`host[:port][/path][:tag|@digest]`: host, path, reference."""
    host, _, rest = text.partition("/")
    path = re.split("[:@]", rest, maxsplit=1)[0]
    return host, path, rest[len(path) :]


def lies_under(name: str, beginning: str) -> bool:
    """Whether a name begins with another as a whole: `a/b` and `a:1` lie under `a`, `ab` does not."""
    return not beginning or name == beginning or (name.startswith(beginning) and name[len(beginning)] in "/:@")


def asked_under(repository: str, reference: str, beginning: str) -> bool:
    """The same for a request: a colon within what stands for the repository is a part of a component."""
    name = repository + reference
    ends = "/:@" if len(beginning) >= len(repository) else "/"
    return not beginning or name == beginning or (name.startswith(beginning) and name[len(beginning)] in ends)


# -- the configuration -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Place:
    """An endpoint: a mirror, or the registry's own location."""

    location: str
    namespace: str | None
    insecure: bool
    plain_http: bool
    forwards: bool
    pulls: str

    @property
    def registry(self) -> str:
        return registry_written(in_three(self.location)[0])

    @property
    def path(self) -> str:
        return in_three(self.location)[1]

    @property
    def reference(self) -> str:
        return in_three(self.location)[2]

    @property
    def under(self) -> str:
        """What a repository's name begins with there, reference included."""
        return self.path + self.reference


@dataclass(frozen=True, eq=False)
class Entry:
    """A `[[registry]]`."""

    prefix: str
    primary: Place
    mirrors: tuple[Place, ...]
    blocked: bool
    by_digest_only: bool

    @property
    def any_host(self) -> bool:
        return self.prefix.startswith("*")

    @property
    def registry(self) -> str:
        """The source registry; a wildcard stands for itself."""
        return self.prefix.lower() if self.any_host else registry_written(in_three(self.prefix)[0])

    @property
    def under(self) -> str:
        """What the prefix says behind the host."""
        return "" if self.any_host else "".join(in_three(self.prefix)[1:])

    @property
    def is_itself(self) -> bool:
        """Whether the primary is the source registry and not another place."""
        here = self.primary
        if here.location in ("", self.prefix) and not self.any_host:
            return True
        return not here.location or (here.registry, here.under) == (self.registry, self.under)

    @property
    def says_nothing(self) -> bool:
        """It only maps a host to itself: no mirrors, no namespace, not blocked."""
        return self.is_itself and not self.mirrors and not self.blocked and self.primary.namespace is None

    @property
    def proxies(self) -> list[Place]:
        """The endpoints that are places of their own: not the source registry, unless it is told a namespace there."""
        own = self.is_itself or (self.primary.registry == self.registry and self.primary.namespace is None)
        return [place for place in (*self.mirrors, *(() if own else (self.primary,))) if is_address(place)]

    def namespace_at(self, place: Place) -> str | None:
        """What `*` stands for, where the source registry is known by the prefix."""
        return self.registry if place.namespace == "*" and not self.any_host else place.namespace


def is_address(place: Place) -> bool:
    """Whether requests can be sent there: it begins with a host, without an empty port, and the rest fits in a URL."""
    host, under, reference = in_three(place.location)
    fits = re.fullmatch(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*", under + reference)
    return host_and_port(host) is not None and not host.endswith(":") and fits is not None


def entry_of_table(table: dict[str, Any]) -> Entry:
    location = str(table.get("location", "")).rstrip("/")
    return Entry(
        prefix=str(table.get("prefix", "")).rstrip("/") or location,
        primary=place_of_table(table),
        mirrors=tuple(place_of_table(mirror) for mirror in table.get("mirror", ())),
        blocked=table.get("blocked", False),
        by_digest_only=table.get("mirror-by-digest-only", False),
    )


def place_of_table(table: dict[str, Any]) -> Place:
    return Place(
        location=str(table.get("location", "")).rstrip("/"),
        namespace=table.get("namespace-proxy") or None,
        insecure=table.get("insecure", False),
        plain_http=table.get("plain-http", False),
        forwards=table.get("forward-credentials", False),
        pulls=table.get("pull-from-mirror") or "all",
    )


def read(*files: str) -> list[Entry]:
    """All entries, in the order of their prefixes: a later file's replaces an earlier's, in a file the first counts."""
    entries: dict[str, Entry] = {}
    for text in files:
        of_file: dict[str, Entry] = {}
        for table in tomllib.loads(text).get("registry", ()):
            entry = entry_of_table(table)
            of_file.setdefault(entry.prefix, entry)
        entries |= of_file
    return [entries[prefix] for prefix in sorted(entries)]


# -- images (containers-registries.conf(5)) --------------------------------------------------------------------------


def length_for_image(entry: Entry, image: str) -> int | None:
    """How much of an image's name the entry's prefix covers; None where it does not match."""
    if entry.prefix == "*":
        return None
    if entry.any_host:
        suffix = entry.prefix[1:]
        at = image.find(suffix)
        end = at + len(suffix)
        return end if at != -1 and "/" not in image[:at] and image[end : end + 1] in ("", ":", "/", "@") else None
    return len(entry.prefix) if image.startswith(entry.prefix) and lies_under(image, entry.prefix) else None


def entry_for_image(entries: Sequence[Entry], image: str) -> tuple[Entry, int] | None:
    """The longest prefix as it is written; the first on a tie. `*` where there is none, except for endpoints."""
    found = [(entry, length) for entry in entries if (length := length_for_image(entry, image)) is not None]
    if found:
        return max(found, key=lambda each: len(each[0].prefix))
    host = image.partition("/")[0]
    for entry in entries:
        if entry.prefix == "*" and not is_endpoint(entries, registry_written(host)):
            return entry, len(host)
    return None


def admits(entry: Entry, mirror: Place, digested: bool) -> bool:
    if entry.by_digest_only and not digested:
        return False
    return mirror.pulls in ("all", "digest-only" if digested else "tag-only")


def pull_sources(entries: Sequence[Entry], image: str) -> dict[str, Any]:
    """What is asked for an image (its name in full), and where, in order."""
    found = entry_for_image(entries, image)
    if found is None:
        return {"ref": image, "registry": None}
    entry, length = found
    mirrors = [mirror for mirror in entry.mirrors if admits(entry, mirror, "@" in image)]
    sources = [
        {
            "reference": place.location + image[length:] if place.location else image,
            "insecure": place.insecure,
            "location": place.location,
            "namespace": image.partition("/")[0] if place.namespace == "*" else place.namespace,
        }
        for place in (*mirrors, entry.primary)
    ]
    return {"ref": image, "registry": entry.prefix, "blocked": entry.blocked, "sources": sources}


# -- requests --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Options:
    default: str = ""
    client_namespace: str = "keep"
    unresolved: str = "pass"


@dataclass(frozen=True)
class Asked:
    """A request below /v2. `raw` is its path, one item per decoded character."""

    method: str
    scheme: str
    host: str
    port: int
    target: str
    raw: tuple[str, ...]
    operation: str
    repository: str
    reference: str

    @property
    def query(self) -> str | None:
        _, question, query = self.target.partition("?")
        return query if question else None

    @property
    def addressed(self) -> str:
        return registry_called(self.host, self.port, [{"http": 80, "https": 443}.get(self.scheme, -1)])

    @property
    def has_repository(self) -> bool:
        return self.operation not in ("ping", "catalog")

    @property
    def is_pull(self) -> bool:
        return self.method in ("GET", "HEAD") and self.operation not in ("upload", "other")


@dataclass(frozen=True)
class Outcome:
    """What is decided; `alternatives` are the places to fall back on."""

    action: str
    status: int | None
    namespace: str | None
    source: str | None
    upstream: str | None
    keeps_credentials: bool = True
    alternatives: tuple[Outcome, ...] = field(default=())


def rule_1_asked(method: str, scheme: str, host: str, port: int, target: str) -> Asked | None:
    """Path `/v2` or below `/v2/`. Percent-escapes stand for what they encode."""
    raw = tuple(re.findall("%[0-9a-fA-F]{2}|.", target.partition("?")[0], re.DOTALL))
    path = "".join(chr(int(each[1:], 16)) if len(each) == 3 else each for each in raw)
    if path != "/v2" and not path.startswith("/v2/"):
        return None
    below = path[4:]
    if not below:
        return Asked(method, scheme, host, port, target, raw, "ping", "", "")
    if below == "_catalog":
        return Asked(method, scheme, host, port, target, raw, "catalog", "", "")
    for operation, form in OPERATIONS.items():
        found = re.fullmatch(form, below)
        if found is not None:
            names = found.groupdict()
            reference = f":{names['tag']}" if names.get("tag") else f"@{names['digest']}" if names.get("digest") else ""
            return Asked(method, scheme, host, port, target, raw, operation, names["repository"], reference)
    return Asked(method, scheme, host, port, target, raw, "other", below, "")


# -- looking up ------------------------------------------------------------------------------------------------------


def is_endpoint(entries: Sequence[Entry], registry: str) -> bool:
    return any(place.registry == registry for entry in entries for place in entry.proxies)


def used_for_requests(entries: Sequence[Entry]) -> list[Entry]:
    """Of entries whose prefixes are the same but for the spelling of the host, the last."""
    last = {(entry.registry, entry.under): entry for entry in entries}
    return [entry for entry in entries if last[entry.registry, entry.under] is entry]


def matches(entry: Entry, registry: str, repository: str = "", reference: str = "") -> bool:
    """Whether the prefix is one of the image's. Another port is another host, for wildcards, too."""
    if entry.prefix == "*":
        return False
    if entry.any_host:
        suffix = entry.registry[1:]
        is_one = re.fullmatch(HOST, registry) and ":" not in registry
        return bool(is_one) and registry.endswith(suffix) and registry.count(suffix) == 1
    return entry.registry == registry and asked_under(repository, reference, entry.under)


def length(entry: Entry) -> int:
    """Of the prefix, with its host in normal form."""
    return len(entry.registry) + (len(entry.under) + 1 if entry.under else 0)


def rule_3_entry(entries: Sequence[Entry], registry: str, repository: str = "", reference: str = "") -> Entry | None:
    """The longest matching prefix, the first on a tie; else `*`, which never catches a host that is an endpoint."""
    found = [entry for entry in used_for_requests(entries) if matches(entry, registry, repository, reference)]
    if found:
        return max(found, key=length)
    for entry in entries:
        if entry.prefix == "*" and re.fullmatch(HOST, registry) and not is_endpoint(entries, registry):
            return entry
    return None


def claimed(entries: Sequence[Entry], registry: str, repository: str, reference: str) -> Entry | None:
    """The same, unless the entry says nothing."""
    entry = rule_3_entry(entries, registry, repository, reference)
    return None if entry is None or entry.says_nothing else entry


def around(entries: Sequence[Entry], asked: Asked) -> list[list[tuple[Entry, Place]]]:
    """The locations at the addressed host that the request lies under, longest first; all endpoints of each."""
    found: dict[str, list[tuple[Entry, Place]]] = {}
    for entry in entries:
        for place in entry.proxies:
            if place.registry == asked.addressed and asked_under(asked.repository, asked.reference, place.under):
                found.setdefault(place.under, []).append((entry, place))
    return [found[under] for under in sorted(found, key=len, reverse=True)]


# -- rule 2: which source registry? ----------------------------------------------------------------------------------


def decide(
    entries: Sequence[Entry], options: Options, method: str, scheme: str, host: str, port: int, target: str
) -> Outcome:
    asked = rule_1_asked(method, scheme, host, port, target)
    if asked is None:
        return Outcome("pass", None, None, None, url(scheme, host, port, target))
    return (
        rule_2_1_query(entries, options, asked)
        or rule_2_2_host(entries, options, asked)
        or rule_2_3_location_or_path(entries, options, asked)
        or rule_2_4_default(entries, options, asked)
        or rule_2_unresolved(entries, options, asked)
    )


def rule_2_1_query(entries: Sequence[Entry], options: Options, asked: Asked) -> Outcome | None:
    """The client sent a non-empty `ns`: acted on at that registry and at its endpoints, passed elsewhere."""
    said = next((value for value in namespaces(asked.query) if value), "")
    if not said or options.client_namespace == "override":
        return None
    source = registry_written(said)
    served = served_here(entries, asked, source)
    if served is not None and served[1].path:
        return stays_under(entries, asked, "query", *served, source)
    entry = claimed(entries, source, asked.repository, asked.reference)
    if entry is not None and asked.addressed == source:
        if asked.is_pull:
            return rule_3_pull(asked, "query", entry, source)
        return kept(asked, "query", said, only_first_namespace(asked.query))
    if entry is not None and any(place.registry == asked.addressed for place in entry.proxies):
        return at_endpoint(asked, options, "query", entry, source)
    if served is not None:
        return stays_under(entries, asked, "query", *served, source)
    if options.client_namespace == "reject":
        return Outcome("block", 403, said, "query", None)
    return kept(asked, "query", said, only_first_namespace(asked.query))


def served_here(entries: Sequence[Entry], asked: Asked, source: str) -> tuple[Entry, Place] | None:
    """The endpoint of the source registry under whose location the repository lies already, if any.

    Whose prefix or namespace names the registry comes first, then its longest wildcard, then `*`.
    """
    for location in around(entries, asked):
        for entry, place in location:
            namespace = entry.namespace_at(place)
            said = registry_written(namespace) if namespace not in (None, "*") else None
            if source in (said, None if entry.any_host else entry.registry):
                return entry, place
        wild = [(entry, place) for entry, place in location if entry.any_host and stands_for(entries, entry, source)]
        if wild:
            return max(wild, key=lambda each: length(each[0]))
    return None


def stands_for(entries: Sequence[Entry], wildcard: Entry, source: str) -> bool:
    """Whether a wildcard stands for the registry: `*` for every host that is no endpoint."""
    if wildcard.prefix == "*":
        return bool(re.fullmatch(HOST, source)) and not is_endpoint(entries, source)
    return matches(wildcard, source)


def rule_2_2_host(entries: Sequence[Entry], options: Options, asked: Asked) -> Outcome | None:
    """The addressed host is a configured source registry."""
    entry = claimed(entries, asked.addressed, asked.repository, asked.reference)
    if entry is None:
        return None
    if asked.is_pull:
        return rule_3_pull(asked, "host", entry, asked.addressed)
    return kept(asked, "host", None, own_query(options, asked))


def rule_2_3_location_or_path(entries: Sequence[Entry], options: Options, asked: Asked) -> Outcome | None:
    """The longest location, or the registry that the repository begins with; on a tie the location."""
    if not is_endpoint(entries, asked.addressed):
        return None
    locations = around(entries, asked)
    if not locations or not locations[0][0][1].path:
        by_path = rule_2_3_path(entries, options, asked)
        if by_path is not None:
            return by_path
    if not locations:
        return None
    said = {entry.namespace_at(place) for entry, place in locations[0]} - {None}
    if len(said) != 1 or said == {"*"}:
        return None
    entry, place = next((entry, place) for entry, place in locations[0] if entry.namespace_at(place) in said)
    return stays_under(entries, asked, "location", entry, place, entry.registry)


def rule_2_3_path(entries: Sequence[Entry], options: Options, asked: Asked) -> Outcome | None:
    """The repository's first component is a configured source registry."""
    first, _, rest = asked.repository.partition("/")
    if not rest or not (first == "localhost" or "." in first or ":" in first):
        return None
    source = registry_written(first)
    entry = claimed(entries, source, rest, asked.reference)
    return None if entry is None else at_endpoint(asked, options, "path", entry, source, len(first) + 1)


def rule_2_4_default(entries: Sequence[Entry], options: Options, asked: Asked) -> Outcome | None:
    """`ns_default`, for hosts that are endpoints."""
    if not options.default or not is_endpoint(entries, asked.addressed):
        return None
    source = registry_written(options.default)
    served = served_here(entries, asked, source)
    if served is not None and served[1].path:
        return stays_under(entries, asked, "default", *served, source)
    entry = claimed(entries, source, asked.repository, asked.reference)
    if entry is not None and any(place.registry == asked.addressed for place in entry.proxies):
        return at_endpoint(asked, options, "default", entry, source)
    return kept(asked, "default", options.default, with_namespace(asked.query, options.default))


def rule_2_unresolved(entries: Sequence[Entry], options: Options, asked: Asked) -> Outcome:
    if options.unresolved == "reject":
        return Outcome("block", 404, None, None, None)
    if rule_3_entry(entries, asked.addressed) is None and not is_known(entries, asked.addressed):
        return kept(asked, None, None, asked.query)
    return kept(asked, None, None, own_query(options, asked))


def is_known(entries: Sequence[Entry], registry: str) -> bool:
    """Whether a host is one of the table's: a source registry, an endpoint, or one of a wildcard's."""
    if any(entry.prefix == "*" or entry.registry == registry for entry in entries) or is_endpoint(entries, registry):
        return True
    return any(entry.any_host and matches(entry, registry) for entry in entries)


# -- rule 3: which endpoint? -----------------------------------------------------------------------------------------


def rule_3_pull(asked: Asked, told: str, entry: Entry, source: str, named: int = 0) -> Outcome:
    """The mirrors that admit the reference, in order, then the primary. `blocked` forbids it.

    `named` characters of the repository name the source registry, those behind that are the prefix's are replaced.
    """
    if entry.blocked:
        return Outcome("block", 403, None, told, None)
    either = asked.operation in ("blob", "ping", "catalog")
    mirrors = [
        mirror
        for mirror in entry.mirrors
        if is_address(mirror) and (either or admits(entry, mirror, asked.reference.startswith("@")))
    ]
    outcomes = [there for mirror in mirrors if (there := sent(asked, told, entry, mirror, source, named)) is not None]
    # Who addressed a proxy is sent to the source registry itself only where no proxy serves the pull.
    if not (outcomes and asked.addressed != source and entry.is_itself):
        there = to_primary(asked, told, entry, source, named)
        outcomes += [there] if there is not None else []
    if not outcomes:
        return Outcome("block", 404, None, told, None)
    first = outcomes[0]
    return Outcome(
        first.action, None, first.namespace, told, first.upstream, first.keeps_credentials, tuple(outcomes[1:])
    )


def to_primary(asked: Asked, told: str, entry: Entry, source: str, named: int) -> Outcome | None:
    primary = entry.primary
    plain = primary.plain_http and asked.scheme != "http"
    if entry.is_itself and asked.addressed == source and primary.namespace is None and not plain:
        return kept(asked, told, None, without_namespace(asked.query))
    if not primary.location:
        if asked.addressed != source:
            # Only the client names this host, and it did not address it: it may be any.
            return None
        primary = Place(source, primary.namespace, primary.insecure, primary.plain_http, primary.forwards, "all")
    return sent(asked, told, entry, primary, source, named) if is_address(primary) else None


def at_endpoint(asked: Asked, options: Options, told: str, entry: Entry, source: str, named: int = 0) -> Outcome:
    """Proxy-bound, the source registry being known: what is no pull stays at the addressed host."""
    if asked.is_pull:
        return rule_3_pull(asked, told, entry, source, named)
    for place in entry.proxies:
        if place.registry == asked.addressed:
            there = sent(asked, told, entry, place, source, named)
            if there is not None:
                return there
    said = next((value for value in namespaces(asked.query) if value), None) if told == "query" else None
    return kept(asked, told, said, own_query(options, asked))


def stays_under(entries: Sequence[Entry], asked: Asked, told: str, entry: Entry, place: Place, source: str) -> Outcome:
    """The repository lies under an endpoint's location: host and path stay, and only `ns` is set.

    A pull is forbidden where all entries with that namespace at that location are blocked.
    """
    namespace = entry.namespace_at(place)
    same = [
        other.blocked
        for other in entries
        for there in other.proxies
        if (there.registry, there.under) == (place.registry, place.under) and other.namespace_at(there) == namespace
    ]
    if asked.is_pull and all(same):
        return Outcome("block", 403, None, told, None)
    namespace = source if namespace == "*" else namespace
    query = without_namespace(asked.query) if namespace is None else with_namespace(asked.query, namespace)
    return kept(asked, told, namespace, query)


# -- rule 4: what goes upstream? -------------------------------------------------------------------------------------


def sent(asked: Asked, told: str, entry: Entry, place: Place, source: str, named: int) -> Outcome | None:
    """To the endpoint: its scheme, host and port, its path with the rest of the repository, its `ns` or none.

    None where no repository is left.
    """
    text = moved(asked, named, entry, place)
    if text is None:
        return None
    namespace = source if place.namespace == "*" else place.namespace
    query = without_namespace(asked.query) if namespace is None else with_namespace(asked.query, namespace)
    target = joined(text, query)
    rerouted = place.registry != asked.addressed
    scheme, host, port = asked.scheme, asked.host, asked.port
    if rerouted or (place.plain_http and asked.scheme != "http"):
        found = host_and_port(in_three(place.location)[0])
        assert found is not None
        scheme = "http" if place.plain_http else "https"
        host, port = found[0], found[1] or (80 if place.plain_http else 443)
        host = "registry-1.docker.io" if place.registry == "docker.io" else host
    unchanged = not rerouted and (target, scheme) == (asked.target, asked.scheme)
    address = url(scheme, host, port, target)
    return Outcome("pass" if unchanged else "rewrite", None, namespace, told, address, not rerouted or place.forwards)


def moved(asked: Asked, named: int, entry: Entry, place: Place) -> str | None:
    """The path there: what names the registry and what the prefix covers is replaced by the location's path."""
    if not asked.has_repository:
        return "".join(asked.raw)
    covered = min(named + len(entry.under), len(asked.repository))
    raw, whole = asked.raw[4:], len(asked.repository)
    if not covered and not place.path:
        repository = "".join(raw[:whole])
    else:
        # The slash behind what is left out goes with it.
        rest = "".join(raw[covered + 1 if entry.under else covered : whole])
        repository = "/".join(part for part in (place.path, rest) if part)
    if not repository:
        return None
    tail = raw[whole:]
    if place.reference and asked.operation == "manifest":
        tail = (*tail[: len(tail) - len(asked.reference) + 1], place.reference[1:])
    return "".join((*asked.raw[:4], repository, *tail))


def kept(asked: Asked, told: str | None, namespace: str | None, query: str | None) -> Outcome:
    """Where it was addressed."""
    target = joined(asked.target.partition("?")[0], query)
    address = url(asked.scheme, asked.host, asked.port, target)
    return Outcome("pass" if target == asked.target else "rewrite", None, namespace, told, address)


def own_query(options: Options, asked: Asked) -> str | None:
    """Where no `ns` is due the query stays, but for what the client has no say in."""
    if options.client_namespace == "override":
        return without_namespace(asked.query)
    return only_first_namespace(asked.query)


def url(scheme: str, host: str, port: int, target: str) -> str:
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    own = {"http": 80, "https": 443}.get(scheme)
    return f"{scheme}://{host}{target}" if port == own else f"{scheme}://{host}:{port}{target}"


def joined(path: str, query: str | None) -> str:
    return path if query is None else f"{path}?{query}"


# -- one `ns` leaves, never two --------------------------------------------------------------------------------------


def is_namespace(parameter: str) -> bool:
    return unquote_plus(parameter.partition("=")[0]) == "ns"


def namespaces(query: str | None) -> list[str]:
    parameters = [] if query is None else query.split("&")
    return [unquote_plus(each.partition("=")[2], errors="surrogateescape") for each in parameters if is_namespace(each)]


def without_namespace(query: str | None) -> str | None:
    if query is None or not namespaces(query):
        return query
    return "&".join(each for each in query.split("&") if not is_namespace(each)) or None


def with_namespace(query: str | None, namespace: str) -> str:
    said = [each for each in (query or "").split("&") if is_namespace(each)]
    if namespaces(query) == [namespace] and said[0].startswith("ns="):
        assert query is not None
        return query
    rest = without_namespace(query)
    added = f"ns={quote_plus(namespace, safe='', errors='surrogateescape')}"
    return f"{rest}&{added}" if rest else added


def only_first_namespace(query: str | None) -> str | None:
    """Of several `ns`, the first that says something, as it stands; the first where none does."""
    if query is None or len(namespaces(query)) < 2:
        return query
    parameters = query.split("&")
    said = [at for at, each in enumerate(parameters) if is_namespace(each)]
    first = next((at for at in said if parameters[at].partition("=")[2]), said[0])
    return "&".join(each for at, each in enumerate(parameters) if at == first or at not in said)
