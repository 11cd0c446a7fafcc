"""The short way of an ordinary pull in Envoy: matched, rewritten and sent by Envoy's own parts, without Lua.

Knows which routes that takes (`ordinary` says which pulls are ordinary, and where they go). One expression is
for all of them; then the host, and the first component where that counts, are looked up. Lua is called for an answer
that has a reference to be mapped, and for every request that finds no route here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from oci_ns.distribution import escape_namespace
from oci_ns.export.contract import Settings
from oci_ns.export.envoy.table import quoted
from oci_ns.export.envoy.yaml import API, Value
from oci_ns.export.ordinary import known_hosts, only_steps
from oci_ns.export.tabulation import NamespaceEdit, Part, Step, Tabulation, Ways
from oci_ns.reference import DEFAULT_PORTS, DOCKER_HUB, DOCKER_HUB_NAMES, registry_name, split_host

NOTE = "x-ns-inject-quick"
"""Header field of an answer that says which way its request went; it does not leave Envoy."""
BACK, CLEAN = "quick-back", "quick-clean"
"""Filters that only what goes the short way passes."""
PROGRAM_SIZE = 4096
"""How large an expression Envoy has to allow, in RE2's instructions."""

MOST = 1000
"""How many short ways a configuration has; Lua finds its way in larger tables."""

_XDS = "type.googleapis.com/xds."
_COMPONENT = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_DIGEST = "[a-z0-9]+(?:[+._-][a-z0-9]+)*:[A-Za-z0-9=_-]+"
_TAG = "[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
_ORDINARY = f"/v2/(?:{_COMPONENT}/)+(?:manifests/(?:{_TAG}|{_DIGEST})|blobs/{_DIGEST})"
_SEVERAL = "/v2/[^/]+/[^/]+/[^/]+/.+"
_LABEL = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*(?::[1-9][0-9]*)?"
_LINES = 300
"""How many lines a function of Lua has: it may have no more than 65,536 constants."""
_UNCLEAR = (":80", ":443")


@dataclass(frozen=True, slots=True)
class Way:
    """One short way: a step, and what it takes from the path, '' for nothing."""

    step: Step
    first: str

    @property
    def query(self) -> str:
        """What is put behind the path."""
        namespace = self.step.namespace
        return f"?ns={escape_namespace(namespace)}" if isinstance(namespace, str) else ""

    @property
    def plan(self) -> str:
        """What the way back has to know, in Lua."""
        to, set_ = self.step.to, self.step.edit is NamespaceEdit.SET
        if to is None or not isinstance(to.host, str):
            raise TypeError("a short way leads to one endpoint")
        fields = {"client": self.first, "endpoint": self.step.put, "namespaced": "true" if set_ else "false"}
        fields |= {"scheme": to.scheme, "host": to.host, "port": str(to.port), "spoken": ""}
        fields |= {"rerouted": "true", "changed": "true", "keeps": "false"}
        return f"{{{', '.join(f'{name}={quoted(text)}' for name, text in fields.items())}}}"


@dataclass(slots=True)
class Quick:
    """The short ways of a table, by host; None for hosts and first components without one."""

    ways: list[Way] = field(default_factory=list)
    plans: dict[str, int] = field(default_factory=dict)
    """What the way back has to know, and its number."""
    hosts: dict[str, int | None] = field(default_factory=dict)
    firsts: dict[str, dict[str, int | None]] = field(default_factory=dict)
    """Of the hosts at which the first component counts."""
    reading: set[str] = field(default_factory=set)
    """The hosts at which any other first component may be a registry, too."""
    destination: str = ""
    """The host that unknown ones stand for, '' for none."""

    @property
    def is_carried(self) -> bool:
        """Whether there are short ways, and not so many that Envoy would take long to start."""
        return 0 < len(self.ways) <= MOST

    def number(self, name: str, ways: Ways | None, first: str) -> int | None:
        """The number of the short way of `ways` for requests that address the host `name`."""
        steps = only_steps(ways)
        step = steps[0] if len(steps) == 1 else None
        if step is None or step.to is None or isinstance(step.to.host, Part) or step.keeps_credentials:
            return None
        by_source = step.edit is NamespaceEdit.SET and isinstance(step.namespace, Part)
        if by_source or step.strip > (1 if first else 0) or (step.insecure and step.to.scheme == "https"):
            return None
        host, own = split_host(name)[0], registry_name(step.to.scheme, step.to.host, step.to.port)
        if own == name or host.lower() == step.to.host.lower():
            return None
        way = Way(step, first if step.strip else "")
        self.ways.append(way)
        self.plans.setdefault(way.plan, len(self.plans) + 1)
        return len(self.ways)


