"""What is made when it is asked for is what would have been made at once, whichever way the table was built."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oci_ns.conf_files import parse_text
from oci_ns.decision import Decision
from oci_ns.hops import route_of
from oci_ns.index import RouteIndex
from oci_ns.index_tables import IndexTables
from oci_ns.problems import ConfigurationError
from oci_ns.reference import parse_image
from oci_ns.registries_conf import Registry
from oci_ns.registry_rows import Registries
from oci_ns.routes import RouteTable

HOSTS = ["a.com", "b.a.com", "docker.io", "registry-1.docker.io", "B.com", "c.com:5000", "c.com:443", "c.com:80", "x y"]
PATHS = ["", "", "", "/p", "/:1", "/p/q", "/p:1", ":1", "/P", "/p@sha256:" + "0" * 64]
NAMESPACES = ["", "a.com", "b.a.com", "*", "C.com:5000", "a b"]
SCOPES = ["", "p", "p/q", "p/q/r", "a.com/p", "docker.io/library/x"]

places = st.builds("{}{}".format, st.sampled_from(HOSTS), st.sampled_from(PATHS))
prefixes = st.one_of(places, st.sampled_from(["", "", "", "*.a.com", "*.COM", "*"]))
flag = st.sampled_from([False, False, False, True])


@dataclass(frozen=True)
class Place:
    """One endpoint's table."""

    location: str
    namespace: str
    insecure: bool
    plain_http: bool

    def lines(self) -> str:
        keys = {"location": self.location, "namespace-proxy": self.namespace}
        flags = {"insecure": self.insecure, "plain-http": self.plain_http}
        texts = "".join(f'{key} = "{value}"\n' for key, value in keys.items() if value)
        return texts + "".join(f"{key} = true\n" for key, value in flags.items() if value)


endpoints = st.builds(Place, places, st.sampled_from(NAMESPACES), flag, flag)
bare = st.builds(Place, st.sampled_from(HOSTS), st.just(""), st.just(False), st.just(False))


def table_text(prefix: str, blocked: bool, primary: Place, mirrors: list[Place]) -> str:
    head = (f'prefix = "{prefix}"\n' if prefix else "") + ("blocked = true\n" if blocked else "")
    further = "".join(f"[[registry.mirror]]\n{mirror.lines()}" for mirror in mirrors)
    return f"[[registry]]\n{head}{primary.lines()}{further}"


texts = st.lists(
    st.builds(table_text, prefixes, flag, st.one_of(bare, endpoints), st.lists(endpoints, max_size=2)), max_size=5
).map("".join)


def registries_of(text: str) -> list[Registry]:
    try:
        return list(parse_text(Path("r.conf"), text.encode()).registries.values())
    except ConfigurationError:
        return []


def answers(index: RouteIndex) -> list[object]:
    """What an index answers about every host, repository and image, decisions included."""
    table = RouteTable(index)
    found: list[object] = [index.disputed_addresses(), sorted((n, dict(e)) for n, e in index.ambiguous_locations())]
    for host in [*HOSTS[:-1], "x.com", "a.com:1", "z.a.com", "z.a.com:1"]:
        name, _, port = host.partition(":")
        number = int(port or 443)
        found += [index.knows(host), index.is_source(host), index.is_endpoint(host)]
        found += [index.may_rewrite("https", name, number), index.is_insecure(name, number)]
        for scope in SCOPES:
            path = f"/v2/{scope}/manifests/1" if scope else "/v2/"
            for query in ("", "?ns=a.com", "?ns=c.com%3A5000"):
                found.append(told(table.decide("GET", "https", name, number, path + query)))
            found.append(told(table.decide("PUT", "http", name, number, path)))
        found.append(image_of(index, f"{name}/p/q:1"))
    return found


def told(decision: Decision) -> tuple[object, ...]:
    return decision, decision.registry and decision.registry.origin, decision.endpoint and decision.endpoint.line


def image_of(index: RouteIndex, name: str) -> object:
    try:
        return index.find_image(parse_image(name))
    except ValueError as error:
        return str(error)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(texts)
def test_a_registry_is_indexed_the_same_with_and_without_its_route(text: str) -> None:
    registries = registries_of(text)
    index = RouteIndex(registries)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(IndexTables, "_add_plain", lambda *_: False)
        slow = RouteIndex(registries)
    assert answers(index) == answers(slow)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(texts)
def test_a_route_that_is_made_from_its_row_is_that_of_the_registry(text: str) -> None:
    registries = registries_of(text)
    index = RouteIndex(registries)
    assert list(index.registries) == registries
    for registry, own in zip(index.registries, registries, strict=True):
        assert index.route_of(registry) == route_of(registry) == route_of(own)
        assert [registry.origin_of(e) for e in registry.endpoints] == [own.origin_of(e) for e in own.endpoints]
        assert {index.owner_of(endpoint) for endpoint in registry.endpoints} == {own}


def test_registries_are_a_sequence_that_equals_one_with_the_same_registries() -> None:
    one, other = (
        Registries.of(registries_of(f'# {line}\n[[registry]]\nlocation = "a.com"\n[[registry]]\nlocation = "b.com"\n'))
        for line in ("", "\n\n")
    )
    assert one == other == tuple(one)
    assert one[:1] != other
    assert one[:1] == Registries.of([one[0]]) != other[1:]
    assert [registry.prefix for registry in one[::-1]] == ["b.com", "a.com"]
    assert one[-1] in other
    assert Registries.of(one) is one
    assert Registries.of([]) == ()
    assert one != [*other]
