"""nginx's configuration: what it must have, that nothing of a value leaves its word, and what it cannot carry.

That nginx does with it what the table says is tested with nginx itself.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from oci_ns.export.contract import Listen, NotCarriedError, Settings
from oci_ns.export.nginx.config import export
from oci_ns.export.nginx.text import Map, Row, Sizes, comment, quoted
from oci_ns.export.tabulate import tabulate
from oci_ns.export.tabulation import Address
from tests.unit.nginx_words import Directive, read
from tests.unit.test_decision_properties import options_of, table_of
from tests.unit.test_tabulate import ROWS

CONFIG = Path(__file__).parents[2] / "config"
SETTINGS = Settings((Listen("127.0.0.1", 5000),), directory="/run/it", resolvers=("192.0.2.53",))
MIRROR = """
[[registry]]
prefix = "quay.io"
location = "quay.io"
[[registry.mirror]]
location = "proxy.example.com/quay"
namespace-proxy = "quay.io"
"""
INSECURE = MIRROR + "insecure = true\n"
PATTERN = '[[registry]]\nprefix = "*.example.org"\n[[registry.mirror]]\nlocation = "proxy.example.com"\n'
AT_ADDRESS = MIRROR.replace("proxy.example.com", "192.0.2.7")
CAPITALS = MIRROR.replace("proxy.example.com/quay", "proxy.example.com/Quay")
SEVERAL = MIRROR + "".join(f'[[registry.mirror]]\nlocation = "m{at}.example.com"\n' for at in range(9))
NASTY = """a"; } evil 'b' \\" ${host} $1 # {\\\\ \n\t;"""


def exported(text: str, settings: Settings = SETTINGS, scheme: str = "https", **options: str) -> str:
    """The file for a configuration."""
    return export(tabulate(table_of(text, options_of(options)), scheme), settings).files["nginx.conf"]


def the_map(text: str, variable: str) -> dict[str, str]:
    """The rows of one map."""
    http = next(each for each in read(text) if each.words == ["http"])
    found = [each for each in http.block if each.words[0] == "map" and each.words[-1] == f"${variable}"]
    assert len(found) == 1
    return {each.words[0]: each.words[-1] for each in found[0].block}


def of_kind(directives: list[Directive], name: str) -> list[Directive]:
    """All directives of a name, at any depth."""
    found = [each for each in directives if each.words[0] == name]
    return found + [each for directive in directives for each in of_kind(directive.block, name)]


HAS = [
    ("registries.conf", r"upstream oci_https_proxy\.example\.com_443 \{\s+server \"proxy\.example\.com:443\""),
    (
        "registries.conf",
        r'"\S+" "verified https://oci_https_proxy\.example\.com_443 proxy\.example\.com 0 - - set ghcr\.io',
    ),
    ("registries.conf", r"verified-kept \$oci_own \$oci_addressed 0 - - drop - %"),
    (
        "docker-mirror.conf",
        r"verified http://oci_http_proxy\.example\.com_5000 proxy\.example\.com:5000 0 - - set quay\.io",
    ),
    ("listener-per-registry.conf", r"proxy\.example\.com 0 quay - set quay\.io quay\.io"),
    ("https-proxy.conf", r'"\*\.quay\.io" "h[0-9]+";'),
    ("https-proxy.conf", r"set \$oci_addressed_escaped \$oci_addressed_source"),
    ("transparent.conf", r'map "\$oci_name_source" \$oci_known \{\s+hostnames;\s+default "h1";'),
    ("transparent.conf", r'resolver "192\.0\.2\.53";'),
    ("dns-override.conf", r"absolute_redirect off;"),
    ("dns-override.conf", r"# r\.conf:[0-9]+"),
]


@pytest.mark.parametrize(("name", "part"), HAS)
def test_the_file_has_what_the_configuration_needs(name: str, part: str) -> None:
    assert re.search(part, exported((CONFIG / name).read_text()))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[2]} {row[3]}")
