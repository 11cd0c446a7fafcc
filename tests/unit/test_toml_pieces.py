"""A document parsed in pieces says what it says as a whole, wherever it is cut, and so do its errors."""

from __future__ import annotations

from typing import Any

import pytest
import tomli

from oci_ns import toml_pieces
from oci_ns.toml_pieces import ARRAY, NotInPiecesError, TomlSyntaxError, parse_pieces, parse_whole

TABLE = '[[registry]]\nlocation = "a.com"\n'

DOCUMENTS = {
    "empty": "",
    "a comment": "# [[registry]]\n",
    "a value of the array's name": "registry = 1\n",
    "tables in a value": "registry = [{ a = 1 }]\n",
    "no array": 'a = 1\n[b]\nc = "d"\n',
    "only the array": TABLE * 5,
    "with mirrors": (TABLE + '[[registry.mirror]]\nlocation = "b.com"\n' * 2) * 3,
    "values before": 'unqualified-search-registries = ["a.com"]\n[aliases]\na = "b.com/a"\n' + TABLE * 3,
    "a table behind": TABLE * 3 + '[aliases]\na = "b.com/a"\n',
    "a table between": TABLE + '[aliases]\na = "b.com/a"\n' + TABLE * 2,
    "tables of one table here and there": f"{TABLE}[x.y]\na = 1\n{TABLE}[x.z]\na = 2\n{TABLE}",
    "an array here and there": f"{TABLE}[[x]]\na = 1\n{TABLE}[[x]]\na = 2\n{TABLE}",
    "a header that is right only behind another": f"[[x]]\n{TABLE}[x.y]\n[[x]]\n{TABLE}",
    "a header in a string": f'{TABLE}a = """\n{TABLE}"""\n{TABLE}',
    "a header in a literal string": f"{TABLE}a = '''\n{TABLE}'''\n{TABLE}",
    "a header in a comment": f"{TABLE}# [[registry]]\n{TABLE}",
    "what looks like a header in an array": f"{TABLE}a = [\n[1],\n[[2]],\n]\n{TABLE}",
    "the array in another spelling": f'[[ registry ]]\na = 1\n{TABLE}[["registry"]]\nb = 2\n{TABLE}  [[registry]]\n',
    "lines that end as in DOS": (TABLE * 3).replace("\n", "\r\n"),
    "no end of the last line": (TABLE * 3)[:-1],
    "a header and no more": TABLE + "[[registry]]",
    "a table of the array's table": f"{TABLE}[registry.x]\na = 1\n{TABLE}[registry.x]\na = 2\n",
}

BROKEN = {
    "the array is a value": f"registry = [1]\n{TABLE * 2}",
    "the array is a string": f'registry = "x"\n{TABLE * 2}',
    "the array is a table": f"[registry]\na = 1\n{TABLE * 2}",
    "the array is a dotted table": f"registry.x = 1\n{TABLE * 2}",
    "the array is a value of tables": f"registry = [{{ a = 1 }}]\n{TABLE * 2}",
    "the array is a value behind a table": f"{TABLE}registry = 1\nregistry = 2\n{TABLE}",
    "a table twice": f"{TABLE}[aliases]\na = 1\n{TABLE}[aliases]\nb = 2\n{TABLE}",
    "a value twice": f"{TABLE}b = 1\nb = 2\n{TABLE * 2}",
    "an error in the first line": "x\n" + TABLE * 3,
    "an error in the middle": f"{TABLE * 2}x\n{TABLE * 2}",
    "an error at the end": f"{TABLE * 3}x",
    "an error behind an empty first line": f"\n{TABLE * 2}x\n",
    "a string without an end": f'{TABLE * 2}a = """\n{TABLE * 2}',
    "an array without an end": f"{TABLE * 2}a = [\n",
    "a header without an end": f"{TABLE * 2}[[registry]\n{TABLE}",
    "an error whose words look like its place": f'{TABLE}a = {{ "x (at y" = 1, "x (at y" = 2 }}\n',
    "the array as a table": f"{TABLE * 2}[registry]\n{TABLE}",
}


def load_toml(text: str) -> dict[str, Any]:
    document: dict[str, Any] = {}
    try:
        for piece in parse_pieces(text):
            more = piece.values.pop(ARRAY, None)
            document |= piece.values
            if more is not None:
                document[ARRAY] = document[ARRAY] + more if ARRAY in document else more
    except NotInPiecesError:
        return parse_whole(text)
    return document


@pytest.fixture(params=[1, 20, 50, 10**6])
def piece_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    size: int = request.param
    monkeypatch.setattr(toml_pieces, "PIECE_SIZE", size)
    return size


@pytest.mark.parametrize("what", DOCUMENTS)
def test_the_pieces_say_what_the_whole_says(what: str, piece_size: int) -> None:
    assert piece_size
    text = DOCUMENTS[what]
    assert load_toml(text) == tomli.loads(text)


@pytest.mark.parametrize("what", BROKEN)
def test_the_pieces_are_as_wrong_as_the_whole_and_at_the_same_line(what: str, piece_size: int) -> None:
    text = BROKEN[what]
    with pytest.raises(tomli.TOMLDecodeError) as whole:
        tomli.loads(text)
    with pytest.raises(TomlSyntaxError) as pieces:
        load_toml(text)
    message, _, position = str(whole.value).rpartition(" (at ")
    at_line = position.removeprefix("line ").partition(",")[0]
    assert str(pieces.value) == message
    assert pieces.value.line == (int(at_line) if at_line.isdigit() else text.count("\n") + 1), piece_size


def test_a_document_nested_too_deeply_is_an_error(piece_size: int) -> None:
    assert piece_size
    with pytest.raises(TomlSyntaxError):
        load_toml(TABLE * 3 + "a = " + "[" * 100_000)


def test_a_long_document_is_parsed_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[int] = []

    class Parser:
        TOMLDecodeError = tomli.TOMLDecodeError

        @staticmethod
        def loads(text: str) -> dict[str, object]:
            parsed.append(len(text))
            return tomli.loads(text)

    monkeypatch.setattr(toml_pieces, "PIECE_SIZE", 1000)
    monkeypatch.setattr(toml_pieces, "tomli", Parser)
    assert len(load_toml(TABLE * 1000)["registry"]) == 1000
    assert sum(parsed) == len(TABLE * 1000)
    assert max(parsed) < 1000 + 2 * len(TABLE)