def quick_of(table: Tabulation, settings: Settings) -> Quick:
    """The short ways of a table."""
    quick = Quick()
    for name, found in known_hosts(table).items():
        if name.endswith(_UNCLEAR) or name.startswith("["):
            continue
        others = quick.number(name, found.others, "")
        firsts = {first: quick.number(name, ways, first) for first, ways in found.firsts.items()}
        for spelt in sorted(DOCKER_HUB_NAMES) if name == DOCKER_HUB else (name,):
            quick.hosts[spelt] = others
            if firsts or found.reads_paths:
                quick.firsts[spelt] = firsts
            if found.reads_paths:
                quick.reading.add(spelt)
    to = settings.destination
    if to is not None and isinstance(to.host, str) and not any(name.startswith("*") for name in table.hosts):
        name = registry_name(to.scheme, to.host, to.port)
        quick.destination = name if name in quick.hosts else ""
    return quick


# -- routes -----------------------------------------------------------------------------------------------------------


def matcher(quick: Quick, routes: list[Value], shared: Mapping[str, Value], patient: Value) -> dict[str, Value]:
    """The virtual host's matcher: to the short ways, and to `routes` for all others.

    `shared` is what each route has, `patient` the policy for pulls.
    """
    otherwise = _action("routes", f"{API}config.route.v3.RouteList", {"routes": routes})
    actions = [_route(quick.plans[way.plan], way, shared, patient) for way in quick.ways]

    def found(name: str) -> Value:
        number = quick.hosts[name]
        own = otherwise if number is None else actions[number - 1]
        if name not in quick.firsts:
            return own
        rest = otherwise if name in quick.reading else own
        rows = {
            f"/v2/{first}/": otherwise if each is None else actions[each - 1]
            for first, each in quick.firsts[name].items()
        }
        if not rows:
            return rest
        tree = {"matcher_tree": {"input": _header(":path"), "prefix_match_map": {"map": rows}}, "on_no_match": rest}
        if name in quick.reading:
            return {"matcher": _list([(_matches(":path", _SEVERAL), {"matcher": tree})], otherwise)}
        return {"matcher": _list([(_matches(":path", _SEVERAL), {"matcher": tree})], own)}

    rows = {name: found(name) for name in quick.hosts}
    unknown: Value = otherwise
    if quick.destination:
        unknown = {"matcher": _list([(_matches(":authority", _HOST), found(quick.destination))], otherwise)}
    hosts = {
        "matcher_tree": {"input": _header(":authority"), "exact_match_map": {"map": rows}},
        "on_no_match": unknown,
    }
    ordinary = [
        _matches(":method", "GET|HEAD"),
        _matches(":path", _ORDINARY),
        {"not_matcher": _matches("x-ns-inject-to", ".*")},
    ]
    return _list([({"and_matcher": {"predicate": ordinary}}, {"matcher": hosts})], otherwise)


def _list(entries: list[tuple[Value, Value]], otherwise: Value) -> dict[str, Value]:
    matchers = [{"predicate": predicate, "on_match": on_match} for predicate, on_match in entries]
    return {"matcher_list": {"matchers": matchers}, "on_no_match": otherwise}


def _header(name: str) -> dict[str, Value]:
    config = {"@type": f"{API}type.matcher.v3.HttpRequestHeaderMatchInput", "header_name": name}
    return {"name": name, "typed_config": config}


def _matches(name: str, regex: str) -> dict[str, Value]:
    value = {"safe_regex": {"regex": regex, "google_re2": {}}}
    return {"single_predicate": {"input": _header(name), "value_match": value}}


def _action(name: str, kind: str, config: Mapping[str, Value]) -> dict[str, Value]:
    return {"action": {"name": name, "typed_config": {"@type": kind, **config}}}


