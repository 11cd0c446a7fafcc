"""Generated registries.conf documents, requests and images: from few names, so that they meet.

A document is what a TOML parser makes of it; `spelt` writes it as text in any of the ways that mean the same.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from hypothesis import strategies as st

from oci_ns.registries_conf import Endpoint, PullFromMirror, Registry
from tests.unit.plain_rules import Options

Table = dict[str, Any]

DIGEST = "sha256:" + "9f" * 32
HOSTS = [
    *(
        "q.io",
        "g.q.io",
        "a.g.q.io",
        "q.io:5000",
        "g.q.io:5000",
        "q.io:443",
        "Q.io",
        "docker.io",
        "registry-1.docker.io",
    ),
    *("index.docker.io", "p.test", "p.test", "p.test:5000", "p.test:80", "m.test", "m.test:443", "[::1]:5000"),
    "localhost:5000",
]
PATHS = ["", "", "", "/a", "/a/b", "/ab", "/b", "/q.io", "/q.io/a", "/docker.io", "/library"]
REFERENCES = ["", "", "", "", "", "", ":1", f"@{DIGEST}"]
NAMESPACES = [
    "",
    "q.io",
    "g.q.io",
    "docker.io",
    "*",
    "*",
    "index.docker.io",
    "q.io:5000",
    "Q.io",
    "p.test",
    "upstream",
    "a b&c",
]
FLAGS = ["insecure", "plain-http", "forward-credentials"]

often = st.sampled_from([False, False, False, False, True])
places = st.builds(
    lambda host, path, reference: host + path + (reference if path else ""),
    st.sampled_from(HOSTS),
    st.sampled_from(PATHS),
    st.sampled_from(REFERENCES),
)
prefixes = st.one_of(
    places, places, st.sampled_from(["*.q.io", "*.io", "*.test", "*.Q.io", "*", "*", "q.io", "docker.io"])
)


def endpoint_table(location: str, namespace: str, flags: list[str]) -> Table:
    table: Table = {"location": location}
    if namespace:
        table["namespace-proxy"] = namespace
    return table | dict.fromkeys(flags, True)


flag_lists: st.SearchStrategy[list[str]] = st.one_of(
    st.just([]), st.just([]), st.lists(st.sampled_from(FLAGS), max_size=2, unique=True)
)
endpoints = st.builds(endpoint_table, places, st.sampled_from(NAMESPACES), flag_lists)
mirrors = st.builds(
    lambda table, pulls: table | ({"pull-from-mirror": pulls} if pulls else {}),
    endpoints,
    st.sampled_from(["", "", "", "", "all", "digest-only", "tag-only"]),
)


def registry_table(prefix: str, primary: Table, own: bool, served: list[Table], blocked: bool, digests: bool) -> Table:
    table = dict(primary)
    if own:
        # Most registries are served by themselves in the end.
        table["location"] = prefix
        table.pop("namespace-proxy", None)
        if prefix.startswith("*"):
            del table["location"]
    table["prefix"] = prefix
    if blocked:
        table["blocked"] = True
    if digests:
        table["mirror-by-digest-only"] = True
        served = [{key: value for key, value in mirror.items() if key != "pull-from-mirror"} for mirror in served]
    if served:
        table["mirror"] = served
    return table


registries = st.builds(
    registry_table,
    prefixes,
    endpoints,
    st.sampled_from([True, True, False]),
    st.lists(mirrors, max_size=3),
    often,
    often,
)


def without_conflicts(tables: list[Table]) -> list[Table]:
    """Podman refuses one location that is blocked or insecure here and not there."""
    first: dict[str, Table] = {}
    agreed = []
    for table in tables:
        other = first.setdefault(table.get("location") or table["prefix"], table)
        own = {key: value for key, value in table.items() if key not in ("blocked", "insecure")}
        agreed.append(own | {key: True for key in ("blocked", "insecure") if other.get(key)})
    return agreed


documents = st.lists(registries, min_size=1, max_size=5).map(without_conflicts).map(lambda tables: {"registry": tables})


def plain_text(document: Table) -> str:
    """The document as TOML, in the one way most people write it."""
    lines = []
    for table in document["registry"]:
        for header, part in (("[[registry]]", table), *(("[[registry.mirror]]", m) for m in table.get("mirror", ()))):
            lines.append(header)
            lines += [f"{key} = {json.dumps(value)}" for key, value in part.items() if key != "mirror"]
    return "\n".join(lines) + "\n"


texts = documents.map(plain_text)


# -- what no file says, but a table can be made of ---------------------------------------------------------------------

odd_names = st.one_of(
    places,
    st.text(max_size=12),
    st.sampled_from(
        ["", "*", "*.", "*x", "/", ":", "a@", "[::1", "a/:1", "q.io/", "q.io//a", "q.io:0", "q.io:99999", "@:/"]
    ),
)
odd_endpoints = st.builds(
    Endpoint,
    odd_names,
    namespace=st.one_of(st.none(), st.text(max_size=5), st.sampled_from(NAMESPACES)),
    plain_http=often,
    pull_from_mirror=st.sampled_from(PullFromMirror),
)
odd_registries = st.builds(Registry, odd_names, odd_endpoints, st.lists(odd_endpoints, max_size=2).map(tuple), often)


# -- the same in other words -----------------------------------------------------------------------------------------

comments = st.sampled_from(["", "", "", " # a comment", "  # [[registry]]", '\t# location = "x"'])
spaces = st.sampled_from(["", " ", "\t", "  "])
blank = st.sampled_from(["", "", "", "\n", "# a comment\n", "   \n"])


@st.composite
def scalars(draw: st.DrawFn, value: str | bool) -> str:
    if isinstance(value, bool):
        return json.dumps(value)
    plain = json.dumps(value)
    escaped = "".join(f"\\u{ord(each):04x}" if draw(often) else json.dumps(each)[1:-1] for each in value)
    return draw(st.sampled_from([plain, plain, f"'{value}'", f'"{escaped}"', f'"""{plain[1:-1]}"""', f"'''{value}'''"]))


@st.composite
def pairs(draw: st.DrawFn, table: Table) -> list[str]:
    """`key = value` in any order; false and empty are the same as nothing, and what nobody knows is ignored."""
    absent = [key for key in FLAGS if key not in table]
    more = {key: False for key in absent if draw(often)} | ({"x-unknown": "1"} if draw(often) else {})
    items = draw(st.permutations([each for each in (table | more).items() if each[0] != "mirror"]))
    found = []
    for key, value in items:
        name = draw(st.sampled_from([key, key, f'"{key}"', f"'{key}'"]))
        found.append(f"{name}{draw(spaces)}={draw(spaces)}{draw(scalars(value))}")
    return found


@st.composite
def table_texts(draw: st.DrawFn, table: Table) -> str:
    lines = [f"[[registry]]{draw(comments)}"]
    lines += [f"{draw(spaces)}{line}{draw(comments)}" for line in draw(pairs(table))]
    served = table.get("mirror", [])
    if served and draw(st.booleans()):
        items = ", ".join("{ " + ", ".join(draw(pairs(mirror))) + " }" for mirror in served)
        lines.append(f"mirror = [{items}]{draw(comments)}")
    else:
        for mirror in served:
            lines.append(
                draw(st.sampled_from(["[[registry.mirror]]", "[[ registry . mirror ]]", '[["registry".mirror]]']))
            )
            lines += [f"{draw(spaces)}{line}{draw(comments)}" for line in draw(pairs(mirror))]
    return draw(blank) + "\n".join(lines) + "\n"


@st.composite
def spelt(draw: st.DrawFn, document: Table) -> str:
    """The document as TOML, in any way."""
    if draw(often):
        inline = []
        for table in document["registry"]:
            parts = draw(pairs(table))
            items = ", ".join("{ " + ", ".join(draw(pairs(mirror))) + " }" for mirror in table.get("mirror", ()))
            inline.append("{ " + ", ".join([*parts, f"mirror = [{items}]"]) + " }")
        return "registry = [\n" + ",\n".join(inline) + ",\n]\n"
    head = draw(st.sampled_from(["", "", '[aliases]\n"x" = "q.io/x"\n', 'unqualified-search-registries = ["q.io"]\n']))
    text = head + "".join(draw(table_texts(table)) for table in document["registry"])
    return text.replace("\n", "\r\n") if draw(often) else text


# -- requests --------------------------------------------------------------------------------------------------------


class Asking(NamedTuple):
    """A request as `RouteTable.decide` has it."""

    method: str
    scheme: str
    host: str
    port: int
    target: str


REPOSITORIES = ["a", "a/b", "a/b/c", "ab", "b", "b/a", "library/a", "q.io/a", "q.io/a/b", "docker.io/a", "q.io:5000/a"]
REPOSITORIES += ["index.docker.io/a", "g.q.io/a", "localhost/a", "a/a", "q.io/q.io/a", "p.test/a", "manifests", "A"]
ENDS = ["/manifests/1", "/manifests/1", "/manifests/2", f"/manifests/{DIGEST}", f"/blobs/{DIGEST}", "/tags/list"]
ENDS += [f"/referrers/{DIGEST}", "/blobs/uploads/", "/blobs/uploads/u1", "/x", "", "/manifests/", "/blobs/1"]
OTHER_PATHS = ["/v2", "/v2/", "/v2/", "/v2/_catalog", "/v2/auth", "/v2//", "/ui", "/", "/v20/", "*", ""]
SAID = [
    "q.io",
    "q.io",
    "g.q.io",
    "docker.io",
    "index.docker.io",
    "Q.IO",
    "q.io:5000",
    "q.io%3A5000",
    "p.test",
    "m.test",
]
SAID += ["", "*", "%0d%0a", "upstream", "a+b%26c", "%ff", "*.q.io", "q%2Eio", "x.y.io", "p.test%3A5000"]


def escaped(text: str, where: list[int]) -> str:
    """Some of the characters percent-encoded."""
    found = list(text)
    for at in where:
        if found and len(found[at % len(found)]) == 1 and found[at % len(found)] != "%":
            found[at % len(found)] = f"%{ord(found[at % len(found)]):02x}"
    return "".join(found)


paths = st.builds(
    escaped,
    st.one_of(
        *[st.builds(lambda name, end: f"/v2/{name}{end}", st.sampled_from(REPOSITORIES), st.sampled_from(ENDS))] * 5,
        st.sampled_from(OTHER_PATHS),
    ),
    st.one_of(*[st.just([])] * 4, st.lists(st.integers(0, 40), max_size=4)),
)
namespace_parameters = st.builds(
    "{}{}".format, st.sampled_from(["ns=", "ns=", "ns=", "n%73=", "%6e%73="]), st.sampled_from(SAID)
)
other_parameters = st.sampled_from(["n=5", "last=v1%2E0+x", "a=%2F+&&b", "", "NS=x", "xns=q.io", "%zz=%", "é=%ff"])
parameters = st.one_of(namespace_parameters, st.sampled_from(["ns", "ns="]), other_parameters)
queries = st.one_of(
    *[st.just("")] * 3,
    namespace_parameters.map("?{}".format),
    st.lists(parameters, max_size=4).map(lambda found: "?" + "&".join(found)),
)
targets = st.builds("{}{}".format, paths, queries)


def asking(method: str, host: str, scheme: str, target: str) -> Asking:
    """`host[:port]` in two; the scheme's own port where none is given."""
    name, _, port = host.rpartition(":") if not host.endswith("]") and ":" in host else (host, "", "")
    return Asking(method, scheme, name.strip("[]"), int(port or {"http": 80, "https": 443}[scheme]), target)


