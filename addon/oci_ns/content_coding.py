"""How much a body becomes when its content coding is undone: as much as somebody wants to see, and no more.

A few kilobytes can stand for gigabytes. Source: RFC 9110, section 8.4.1.
"""

from __future__ import annotations

import zlib

_GZIP = 16 + zlib.MAX_WBITS
_WINDOWS = {
    "gzip": (_GZIP,),
    "x-gzip": (_GZIP,),
    # Some send it without the zlib format that it should have.
    "deflate": (zlib.MAX_WBITS, -zlib.MAX_WBITS),
}


def decoded(raw: bytes, coding: str, most: int) -> bytes | None:
    """The content of a body that is encoded as its Content-Encoding says.

    None where it has more than `most` bytes, or is encoded as this does not know, or not as it says.
    """
    name = coding.strip().lower()
    if name in ("", "identity"):
        return raw if len(raw) <= most else None
    for window in _WINDOWS.get(name, ()):
        decompressor = zlib.decompressobj(window)
        try:
            content = decompressor.decompress(raw, most + 1)
        except zlib.error:
            continue
        return content if decompressor.eof and len(content) <= most else None
    return None
