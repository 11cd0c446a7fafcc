"""Tables that are read without the TOML parser say the same as by way of it: registries, lines and errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from oci_ns import conf_document, toml_pieces
from oci_ns.conf_document import Document, read_document
from oci_ns.plain_tables import read_plain_tables
from oci_ns.problems import ConfigurationError
from oci_ns.registries_conf import Registry
from oci_ns.registry_rows import Rows
from oci_ns.toml_pieces import NotInPiecesError, TomlSyntaxError

CONF = Path("r.conf")
PLAIN = """[[registry]]
prefix = "a.com/x"
location="b.com:5000"   # a comment
	namespace-proxy	=	"c.com"

insecure = true
plain-http = false
forward-credentials = true
blocked = true
mirror-by-digest-only = true
# a comment
  [[registry.mirror]] # another
  location = "d.com"
  namespace-proxy = "*"
  insecure = true
  plain-http = true
  forward-credentials = true
[[registry.mirror]]
location = "a.com/x"
[[registry]]
location = "ü.com"
[[registry.mirror]]
location = "e.com"
pull-from-mirror = "tag-only"
"""
ODD = {
    "a key twice": 'location = "a.com"\nlocation = "a.com"\n',
    "an escape": 'location = "a\\u002ecom"\n',
    "a literal string": "location = 'a.com'\n",
    "a long string": 'location = """a.com"""\n',
    "a quoted key": '"location" = "a.com"\n',
    "an unknown key": 'location = "a.com"\nother = 1\n',
    "a key in another case": 'Location = "a.com"\n',
    "a value of another type": 'location = "a.com"\ninsecure = "true"\n',
    "a scheme": 'location = "https://a.com"\n',
    "a slash at the end": 'location = "a.com/"\n',
    "a wildcard": 'prefix = "*.a.com"\nlocation = "a.com"\n',
    "no location": "insecure = true\n",
    "an empty location": 'location = ""\n',
    "a key of a mirror": 'location = "a.com"\npull-from-mirror = "all"\n',
    "a mirror without a location": 'location = "a.com"\n[[registry.mirror]]\ninsecure = true\n',
    "a mirror with a key of a registry": 'location = "a.com"\n[[registry.mirror]]\nlocation = "b"\nblocked = true\n',
    "both ways to choose mirrors": (
        'location = "a.com"\nmirror-by-digest-only = true\n'
        '[[registry.mirror]]\nlocation = "b.com"\npull-from-mirror = "all"\n'
    ),
    "a control character": 'location = "a.com" # \x01\n',
    "a carriage return alone": 'location = "a.com"\r',
    "another table": 'location = "a.com"\n[other]\na = 1\n',
    "a header in brackets of another spelling": 'location = "a.com"\n[[ registry.mirror ]]\nlocation = "b.com"\n',
    "no end of the last line": 'location = "a.com"',
    "something behind the value": 'location = "a.com" x\n',
    "something behind the header": 'location = "a.com"\n[[registry.mirror]] x\nlocation = "b.com"\n',
}


def without_plain(_text: str, at: int, *_: object) -> int:
    return at


def told(document: Document) -> list[object]:
    """All that a document says, lines included."""
    registries = [(*said(registry), registry.path, registry.table) for registry in document.registries.values()]
    return [list(document.registries), registries, document.unqualified_search_registries, document.warnings]


def said(registry: Registry) -> list[object]:
    lines = [endpoint.line for endpoint in registry.endpoints]
    return [registry, lines]


def outcome(text: str) -> object:
    """What a text says, or what is wrong with it."""
    try:
        return told(read_document(CONF, text, Rows()))
    except TomlSyntaxError as error:
        return str(error), error.line
    except ConfigurationError as error:
        return error.problems


def outcomes(text: str) -> list[Any]:
    """With the plain tables read as such, and by the parser alone."""
    found = [outcome(text)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(conf_document, "read_plain_tables", without_plain)
        found.append(outcome(text))
    return found


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_plain_tables_are_read_to_the_end(ends: str) -> None:
    text = PLAIN.replace("\n", ends)
    rows = Rows()
    assert read_plain_tables(text, 0, 1, rows, rows.file(CONF), 0) == len(text)
    assert len(rows) == 2
    plain, parsed = outcomes(text)
    assert plain == parsed


@pytest.mark.parametrize("what", ODD)
def test_an_odd_table_is_left_to_the_parser_and_those_around_it_are_not(what: str) -> None:
    text = f"{PLAIN}[[registry]]\n{ODD[what]}"
    rows = Rows()
    assert read_plain_tables(text, 0, 1, rows, rows.file(CONF), 0) == len(PLAIN)
    assert len(rows) == 2
    for whole in (text, text + PLAIN, PLAIN + text + PLAIN, text + "\n" + text):
        plain, parsed = outcomes(whole)
        assert plain == parsed


hosts = st.sampled_from(["a.com", "b.com:5000", "*.c.com", "*", "https://d.com", "e.com/", "", "é", "f.com/x:1"])
texts = st.one_of(
    hosts.map('"{}"'.format), st.sampled_from(["'a.com'", '"a\\tb"', '"\\q"', '"""a"""', "true", "1", '"a'])
)
flags = st.sampled_from(["true", "false", "True", '"true"', "1"])
spaces = st.sampled_from(["", " ", "\t", "  "])
ends = st.sampled_from(
    ["\n", "\n", "\n", "\r\n", " # a\n", "\t#\n", "\n\n", " x\n", "\r", "#\x7f\n", "# [[registry]]\n"]
)
keys = st.one_of(
    st.tuples(st.sampled_from(["location", "prefix", "namespace-proxy", "Location", '"location"', "x"]), texts),
    st.tuples(st.sampled_from(["insecure", "blocked", "mirror-by-digest-only", "plain-http"]), flags),
    st.tuples(st.just("pull-from-mirror"), st.sampled_from(['"all"', '"digest-only"', '"x"'])),
)
good_keys = st.sampled_from(['location = "a.com"', 'prefix = "b.com"', 'namespace-proxy = "*"', "insecure = true"])
lines = st.one_of(
    good_keys,
    st.builds("{1}{0[0]}{2}={3}{0[1]}".format, keys, spaces, spaces, spaces),
    st.sampled_from(
        ["", "# a", "[[registry.mirror]]", " [[registry.mirror]]", "[[registry ]]", "[aliases]", "[x.y]", "[[x]]"]
    ),
)
line_texts = st.builds("{}{}".format, lines, ends)
tables = st.one_of(
    st.sampled_from(
        [
            '[[registry]]\nlocation = "a.com"\n',
            '[[registry]]\nlocation = "b.com"\n[[registry.mirror]]\nlocation = "p.com/b"\nnamespace-proxy = "b.com"\n',
            '[[registry]]\nprefix = "c.com"\nlocation = "c.com"\ninsecure = true\n',
        ]
    ),
    st.lists(line_texts, min_size=1, max_size=5).map(lambda found: "[[registry]]\n" + "".join(found)),
)
heads = st.sampled_from(["", 'unqualified-search-registries = ["a.com"]\n', "registry = []\n", "[aliases]\n", "# a\n"])
documents = st.builds("{}{}".format, heads, st.lists(tables, max_size=6).map("".join))


@settings(max_examples=600, deadline=None, derandomize=True)
@given(documents)
def test_any_text_says_the_same_with_and_without_the_parser(text: str) -> None:
    plain, parsed = outcomes(text)
    assert plain == parsed


@settings(max_examples=600, deadline=None, derandomize=True)
@given(documents)
def test_what_is_plain_is_what_the_parser_says(text: str) -> None:
    start = text.find("[[registry]]")
    rows = Rows()
    end = read_plain_tables(text, start, 1, rows, rows.file(CONF), 0) if start >= 0 else 0
    if end > start >= 0:
        parsed = tomli.loads(text[start:end])["registry"]
        assert [location for table in parsed for location in locations(table)] == rows.locations
        assert [table.get("prefix") or table["location"] for table in parsed] == rows.prefixes


def locations(table: dict[str, Any]) -> list[str]:
    return [endpoint["location"] for endpoint in (*table.get("mirror", ()), table)]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(documents)
def test_a_text_in_pieces_says_what_it_says_at_once(text: str) -> None:
    def at_once(*_: object) -> None:
        raise NotInPiecesError

    pieces = outcome(text)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(conf_document, "parse_pieces", at_once)
        whole = outcome(text)
    if isinstance(whole, list) and isinstance(pieces, list):
        assert [pieces[0], pieces[2]] == [whole[0], whole[2]]
        assert [registry for registry, *_ in pieces[1]] == [registry for registry, *_ in whole[1]]
    else:
        assert type(pieces) is type(whole)


def test_odd_tables_are_parsed_in_pieces_that_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[int] = []

    class Parser:
        TOMLDecodeError = tomli.TOMLDecodeError

        @staticmethod
        def loads(text: str) -> dict[str, object]:
            parsed.append(text.count("[[registry]]"))
            return tomli.loads(text)

    monkeypatch.setattr(toml_pieces, "tomli", Parser)
    odd = "".join(f"[[registry]]\nlocation = 'a{number:02}.com'\n" for number in range(7))
    document = read_document(CONF, odd + PLAIN + odd.replace("'a", "'b"), Rows())
    assert len(document.registries) == 7 + 2 + 7
    assert parsed == [1, 2, 4, 1, 2, 4]
