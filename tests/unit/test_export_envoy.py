"""What is exported to Envoy: the parts that each configuration must have, and that no value ends its quotes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci_ns.export.contract import Listen, NotCarriedError, Settings
from oci_ns.export.envoy.config import NAME, export
from oci_ns.export.envoy.table import comment, lines_of, quoted
from oci_ns.export.tabulate import tabulate
from oci_ns.export.tabulation import Address, Part, Tabulation
from tests.unit.plain_rules import Options
from tests.unit.rooms import reachable
from tests.unit.test_decision_properties import table_of
from tests.unit.test_rooms import KNOW_MITMPROXY
from tests.unit.test_routes import CONFIGS
from tests.unit.test_tabulate import VECTORS

CONFIG = Path(__file__).parents[2] / "config"
SETTINGS = Settings((Listen("127.0.0.1", 5000),))
MIRROR = '[[registry]]\nprefix = "quay.io"\nlocation = "quay.io"\n[[registry.mirror]]\nlocation = "proxy.test/q"\n'
TEXTS = {
    **{path.name: path.read_text() for path in CONFIG.glob("*.conf")},
    **VECTORS["configs"],
    **CONFIGS,
    "mirror": f'{MIRROR}namespace-proxy = "quay.io"\n',
    "plain mirror": MIRROR,
    "insecure": f"{MIRROR}insecure = true\n",
    "plain http": f"{MIRROR}plain-http = true\n",
    "credentials": f"{MIRROR}forward-credentials = true\n",
    "tags": f'{MIRROR}pull-from-mirror = "tag-only"\n',
    "blocked": '[[registry]]\nprefix = "quay.io"\nlocation = "quay.io"\nblocked = true\n',
    "pattern": '[[registry]]\nprefix = "*.test"\n[[registry.mirror]]\nlocation = "p.example"\nnamespace-proxy = "*"\n',
}


def tabulated(text: str, scheme: str = "https") -> Tabulation:
    return tabulate(table_of(text, Options()), scheme)


def exported(text: str, settings: Settings = SETTINGS) -> str:
    return export(tabulated(text), settings).files[NAME]


def literal(text: str) -> bytes:
    """What Lua reads in a string's quotes."""
    found = re.fullmatch(r'"((?:[^"\\\n]|\\\d{3})*)"', text)
    assert found is not None, text
    pieces = re.split(r"\\(\d{3})", found[1])
    return b"".join(bytes([int(each)]) if i % 2 else each.encode("ascii") for i, each in enumerate(pieces))


PARTS = [
    ("mirror", '{"https", "proxy.test", 443, 0, "q", "", "set", "quay.io", false, false} -- r.conf:4'),
    ("mirror", '{false, false, 0, 0, "", "", "drop", false, true, false} -- r.conf:1'),
    ("mirror", "way[1] = {1, 2} -- r.conf:4"),
    ("mirror", 'hosts["quay.io"] = '),
    ("plain mirror", '{"https", "proxy.test", 443, 0, "q", "", "drop", false, false, false}'),
    ("insecure", '{"https", "proxy.test", 443, 0, "q", "", "drop", false, false, true}'),
    ("insecure", 'insecure["proxy.test:443"] = true'),
    ("plain http", '{"http", "proxy.test", 80, 0, "q", "", "drop", false, false, false}'),
    ("credentials", '{"https", "proxy.test", 443, 0, "q", "", "drop", false, true, false}'),
    ("tags", "ways[2] = {tag=3, digest=4, blob=3, rest=2}"),
    ("blocked", 'status=403, code="DENIED", message={'),
    ("blocked", "greeted=true}"),
    ("pattern", 'hosts["*.test"] = '),
    ("pattern", '{"https", "p.example", 443, 0, "", "", "set", false, false, false}'),
]


@pytest.mark.parametrize(("config", "part"), PARTS)
def test_what_an_entry_says_is_a_line_that_names_it(config: str, part: str) -> None:
    assert part in exported(TEXTS[config])


@pytest.mark.parametrize("config", TEXTS)
def test_the_same_table_is_the_same_text(config: str) -> None:
    assert exported(TEXTS[config]) == exported(TEXTS[config])


@pytest.mark.parametrize("config", TEXTS)
def test_every_line_is_printable_ascii(config: str) -> None:
    assert re.fullmatch(r"[ -~\n]*", exported(TEXTS[config]))


NAMED = {"way": "step", "ways": "way", "scopes": "ways", "hosts": "scopes", "patterns": "ways", "paths": "ways"}


@pytest.mark.parametrize("config", TEXTS)
def test_a_part_names_only_parts_that_stand_above_it(config: str) -> None:
    seen: set[tuple[str, int]] = set()
    named = 0
    for line in lines_of(tabulated(TEXTS[config])):
        found = re.match(r'(\w+)(?:\[(\d+|".*?")\])?(\.\w+)?(?:\[".*?"\])? = (.*)', line)
        if found is None or found[1] == "insecure":
            continue
        kind, key, below, value = found.groups()
        if kind != "step" and "status=" not in value:
            names = NAMED["patterns"] if below == ".patterns" else NAMED[kind]
            numbers = re.findall(r"\d+", re.sub(r'\[".*?"\]|--.*', "", value))
            named += len(numbers)
            assert {(names, int(number)) for number in numbers} <= seen, line
        if below is None and key is not None and key.isdigit():
            seen.add((kind, int(key)))
    assert named > 5