methods = st.sampled_from(["GET", "GET", "GET", "GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"])
askings = st.builds(
    asking,
    methods,
    st.sampled_from([*HOSTS, "p.test", "m.test", "Q.IO.", "x.y.io", "g.q.io:8443", "x.test", "localhost"]),
    st.sampled_from(["https", "https", "https", "http"]),
    targets,
)


def places_in(document: Table) -> list[str]:
    """Every prefix and location of a document."""
    parts = [part for table in document["registry"] for part in (table, *table.get("mirror", ()))]
    return [part[key] for part in parts for key in ("prefix", "location") if key in part]


@st.composite
def askings_of(draw: st.DrawFn, document: Table) -> Asking:
    """A request that has to do with the document: for a place in it, or for a repository below one."""
    asked = draw(askings)
    named = [place for place in places_in(document) if not place.startswith("*")] or ["x.io"]
    place, other = draw(st.tuples(st.sampled_from(named), st.sampled_from(named)))
    host, _, path = place.partition("/")
    path = path.partition(":")[0].partition("@")[0]
    rest = asked.target[3:] if asked.target.startswith("/v2/") else "/a/manifests/1"
    target = draw(
        st.sampled_from(
            [
                *(asked.target, asked.target, f"/v2/{path}{rest}" if path else asked.target),
                *(f"/v2/{path or 'a'}/manifests/1", f"/v2/{other.partition('/')[0].lower()}{rest}"),
            ]
        )
    )
    if draw(st.sampled_from([True, True, True, False])):
        return asking(asked.method, host, asked.scheme, target)
    return asked._replace(target=target)


policies = st.builds(
    Options,
    st.sampled_from(["", "", "", "q.io", "docker.io", "g.q.io", "p.test", "x.y.io"]),
    st.sampled_from(["keep", "keep", "keep", "override", "reject"]),
    st.sampled_from(["pass", "pass", "pass", "reject"]),
)

# -- images ----------------------------------------------------------------------------------------------------------

# In full: what Docker Hub is called, and its official images, are for the names people write.
image_hosts = st.sampled_from(
    [*(host for host in HOSTS if host.islower() and not host.endswith(".docker.io")), "x.y.io"]
)
images = st.builds(
    "{}/{}{}".format,
    image_hosts,
    st.sampled_from(["a/b", "a/b/c", "ab/a", "b/a", "library/a", "q.io/a"]),
    st.sampled_from(["", ":1", ":2", f"@{DIGEST}", f":1@{DIGEST}"]),
)


# -- all of it -------------------------------------------------------------------------------------------------------


class Case(NamedTuple):
    """A configuration, the options, and some requests."""

    text: str
    options: Options
    askings: list[Asking]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    document = draw(documents)
    asked = draw(st.lists(askings_of(document), min_size=4, max_size=10))
    return Case(plain_text(document), draw(policies), asked)
