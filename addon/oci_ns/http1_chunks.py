"""What mitmproxy does not know of a chunked HTTP/1 body: trailers, and where a chunk has to end.

By itself mitmproxy fails at trailers, and with some versions of h11 takes any two bytes for the end of a chunk.
"""

from __future__ import annotations

from typing import Any

import h11
from h11._readers import ChunkedReader
from mitmproxy.proxy.layers.http import _http1

_END_OF_CHUNK = b"\r\n"


class Chunks(ChunkedReader):
    """Reads a chunked body. Trailers are discarded, as a proxy may (RFC 9110, section 6.5.1)."""

    def __call__(self, buffer: Any) -> Any:
        """The next part of the body, the end of it, or None where more is needed."""
        left: Any = self._bytes_to_discard
        # h11 before 0.16 takes any two bytes for the end of a chunk, which others may read as the next one's beginning:
        # it has their number here, and since then itself.
        end = left if isinstance(left, bytes) else _END_OF_CHUNK[-left:] if left else b""
        if not end.startswith(bytes(buffer._data[: len(end)])):
            raise h11.RemoteProtocolError("a chunk does not end where its size says")
        event = super().__call__(buffer)
        return h11.EndOfMessage() if isinstance(event, h11.EndOfMessage) else event


def install() -> None:
    """Have all chunks from now on, of requests and of answers, read in this way."""
    _http1.ChunkedReader = Chunks  # type: ignore[attr-defined]