def test_no_function_has_more_than_a_few_hundred_lines() -> None:
    text = "".join(
        f'[[registry]]\nprefix = "r{i}.test"\nlocation = "r{i}.test"\n[[registry.mirror]]\nlocation = "p.example"\n'
        f'namespace-proxy = "r{i}.test"\n'
        for i in range(200)
    )
    functions = "\n".join(lines_of(tabulated(text))).split("end)();")
    assert len(functions) > 5
    assert max(each.count("\n") for each in functions) < 310
    assert max(each.count('"') for each in functions) < 65_536


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_a_text_is_itself_in_its_quotes(text: str) -> None:
    assert literal(quoted(text)) == text.encode()


@given(st.text())
def test_a_comment_ends_with_its_line(text: str) -> None:
    assert re.fullmatch(r"[ -~]*", comment(text))


HOSTILE = ['"', "]]", "\\", '"}} os.execute("x") --', "a\tb", "%REQ(x)%", "@LUA outer@", "ä"]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_does_not_end_its_quotes(value: str) -> None:
    namespace = value.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    text = exported(f'{MIRROR}namespace-proxy = "{namespace}"\n')
    assert f'"set", {quoted(value)}, false, false}}' in text
    assert text.count("envoy_on_request") == exported(TEXTS["mirror"]).count("envoy_on_request")


@pytest.mark.parametrize("value", ["a: b", "@LUA outer@", '"', "\n", "\\", "#"])
def test_a_path_is_one_scalar(value: str) -> None:
    settings = Settings((Listen("127.0.0.1", 5000),), certificate=value, authorities=value)
    lines = exported(TEXTS["mirror"], settings).splitlines()
    written = [line.strip() for line in lines if line.strip().startswith("filename:")]
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    assert written == [f'filename: "{escaped}"'] * 3


SETTINGS_ROWS = [
    (Settings((Listen("", 5000),)), ['address: "::"', "ipv4_compat: true", "port_value: 5000"]),
    (Settings((Listen("127.0.0.1", 1), Listen("::1", 2))), ["additional_addresses:", 'address: "::1"']),
    (Settings((Listen("", 1),), certificate="/c", key="/k"), ['filename: "/c"', 'filename: "/k"', '"h2"']),
    (Settings((Listen("", 1),), certificate="/c"), ['filename: "/c"', 'local BASE = "https://"']),
    (Settings((Listen("", 1),), authorities="/ca"), ['filename: "/ca"']),
    (Settings((Listen("", 1),), connect_seconds=7), ['connect_timeout: "7s"']),
    (Settings((Listen("", 1),), response_seconds=9), ['per_try_idle_timeout: "9s"']),
    (Settings((Listen("", 1),)), ["envoy.network.dns_resolver.getaddrinfo", "local DESTINATION = nil"]),
    (
        Settings((Listen("", 1),), resolvers=("192.0.2.1:53", "[2001:db8::1]:54", "192.0.2.2")),
        ['address: "192.0.2.1"', 'address: "2001:db8::1"', "port_value: 54", 'address: "192.0.2.2"'],
    ),
    (
        Settings((Listen("", 1),), destination=Address("https", "proxy.test", 443)),
        ['local DESTINATION = {"https", "proxy.test", 443}', "local LISTENING = true"],
    ),
]


@pytest.mark.parametrize(("settings", "parts"), SETTINGS_ROWS)
def test_what_the_settings_say_is_there(settings: Settings, parts: list[str]) -> None:
    text = exported(TEXTS["mirror"], settings)
    assert [part for part in parts if part not in text] == []


NOT_CARRIED = [
    (Settings((), destination=None), "listen"),
    (Settings((Listen("", 1),), key="/k"), "key"),
    (Settings((Listen("", 1),), destination=Address("http", "proxy.test", 80)), "destination"),
    (Settings((Listen("", 1),), destination=Address("https", Part.SOURCE, 443)), "destination"),
]


@pytest.mark.parametrize(("settings", "rule"), NOT_CARRIED)
def test_what_envoy_cannot_do_is_an_error(settings: Settings, rule: str) -> None:
    with pytest.raises(NotCarriedError) as raised:
        export(tabulated(TEXTS["mirror"]), settings)
    assert [each.rule for each in raised.value.problems] == [rule]


def test_what_is_left_out_is_told_where_that_is_allowed() -> None:
    settings = Settings((Listen("", 1),), key="/k", allow_partial=True)
    done = export(tabulated(TEXTS["mirror"]), settings)
    assert [each.rule for each in done.left_out] == ["key"]
    assert "# Left out: key: there is no certificate that it is for\n" in done.files[NAME]


def test_nothing_is_read_or_sent() -> None:
    assert not reachable("export.envoy.config") & KNOW_MITMPROXY