def _route(number: int, way: Way, shared: Mapping[str, Value], patient: Value) -> dict[str, Value]:
    step = way.step
    if step.to is None or not isinstance(step.to.host, str):
        raise TypeError("a short way leads to one endpoint")
    host = step.to.host
    authority = f"[{host}]" if ":" in host and not host.startswith("[") else host
    if step.to.port != DEFAULT_PORTS[step.to.scheme]:
        authority = f"{authority}:{step.to.port}"
    pattern = "^/v2/[^/]+/(.*)$" if step.strip else "^/v2/(.*)$"
    put = f"{step.put}/" if step.put else ""
    substitution = f"/v2/{_literal(put)}\\1{_literal(way.query)}"
    disabled = {"@type": f"{API}config.route.v3.FilterConfig", "disabled": True}
    enabled = {"@type": f"{API}config.route.v3.FilterConfig", "config": {}}
    proxy = {"@type": f"{API}extensions.filters.http.dynamic_forward_proxy.v3.PerRouteConfig"}
    removed = shared.get("request_headers_to_remove")
    own = list(removed) if isinstance(removed, list) else []
    note = {"header": {"key": NOTE, "value": f"{number} %REQ(:PATH)%"}}
    return _action(
        "route",
        f"{API}config.route.v3.Route",
        {
            "match": {"prefix": "/"},
            **shared,
            "request_headers_to_remove": [*own, "authorization", "cookie", "proxy-authorization"],
            "response_headers_to_remove": ["www-authenticate", "x-ns-inject-failed", "x-ns-inject-next"],
            "response_headers_to_add": [note],
            "route": {
                "cluster": step.to.scheme,
                "timeout": "0s",
                **(patient if isinstance(patient, Mapping) else {}),
                "regex_rewrite": {"pattern": {"regex": pattern}, "substitution": substitution},
            },
            "typed_per_filter_config": {
                "envoy.filters.http.lua": disabled,
                BACK: enabled,
                CLEAN: enabled,
                "envoy.filters.http.dynamic_forward_proxy": {**proxy, "host_rewrite_literal": authority},
            },
        },
    )


def _literal(text: str) -> str:
    """A text of a substitution."""
    return text.replace("\\", "\\\\")


# -- filters ----------------------------------------------------------------------------------------------------------


def filters(code: str) -> list[Value]:
    """The filters that only the short ways use; `code` is the Lua code that maps references."""
    lua = {
        "@type": f"{API}extensions.filters.http.lua.v3.Lua",
        "default_source_code": {"inline_string": code},
    }
    skip = _action("skip", f"{API}extensions.filters.common.matcher.action.v3.SkipFilter", {})
    pass_ = [{"not_matcher": _answers(name)} for name in ("location", "link")]
    entry = {"predicate": {"and_matcher": {"predicate": pass_}}, "on_match": skip}
    delegate = {
        "@type": f"{API}extensions.common.matching.v3.ExtensionWithMatcher",
        "extension_config": {"name": BACK, "typed_config": lua},
        "xds_matcher": {"matcher_list": {"matchers": [entry]}},
    }
    clean = {
        "@type": f"{API}extensions.filters.http.header_mutation.v3.HeaderMutation",
        "mutations": {"response_mutations": [{"remove": NOTE}]},
    }
    return [
        {"name": CLEAN, "disabled": True, "typed_config": clean},
        {"name": BACK, "disabled": True, "typed_config": delegate},
    ]


def _answers(name: str) -> dict[str, Value]:
    config = {"@type": f"{API}type.matcher.v3.HttpResponseHeaderMatchInput", "header_name": name}
    value = {"safe_regex": {"regex": ".*", "google_re2": {}}}
    return {"single_predicate": {"input": {"name": name, "typed_config": config}, "value_match": value}}


_BACK = r"""
-- The way back of what went the short way ----------------------------------------------------------------------------

function envoy_on_response(handle)
  local headers = handle:headers()
  local number, target = (headers:get("x-ns-inject-quick") or ""):match("^(%d+) (.*)$")
  local way = ways[tonumber(number)]
  if not way then return end
  local path = target:match("^[^?]*")
  local put = way.endpoint ~= "" and way.endpoint .. "/" or ""
  local client = way.client ~= "" and way.client .. "/" or ""
  local plan = {origin = "/v2/" .. client .. path:sub(5 + #put), base = ""}
  for_the_client(headers, setmetatable(plan, {__index = way}))
end
"""


def back(quick: Quick) -> Iterator[str]:
    """The Lua code for references, with what it has to know of each way."""
    yield "local ways = {}"
    for begin in range(0, len(quick.plans), _LINES):
        yield "(function()"
        for number, plan in enumerate(list(quick.plans)[begin : begin + _LINES], start=begin + 1):
            yield f"ways[{number}] = {plan}"
        yield "end)();"
    yield from _BACK.splitlines()
