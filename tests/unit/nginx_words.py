"""Reads nginx's configuration as `ngx_conf_file.c` does: words, and the blocks that they are in."""

from __future__ import annotations

from dataclasses import dataclass, field

_ESCAPED = {"t": "\t", "r": "\r", "n": "\n", '"': '"', "'": "'", "\\": "\\"}


@dataclass
class Directive:
    """A directive: its words, and the directives in its block."""

    words: list[str]
    block: list[Directive] = field(default_factory=list)


def read(text: str) -> list[Directive]:
    """The directives of a configuration. Raises ValueError for what nginx would not read."""
    top: list[Directive] = []
    blocks = [top]
    words: list[str] = []
    at = 0
    while at < len(text):
        sign = text[at]
        if sign.isspace():
            at += 1
        elif sign == "#":
            at = text.index("\n", at)
        elif sign in ";{":
            if not words:
                raise ValueError(f"nothing before {sign} at {at}")
            blocks[-1].append(Directive(words))
            if sign == "{":
                blocks.append(blocks[-1][-1].block)
            words, at = [], at + 1
        elif sign == "}":
            if words or len(blocks) == 1:
                raise ValueError(f"a block ends at {at} that does not begin")
            blocks.pop()
            at += 1
        else:
            word, at = _word(text, at)
            words.append(word)
    if words or len(blocks) > 1:
        raise ValueError("the last directive does not end")
    return top


def _word(text: str, at: int) -> tuple[str, int]:
    quote = text[at] if text[at] in "\"'" else ""
    at += len(quote)
    word = ""
    while True:
        sign = text[at]
        if sign == "\\":
            word += _ESCAPED.get(text[at + 1], text[at : at + 2])
            at += 2
        elif sign == quote:
            if text[at + 1] not in " \n\t;{":
                raise ValueError(f"no blank behind a quote at {at}")
            return word, at + 1
        elif not quote and sign in " \t\n;{":
            return word, at
        else:
            word += sign
            at += 1
