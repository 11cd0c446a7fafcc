"""The limit for heads, with the bytes as they come, and mitmproxy's buffer that they come into."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest
from h11._receivebuffer import ReceiveBuffer
from mitmproxy.proxy.events import DataReceived
from mitmproxy.test import tflow

from oci_ns.http1_heads import LINES_MAX, Head

SIZE_MAX = 2**17
PIECE = 2**16
LARGE, LONG = "is larger than 128 KiB", f"has more than {LINES_MAX} lines"
LINE = b"GET / HTTP/1.1\r\n"
FIELD = b"X: y\r\n"
HEAD = LINE + FIELD + b"\r\n"


def read(pieces: Iterable[bytes]) -> tuple[str, list[bytes], int]:
    """What was too much, or the lines of the head, once there is either; and how much was kept at most."""
    head, buffer, most = Head(SIZE_MAX), ReceiveBuffer(), 0
    connection = tflow.tclient_conn()
    for piece in pieces:
        buffer += piece
        most = max(most, len(buffer))
        excess = head.excess(DataReceived(connection, piece), buffer)
        lines = (not excess and buffer.maybe_extract_lines()) or []
        if excess or lines:
            return excess, [bytes(line) for line in lines], most
    return "", [], most


def trickled(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


TOO_MUCH = {
    "line feeds": ([b"\n" * PIECE] * 64, LONG),
    "empty lines": ([b"\r\n" * (PIECE // 2)] * 64, LONG),
    "empty lines one by one": ([b"\r\n"] * 2 * LINES_MAX, LONG),
    "empty lines in two pieces each": ([b"\r", b"\n"] * 2 * LINES_MAX, LONG),
    "carriage returns": ([b"\r" * PIECE] * 64, LARGE),
    "empty lines and then a field": ([b"\r\n" * 1000 + LINE + b"X: ", *[b"x" * PIECE] * 64], LARGE),
    "empty lines and then many fields": ([b"\r\n" * 1000, LINE + FIELD * 1001], LONG),
    "empty lines and then many fields with an end": ([b"\n" * 1000, LINE + FIELD * 1001 + b"\r\n"], LONG),
    "many fields": ([LINE + FIELD * 3000], LONG),
    "many fields one by one": ([LINE, *[FIELD] * 3000], LONG),
    "a field": ([LINE + b"X: ", *[b"x" * PIECE] * 64], LARGE),
}


@pytest.mark.parametrize("what", TOO_MUCH)
def test_a_head_without_end_is_too_much_as_soon_as_it_is_above_the_limit(what: str) -> None:
    pieces, excess = TOO_MUCH[what]
    told, _, most = read(pieces)
    assert told == excess
    assert most <= SIZE_MAX + PIECE


HEADS = {
    "in one piece": [HEAD],
    "with a body of many lines": [HEAD + b"\n" * PIECE],
    "with a large body": [HEAD + b"x" * 2 * SIZE_MAX],
    "behind an empty line": [b"\r\n" + HEAD],
    "behind some empty lines": [b"\n\r\n\n" + HEAD],
    "behind empty lines, with a body of many lines": [b"\r\n" * 1000, HEAD + b"\n" * PIECE],
    "behind an empty line, in pieces": trickled(b"\r\n" + HEAD),
}


@pytest.mark.parametrize("what", HEADS)
def test_a_head_is_read_as_soon_as_it_is_there(what: str) -> None:
    _, lines, _ = read(HEADS[what])
    assert lines == [LINE.strip(), FIELD.strip()]


def test_what_a_head_costs_that_trickles_in_grows_with_its_length() -> None:
    begin = time.process_time()
    assert read(trickled(b"\n" * (LINES_MAX - 5) + LINE + b"X: " + b"x" * SIZE_MAX))[0] == LARGE
    # A search from the beginning with every byte takes twice as long.
    assert time.process_time() - begin < 5.0