def test_every_configuration_is_read_and_the_same_each_time(row: tuple[str, dict[str, str], str, str]) -> None:
    text, options, *_ = row
    settings = replace(SETTINGS, allow_partial=True)
    first = exported(text, settings, **options)
    assert first == exported(text, settings, **options)
    names = [each.words[1] for each in of_kind(read(first), "upstream")]
    assert len(names) == len(set(names))
    for each in of_kind(read(first), "map"):
        keys = [row.words[0] for row in each.block]
        assert len(keys) == len(set(keys))


def test_what_is_looked_up_is_set_somewhere() -> None:
    text = exported(MIRROR + PATTERN + INSECURE.replace("quay", "ghcr"))
    http = next(each for each in read(text) if each.words == ["http"])
    known = {each.words[-1][1:] for each in of_kind(http.block, "map")} | {"oci_dollar"}
    known |= set(re.findall(r"\(\?<(\w+)>", text))
    assert set(re.findall(r"\$\{?(oci_\w+)", text)) <= known


def test_every_location_that_may_be_asked_for_is_there() -> None:
    text = exported(
        MIRROR + INSECURE.replace("quay", "ghcr") + SEVERAL.replace("quay", "big").replace("m8", "m7"),
        replace(SETTINGS, allow_partial=True),
    )
    there = {each.words[1] for each in of_kind(read(text), "location")}
    ways = {**the_map(text, "oci_common"), **the_map(text, "oci_listed")}
    for way in ways.values():
        hops = [hop.split()[0] for hop in way.split(" | ")] if " " in way and way[0] != "!" else []
        for number, mode in enumerate(hops, 1):
            behind = len(hops) - number
            ends = [""] if not behind else ["-once"] if behind == 1 and "attempt" in mode else ["-more", "-5xx"]
            assert {f"@oci-{number}-{mode}{end}" for end in ends} <= there


def test_an_upload_is_not_tried_twice_nor_short_of_time() -> None:
    text = exported(INSECURE)
    uploads = [each for each in of_kind(read(text), "location") if "-patient" in each.words[1]]
    assert uploads
    for each in uploads:
        assert not of_kind(each.block, "proxy_pass_request_body")
        assert of_kind(each.block, "proxy_read_timeout")


def test_credentials_stay_where_they_are_not_meant_to_go() -> None:
    for each in of_kind(read(exported(INSECURE)), "location"):
        if each.words[1].startswith("@oci-1") and "unavailable" not in each.words[1]:
            dropped = {header.words[1] for header in of_kind(each.block, "proxy_set_header") if header.words[2] == ""}
            assert ({"Authorization", "Cookie"} <= dropped) == ("-kept" not in each.words[1])
            assert "Proxy-Authorization" in dropped


@pytest.mark.parametrize("text", [NASTY, '"', "\\", "$", "${x}", "~^(", "default", "a\nb", "é"])
def test_a_text_is_one_word_whatever_is_in_it(text: str) -> None:
    assert read(f"a {quoted(text)};")[0].words == ["a", text]
    lines = "\n".join(Map("$a", "b", [Row(text, text, text)]).text(Sizes()))
    (block,) = read(f"{lines}\n")
    assert [each.words for each in block.block[1:]] in ([[text, text]], [["\\" + text, text]])
    assert "\n" not in comment(text)


@pytest.mark.parametrize("namespace", [NASTY, "a b&c", 'x"y', "$host", "%24", "a|b", "é"])
def test_a_namespace_stays_in_its_word(namespace: str) -> None:
    value = namespace.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    text = exported(MIRROR.replace('namespace-proxy = "quay.io"', f'namespace-proxy = "{value}"'))
    first = next(each for each in the_map(text, "oci_common").values() if "oci_https_proxy" in each)
    assert len(first.split(" | ")[0].split(" ")) == 9
    assert "$host" not in first


def test_paths_of_the_settings_stay_in_their_words() -> None:
    settings = replace(SETTINGS, certificate=NASTY, key=NASTY, authorities=NASTY, directory=NASTY)
    found = read(exported(MIRROR, settings))
    spelt = NASTY.replace("$", "${oci_dollar}")
    assert [each.words[1] for each in of_kind(found, "ssl_certificate")] == [spelt]
    # nginx takes no variables there: a dollar sign is one.
    assert [each.words[1] for each in of_kind(found, "proxy_ssl_trusted_certificate")] == [NASTY]
    assert [each.words[1] for each in of_kind(found, "proxy_temp_path")] == [f"{NASTY}/proxy_temp"]
    assert [each.words[1] for each in of_kind(found, "pid")] == [f"{NASTY}/nginx.pid"]


