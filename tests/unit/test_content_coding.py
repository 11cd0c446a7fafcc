"""Content codings: undone as far as somebody wants to see, and not further."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest

from oci_ns.content_coding import decoded

CONTENT = b'{"schemaVersion": 2}'
MOST = 1000


def zipped(content: bytes) -> bytes:
    # The same in every process.
    return gzip.compress(content, mtime=0)


GZIP = zipped(CONTENT)
_raw = zlib.compressobj(wbits=-zlib.MAX_WBITS)
RAW_DEFLATE = _raw.compress(CONTENT) + _raw.flush()


@pytest.mark.parametrize(
    ("coding", "raw", "content"),
    [
        ("", CONTENT, CONTENT),
        ("identity", CONTENT, CONTENT),
        ("gzip", GZIP, CONTENT),
        (" GZip ", GZIP, CONTENT),
        ("x-gzip", GZIP, CONTENT),
        ("deflate", zlib.compress(CONTENT), CONTENT),
        ("deflate", RAW_DEFLATE, CONTENT),
        ("gzip", zipped(b"x" * MOST), b"x" * MOST),
        ("", b"x" * MOST, b"x" * MOST),
        # More than anybody wants to see.
        ("gzip", zipped(b"x" * (MOST + 1)), None),
        ("", b"x" * (MOST + 1), None),
        # Not as it says, and not to its end.
        ("gzip", CONTENT, None),
        ("deflate", b"\xff" + CONTENT, None),
        ("gzip", GZIP[:-9], None),
        ("gzip", b"", None),
        # What cannot be limited, and what is no coding.
        ("br", b"\x0b\x02\x80abc\x03", None),
        ("gzip, gzip", zipped(GZIP), None),
        ("gzip, identity", GZIP, None),
    ],
)
def test_a_body_is_what_it_stands_for(coding: str, raw: bytes, content: bytes | None) -> None:
    assert decoded(raw, coding, MOST) == content


def test_a_few_kilobytes_that_stand_for_a_hundred_megabytes_take_no_memory() -> None:
    raw = zipped(b"\0" * 100_000_000)
    tracemalloc.start()
    try:
        assert decoded(raw, "gzip", MOST) is None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000
