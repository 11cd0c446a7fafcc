"""SECURITY.md and what can be said of its promises without a network."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from oci_ns.conf_files import parse_text
from oci_ns.index import RouteIndex
from oci_ns.routes import RouteTable

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "SECURITY.md").read_text()


def functions_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_test_that_security_md_names_is_there() -> None:
    named: list[tuple[str, str]] = []
    file = ""
    for word in re.findall(r"`([^`\n]+)`", TEXT):
        if word.startswith("tests/"):
            file = word
        elif word.startswith("test_"):
            named.append((file, word))
    # One that is named before its file.
    assert len(named) > 25
    functions = {path: functions_in(ROOT / path) for path in re.findall(r"`(tests/[^`\n]+)`", TEXT)}
    assert [each for each in named if each[1] not in functions.get(each[0], set())] == []


CATCH_ALL = """
[[registry]]
prefix = "{prefix}"
{keys}
[[registry.mirror]]
location = "proxy.example.com"
namespace-proxy = "*"
{mirror}
"""


@pytest.mark.parametrize("prefix", ["*", "*.example.net"])
@pytest.mark.parametrize("keys", ["", "insecure = true", "plain-http = true", 'namespace-proxy = "*"'])
@pytest.mark.parametrize("mirror", ["", 'pull-from-mirror = "digest-only"', 'pull-from-mirror = "tag-only"'])
@pytest.mark.parametrize("named", ["/v2/a/b/{}?ns=x.example.net", "/v2/x.example.net/a/b/{}"])
@pytest.mark.parametrize("reference", ["manifests/v1", f"manifests/sha256:{'0' * 64}", "tags/list"])
def test_a_wildcard_leads_to_no_host_that_only_the_client_names(
    prefix: str, keys: str, mirror: str, named: str, reference: str
) -> None:
    text = CATCH_ALL.format(prefix=prefix, keys=keys, mirror=mirror)
    table = RouteTable(RouteIndex(parse_text(Path("r.conf"), text.encode()).registries.values()))
    decision = table.decide("GET", "https", "proxy.example.com", 443, named.format(reference))
    hosts = {each.host for each in (decision, *decision.alternatives) if each.error is None}
    assert hosts <= {"proxy.example.com"}
    assert bool(hosts) == (decision.error is None)
