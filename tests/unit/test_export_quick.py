"""The short way of ordinary pulls, as each engine's text has it: who has one, who has none, and where it leads.

That the engines then do what the table says is tested with the engines themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from oci_ns.export.contract import Listen, Settings
from oci_ns.export.envoy.config import NAME
from oci_ns.export.envoy.config import export as export_envoy
from oci_ns.export.envoy.quick import MOST
from oci_ns.export.haproxy.config import export as export_haproxy
from oci_ns.export.nginx.config import FILE
from oci_ns.export.nginx.config import export as export_nginx
from oci_ns.export.tabulate import tabulate
from oci_ns.export.tabulation import Address
from tests.unit.plain_rules import Options
from tests.unit.test_decision_properties import table_of

SETTINGS = Settings((Listen("127.0.0.1", 5000),), resolvers=("192.0.2.53",), directory="/run/it")
LISTENING = Settings(SETTINGS.listen, destination=Address("https", "proxy.test", 443), directory="/run/it")
ODD = '[[registry]]\nprefix = "quay.io"\nlocation = "proxy.test/a$b"\nnamespace-proxy = "quay.io:5000"\n'
PLAIN = '[[registry]]\nprefix = "quay.io"\nlocation = "proxy.test:5000"\nplain-http = true\n'
BEHIND = f'{PLAIN}[[registry.mirror]]\nlocation = "mirror.test"\nnamespace-proxy = "quay.io"\n'
BY_TAG = f'{BEHIND}pull-from-mirror = "tag-only"\n'
DEEPER = f'{PLAIN}[[registry]]\nprefix = "quay.io/team"\nlocation = "team.test"\n'
BLOCKED = f"{PLAIN}blocked = true\n"
PATTERN = '[[registry]]\nprefix = "*.test"\nlocation = "proxy.example"\n'


Ways = Callable[..., list[str]]


def nginx(text: str, settings: Settings = SETTINGS, host: str = "quay.io") -> list[str]:
    """The rows by which a host's pulls find their URL."""
    file = export_nginx(tabulate(table_of(text, Options()), "https"), settings).files[FILE]
    maps = re.findall(r"map \S+ \$oci_quick_(?:url|more|first_url|first_more) \{\n(.*?)\n    \}", file, re.DOTALL)
    rows = [line.strip() for each in maps for line in each.splitlines()]
    return [row for row in rows if re.match(rf'" ?{re.escape(host)}["/]', row) and "/v2/" in row]


def haproxy(text: str, settings: Settings = SETTINGS, host: str = "quay.io") -> list[str]:
    files = export_haproxy(tabulate(table_of(text, Options()), "https"), settings).files
    rows = [row for name in ("quick.map", "quick-firsts.map") for row in files.get(name, "").splitlines()]
    return [row for row in rows if re.match(rf"{re.escape(host)}[ /]", row) and " to-" in row]


def envoy(text: str, settings: Settings = SETTINGS) -> list[str]:
    """What the paths of all short ways are replaced by."""
    file = export_envoy(tabulate(table_of(text, Options()), "https"), settings).files[NAME]
    return re.findall(r'substitution: (".*")', file)


LEADS: list[tuple[Ways, str, str]] = [
    (nginx, PLAIN, '"http://oci_http_proxy.test_5000/v2/$oci_plain"'),
    (nginx, BEHIND, '"https://oci_https_mirror.test_443/v2/$oci_plain?ns=quay.io"'),
    (nginx, ODD, '/v2/a${oci_dollar}b/$oci_plain?ns=quay.io%3A5000"'),
    (haproxy, PLAIN, "quay.io n0- to-http-proxy.test:5000 proxy.test:5000 "),
    (haproxy, ODD, "/a$b ?ns=quay.io%3A5000"),
    (envoy, PLAIN, '"/v2/\\\\1"'),
    (envoy, ODD, '"/v2/a$b/\\\\1?ns=quay.io%3A5000"'),
]


@pytest.mark.parametrize(("ways", "text", "part"), LEADS)
def test_an_ordinary_pull_finds_its_whole_way_at_once(ways: Ways, text: str, part: str) -> None:
    assert any(part in row for row in ways(text)), ways(text)


@pytest.mark.parametrize("text", [BLOCKED, BY_TAG, PATTERN], ids=["refused", "another way by digest", "a pattern"])
@pytest.mark.parametrize("ways", [nginx, haproxy, envoy])
def test_what_depends_on_more_has_no_short_way(ways: Ways, text: str) -> None:
    assert ways(text) == []


@pytest.mark.parametrize("ways", [nginx, haproxy])
def test_a_first_component_with_longer_prefixes_has_no_short_way(ways: Ways) -> None:
    assert ways(PLAIN) != []
    assert not any(re.search("quay.io/team/", row) for row in ways(DEEPER))


def test_a_step_with_another_behind_it_is_taken_the_short_way_by_nginx_alone() -> None:
    assert any("mirror.test" in row for row in nginx(BEHIND))
    assert haproxy(BEHIND) == []
    assert envoy(BEHIND) == []


@pytest.mark.parametrize("ways", [nginx, haproxy])
def test_a_listener_that_stands_for_a_proxy_has_short_ways_by_the_first_component(ways: Ways) -> None:
    text = '[[registry]]\nprefix = "quay.io"\nlocation = "proxy.test"\nnamespace-proxy = "quay.io"\n'
    assert any(row.lstrip('"').startswith("proxy.test/quay.io") for row in ways(text, LISTENING, "proxy.test"))


def test_envoy_has_short_ways_for_tables_that_it_loads_at_once() -> None:
    def table(registries: int) -> str:
        return "".join(PLAIN.replace("quay.io", f"r{number}.test") for number in range(registries))

    assert len(envoy(table(3))) >= 3
    assert envoy(table(MOST + 1)) == []