NOT_CARRIED = [
    (PATTERN, {"resolvers": ()}, "a request to the source registry of a pattern"),
    (PATTERN, {"resolvers": ()}, "what is not below /v2 at a host of a pattern"),
    (AT_ADDRESS, {}, "https at an IP address"),
    (CAPITALS, {}, "an unusual location or prefix"),
    (MIRROR.replace("/quay", "/-"), {}, "an unusual location or prefix"),
    (SEVERAL, {}, "more than 8 endpoints"),
    (MIRROR, {"destination": Address("http", "proxy.example.com", 80)}, "the destination"),
    (MIRROR.replace('namespace-proxy = "quay.io"', f'namespace-proxy = "{"a" * 3000}"'), {}, "names that long"),
]


@pytest.mark.parametrize(("text", "changed", "rule"), NOT_CARRIED)
def test_what_is_not_carried_is_told(text: str, changed: dict[str, object], rule: str) -> None:
    settings = replace(SETTINGS, **changed)  # type: ignore[arg-type]
    table = tabulate(table_of(text, options_of({})), "https")
    with pytest.raises(NotCarriedError) as told:
        export(table, settings)
    assert rule in {problem.rule for problem in told.value.problems}
    partial = export(table, replace(settings, allow_partial=True))
    assert partial.left_out == told.value.problems
    for problem in partial.left_out:
        assert f"# LEFT OUT: {problem}" in partial.files["nginx.conf"]


def test_what_was_not_to_be_asked_first_does_not_answer_instead() -> None:
    text = exported(PATTERN, replace(SETTINGS, resolvers=(), allow_partial=True))
    ways = the_map(text, "oci_common").values()
    assert all(" | " not in way for way in ways)
    assert any(way.startswith("!502 ") for way in the_map(text, "oci_listed").values())


def test_hosts_that_are_asked_last_are_looked_up_where_there_are_name_servers() -> None:
    with_servers, without = exported(MIRROR), exported(MIRROR, replace(SETTINGS, resolvers=()))
    names = [[each.words[1] for each in of_kind(read(text), "upstream")] for text in (with_servers, without)]
    assert names == [["oci_https_proxy.example.com_443"], ["oci_https_proxy.example.com_443", "oci_https_quay.io_443"]]
    assert the_map(with_servers, "oci_own")["quay.io"] == "https://quay.io:443"


@pytest.mark.parametrize(
    ("listen", "words"),
    [
        ((Listen("127.0.0.1", 80),), ["127.0.0.1:80"]),
        ((Listen("::1", 80), Listen("127.0.0.1", 81)), ["[::1]:80", "127.0.0.1:81"]),
        ((Listen("", 80),), ["*:80", "[::]:80"]),
    ],
)
def test_it_listens_where_it_is_told_to(listen: tuple[Listen, ...], words: list[str]) -> None:
    found = read(exported(MIRROR, replace(SETTINGS, listen=listen)))
    assert [each.words[1] for each in of_kind(found, "listen")] == words


def test_a_listener_with_a_certificate_speaks_tls() -> None:
    found = read(exported(MIRROR, replace(SETTINGS, certificate="/c.pem")))
    assert [each.words[2] for each in of_kind(found, "listen")] == ["ssl"]
    assert [each.words[1] for each in of_kind(found, "ssl_certificate_key")] == ["/c.pem"]


def test_the_hash_tables_have_room_for_what_is_in_them() -> None:
    many = "".join(
        f'[[registry]]\nprefix = "r{at}.example.com/{"a" * 200}"\nlocation = "m.example.com"\n' for at in range(1200)
    )
    sizes = {each.words[0]: int(each.words[1]) for each in of_kind(read(exported(many)), "map_hash_max_size")}
    assert sizes["map_hash_max_size"] > 4800
    bucket = of_kind(read(exported(many)), "map_hash_bucket_size")[0].words[1]
    assert bucket == "256"
