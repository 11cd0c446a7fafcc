"""HAProxy's files for a table: what stands in them, that no value ends its quotes, and what is not carried."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from oci_ns.export.contract import Exported, Listen, NotCarried, NotCarriedError, Settings
from oci_ns.export.haproxy.config import MAIN, UNAVAILABLE, export
from oci_ns.export.haproxy.servers import OWN_MAX
from oci_ns.export.haproxy.text import MapFile, NotWritableError, argument, inside_json, shown, word
from oci_ns.export.tabulate import tabulate
from oci_ns.export.tabulation import Address, Tabulation
from tests.unit.test_decision_properties import options_of, table_of
from tests.unit.test_routes import CONFIGS
from tests.unit.test_tabulate import VECTORS

CONFIG = Path(__file__).parents[2] / "config"
SETTINGS = Settings((Listen("127.0.0.1", 5000),), directory="/etc/ns inject", allow_partial=True)
TWO = """
[[registry]]
prefix = "quay.io"
location = "quay.io"
[[registry.mirror]]
location = "proxy.example.com/quay/cache"
namespace-proxy = "quay.io"
[[registry.mirror]]
location = "other.example.com:5000"
plain-http = true
[[registry]]
prefix = "*.example.org"
[[registry.mirror]]
location = "lax.example.com"
namespace-proxy = "*"
insecure = true
[[registry]]
prefix = "bad.example.net"
location = "bad.example.net"
blocked = true
"""


def tabulated(text: str, scheme: str = "https") -> Tabulation:
    return tabulate(table_of(text, options_of({})), scheme)


def exported(text: str, settings: Settings = SETTINGS) -> Exported:
    return export(tabulated(text), settings)


def rows(files: Exported, name: str) -> dict[str, str]:
    lines = [line.partition(" ") for line in files.files[f"{name}.map"].splitlines() if not line.startswith("#")]
    return {key: value for key, _, value in lines}


@pytest.mark.parametrize(
    "text",
    [*CONFIGS.values(), *VECTORS["configs"].values(), *(path.read_text() for path in sorted(CONFIG.glob("*.conf")))],
)
def test_every_key_that_a_file_names_is_in_the_next(text: str) -> None:
    files = exported(text)
    ways, steps = rows(files, "ways"), rows(files, "steps")
    for host in rows(files, "hosts").values():
        _, plain, other, _, backend = host.split(" ")
        assert {plain, other} <= rows(files, "roots").keys()
        assert f"backend {backend} from endpoints" in files.files[MAIN]
    for name in ("exactly", "below"):
        assert set(rows(files, name).values()) <= ways.keys()
    for row in ways.values():
        for way in row.split("|"):
            assert way == "-" or way.removeprefix("!") in rows(files, "refusals") or set(way.split(" ")) <= steps.keys()
    for row in steps.values():
        assert row.startswith("= ") or f"backend {row.split(' ')[0]} from endpoints" in files.files[MAIN]


def test_the_files_are_the_same_each_time() -> None:
    assert exported(TWO) == exported(TWO)


@pytest.mark.parametrize(
    "part",
    [
        "  bind 127.0.0.1:5000\n",
        "backend to-https-proxy.example.com:443 from endpoints\n",
        "sni str(proxy.example.com) verifyhost proxy.example.com",
        "  server at other.example.com:5000 init-addr libc,none\n",
        "  server tls lax.example.com:443 ssl verify none sni str(lax.example.com)",
        "  server plain lax.example.com:80 init-addr libc,none\n",
        "backend any-https from endpoints\n",
        "backend try2 from listening\n",
        "# r.conf:",
        "http-request return status 421",
    ],
)
def test_the_configuration_has(part: str) -> None:
    assert part in exported(TWO).files[MAIN]


def test_the_steps_of_a_pull_stand_in_their_order() -> None:
    files = exported(TWO)
    scopes = rows(files, "hosts")["quay.io"].split(" ")[1]
    way = rows(files, "ways")[rows(files, "roots")[scopes].split(" ")[1]].split("|")[1]
    assert [rows(files, "steps")[step] for step in way.split(" ")] == [
        "to-https-proxy.example.com:443 proxy.example.com 0 quay/cache - S quay.io -",
        "to-http-other.example.com:5000 other.example.com:5000 0 - - D - -",
        "= = 0 - - D - k",
    ]


def test_a_refusal_is_a_document_with_its_reason() -> None:
    (refusal,) = [row for row in rows(exported(TWO), "refusals").values() if "bad.example.net" in row]
    status, document = refusal.split("|")
    assert status == "403"
    assert json.loads(document)["errors"][0]["code"] == "DENIED"


def test_a_host_of_no_entry_goes_to_the_destination() -> None:
    files = exported(TWO, replace(SETTINGS, destination=Address("https", "d.example.com", 5001)))
    assert "use_backend to-https-d.example.com:5001 unless known" in files.files[MAIN]
    assert "status 421" not in files.files[MAIN]


def test_a_listener_speaks_tls_with_a_certificate() -> None:
    files = exported(TWO, replace(SETTINGS, listen=(Listen("", 443), Listen("::1", 443)), certificate="/a b.pem"))
    assert r"bind :::443 v4v6 ssl crt /a\ b.pem alpn h2,http/1.1" in files.files[MAIN]
    assert r"bind [::1]:443 ssl crt /a\ b.pem" in files.files[MAIN]


def test_names_are_looked_up_at_the_resolvers_that_are_given() -> None:
    files = exported(TWO, replace(SETTINGS, resolvers=("192.0.2.1", "[2001:db8::1]:5353")))
    assert "  nameserver ns0 192.0.2.1:53\n  nameserver ns1 [2001:db8::1]:5353\n" in files.files[MAIN]
    assert "server at quay.io:443 ssl verify required" in files.files[MAIN]
    assert "init-addr libc,none resolvers names" in files.files[MAIN]


def test_of_many_hosts_only_endpoints_have_a_backend() -> None:
    many = (f'[[registry]]\nlocation = "r{n}.test"\n[[registry.mirror]]\nlocation = "m.test"\n' for n in range(OWN_MAX))
    main = exported("\n".join(many)).files[MAIN]
    assert "backend to-https-m.test:443 from endpoints" in main
    assert "r7.test" not in main
    assert "backend any-https from endpoints" in main


def test_what_is_answered_where_nobody_is_connected_to_has_its_length() -> None:
    head, _, body = exported(TWO).files[UNAVAILABLE].partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 502 ")
    assert f"Content-Length: {len(body)}" in head


# -- what is not carried ----------------------------------------------------------------------------------------------

ADDRESS = '[[registry]]\nlocation = "quay.io"\n[[registry.mirror]]\nlocation = "192.0.2.7:5000"\n'


def test_a_certificate_for_an_address_is_not_carried() -> None:
    with pytest.raises(NotCarriedError, match=r"r\.conf:3: TLS at 192\.0\.2\.7: HAProxy verifies names"):
        exported(ADDRESS, replace(SETTINGS, allow_partial=False))
    files = exported(ADDRESS)
    assert files.left_out == (
        NotCarried("TLS at 192.0.2.7", "HAProxy verifies names in certificates, not addresses", "r.conf:3"),
    )
    assert "# left out: r.conf:3: TLS at 192.0.2.7" in files.files[MAIN]


@pytest.mark.parametrize(("flag", "scheme"), [("insecure", "https"), ("plain-http", "http")])
def test_an_address_whose_certificate_is_not_verified_is_carried(flag: str, scheme: str) -> None:
    table = tabulated(f"{ADDRESS}{flag} = true\n", scheme)
    assert export(table, replace(SETTINGS, allow_partial=False)).left_out == ()


def test_its_own_sockets_are_not_those_of_another_process() -> None:
    found = [
        set(re.findall(r"abns@(\S+)", exported(TWO, replace(SETTINGS, listen=(Listen(*each),))).files[MAIN]))
        for each in (("", 80), ("", 81), ("127.0.0.1", 80), ("127.0.0.2", 80), ("::1", 80), ("::1:1", 80))
    ]
    assert all(found)
    assert len(set().union(*found)) == sum(map(len, found))


def test_a_location_that_is_spelt_as_nothing_is_not_carried() -> None:
    text = '[[registry]]\nprefix = "quay.io"\nlocation = "proxy.example.com/-"\n'
    with pytest.raises(NotCarriedError, match=r"r\.conf:1: an unusual location: - stands for nothing"):
        export(tabulated(text), replace(SETTINGS, allow_partial=False))


def test_a_key_has_to_stand_beside_its_certificate() -> None:
    beside = replace(SETTINGS, certificate="/c.pem", key="/c.pem.key")
    assert "ssl crt /c.pem " in exported(TWO, beside).files[MAIN]
    with pytest.raises(NotCarriedError, match=r"reads it from /c\.pem\.key, or from"):
        exported(TWO, replace(beside, key="/k.pem"))


@pytest.mark.parametrize("directory", ["a'b", 'a"b', "a\\b", "a\nb", "a$b"])
def test_a_directory_that_would_end_its_quotes_is_refused(directory: str) -> None:
    with pytest.raises(ValueError, match="has a"):
        exported(TWO, replace(SETTINGS, directory=directory))


# -- the syntax -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "written"),
    [("a", "a"), ("a b", r"a\ b"), ("'\"", r"\'\""), ("#x", r"\#x"), ("\\", r"\\"), ("$HOME", r"\$HOME")],
)
def test_a_text_is_one_word(text: str, written: str) -> None:
    assert word(text) == written


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\x00", "a\tb"])
def test_a_control_character_has_no_form(text: str) -> None:
    with pytest.raises(NotWritableError):
        word(text)


def test_an_argument_may_have_what_separates_arguments() -> None:
    assert argument("/a b,c(d)") == '"/a b,c(d)"'


def test_a_comment_stays_on_its_line() -> None:
    assert shown("a\nglobal\r\x00b") == "a?global??b"


@pytest.mark.parametrize("text", ['a"b', "a|b", "a\\b", "a\nb", "é"])
def test_a_text_inside_a_document_is_read_as_it_is(text: str) -> None:
    inside = inside_json(text)
    assert "|" not in inside
    assert json.loads(f'"{inside}"') == text


@pytest.mark.parametrize(
    ("key", "value"),
    [("", "x"), ("a b", "x"), ("#a", "x"), ("a\nb", "x"), ("a", "x\ny"), ("a", ""), ("a", "x" * 20_000)],
)
def test_what_a_map_cannot_have_is_refused(key: str, value: str) -> None:
    with pytest.raises(NotWritableError):
        MapFile("m.map", "about").add(key, value)


def test_a_map_names_the_entry_once() -> None:
    file = MapFile("m.map", "about")
    for key in "ab":
        file.add(key, "x", "r.conf:1")
    assert file.text() == "# about\n# r.conf:1\na x\nb x\n"
