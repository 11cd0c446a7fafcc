"""Where ordinary pulls go, by host and first component: as the whole table says, or nothing is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from oci_ns.distribution import parse
from oci_ns.export.ordinary import in_paths, known_hosts, only_steps
from oci_ns.export.tabulate import tabulate
from oci_ns.export.tabulation import Kind, Tabulation, Way, Ways, kind_of
from oci_ns.reference import looks_like_host
from tests.unit.generated import DIGEST
from tests.unit.plain_rules import Options
from tests.unit.tabulated import Asked, looked_up
from tests.unit.test_decision_properties import table_of
from tests.unit.test_routes import CONFIGS
from tests.unit.test_tabulate import VECTORS

CONFIG = Path(__file__).parents[2] / "config"
TEXTS = {**{path.name: path.read_text() for path in CONFIG.glob("*.conf")}, **VECTORS["configs"], **CONFIGS}
MIRROR = '[[registry]]\nprefix = "{0}"\nlocation = "{1}"\nnamespace-proxy = "quay.io"\n'
REPOSITORIES = (
    "app",
    "library/app",
    "a.b/app",
    "localhost/app",
    "quay.io",
    "quay.io/app",
    "quay.io/team/app",
    "docker.io/a/b",
)


def tabulated(text: str, scheme: str = "https") -> Tabulation:
    return tabulate(table_of(text, Options()), scheme)


def ordinary_ways(table: Tabulation, name: str, repository: str) -> Ways | None:
    """What an engine finds: the ways of a repository at a host; None where it has to look further."""
    found = known_hosts(table)[name]
    first, slash, _ = repository.partition("/")
    if slash and first in found.firsts:
        return found.firsts[first]
    if slash and found.reads_paths and looks_like_host(first):
        told = in_paths(table.paths).get(first)
        return found.others if told is False else None if isinstance(told, bool) else told
    return found.others


@pytest.mark.parametrize("scheme", ["https", "http"])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_what_is_known_of_an_ordinary_pull_is_what_the_table_says(text: str, scheme: str) -> None:
    table = tabulated(text, scheme)
    registries = [each for each in table.hosts if "*" not in each and ":" not in each]
    for name in known_hosts(table):
        host, _, port = name.partition(":") if not name.startswith("[") else (name, "", "")
        number = int(port) if port else 443 if scheme == "https" else 80
        for repository in (*REPOSITORIES, *(f"{each}/team/app" for each in registries)):
            ways = ordinary_ways(table, name, repository)
            for target in (f"/v2/{repository}/manifests/v1", f"/v2/{repository}/blobs/{DIGEST}"):
                parsed = parse(target)
                if ways is None or parsed is None:
                    continue
                said = looked_up(table, Asked("GET", host, number, target))
                way = ways[kind_of("GET", parsed)]
                assert said is not None
                assert len(said.urls) == len(way.steps)
                for url, step in zip(said.urls, way.steps, strict=True):
                    assert url.endswith(step.target(parsed, name)) or not isinstance(step.namespace, str)


LOOKED_FURTHER = [
    ("a longer prefix", MIRROR.format("quay.io/team", "p.example"), "quay.io", "team/app"),
    ("a single repository", MIRROR.format("quay.io/team/app", "p.example"), "quay.io", "team/other"),
]


@pytest.mark.parametrize(
    ("text", "name", "repository"), [row[1:] for row in LOOKED_FURTHER], ids=[r[0] for r in LOOKED_FURTHER]
)
def test_where_more_than_the_first_component_counts_nothing_is_known(text: str, name: str, repository: str) -> None:
    both = MIRROR.format("quay.io", "q.example") + text
    ways, plain = (
        ordinary_ways(tabulated(each), name, repository) for each in (both, MIRROR.format("quay.io", "q.example"))
    )
    assert plain is not None
    assert ways is None or ways != plain


def ways_of(**steps: Way) -> Ways:
    return {Kind(kind.replace("_", "-")): way for kind, way in steps.items()}


def test_the_steps_of_ordinary_pulls_are_those_of_tags_digests_and_blobs_alike() -> None:
    ways = known_hosts(tabulated(MIRROR.format("quay.io", "p.example")))["quay.io"].others
    assert ways is not None
    (step,) = only_steps(ways)
    assert step.namespace == "quay.io"
    way = ways[Kind.BLOB]
    assert only_steps(ways_of(by_tag=way, by_digest=way, blob=way)) == (step,)
    assert only_steps(ways_of(by_tag=way, by_digest=way, blob=Way())) == ()
    assert only_steps(ways_of(by_tag=way, by_digest=way)) == ()
    assert only_steps(None) == ()
