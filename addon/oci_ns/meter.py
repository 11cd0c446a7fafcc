"""A body that is passed on as it comes: how long it was, what its digest is, and its text where it is a short document.

Knows bytes; nothing of whose they are.
"""

from __future__ import annotations

import hashlib

ALGORITHMS = {"sha256": hashlib.sha256, "sha384": hashlib.sha384, "sha512": hashlib.sha512}
"""Those of digests that can be made here (image-spec, "Registered algorithms", and what lies between)."""

DOCUMENT_MAX = 256 * 1024
"""In bytes: a JSON document up to this long (an image's configuration, say) is kept, so that it can be read."""


class Meter:
    """Sees the chunks of one body. Called with each (b"" at the end), it returns the same."""

    def __init__(self, algorithm: str = "") -> None:
        """`algorithm` is that of the digest to make; none is made where it is not one of ALGORITHMS."""
        self.length = 0
        self._hash = ALGORITHMS[algorithm]() if algorithm in ALGORITHMS else None
        self._algorithm = algorithm
        self._kept: list[bytes] | None = []

    def __call__(self, chunk: bytes) -> bytes:
        """See the next chunk."""
        if self._kept is not None:
            self._keep(chunk)
        self.length += len(chunk)
        if self._hash is not None:
            self._hash.update(chunk)
        return chunk

    def _keep(self, chunk: bytes) -> None:
        begins_otherwise = self.length == 0 and chunk and not chunk.startswith(b"{")
        if begins_otherwise or self.length + len(chunk) > DOCUMENT_MAX or self._kept is None:
            self._kept = None
        else:
            self._kept.append(chunk)

    @property
    def digest(self) -> str | None:
        """The digest of what was seen, `algorithm:hex`; None where none was to be made."""
        return f"{self._algorithm}:{self._hash.hexdigest()}" if self._hash is not None else None

    @property
    def document(self) -> bytes | None:
        """What was seen, where it begins as a JSON object and is not longer than DOCUMENT_MAX."""
        return b"".join(self._kept) if self._kept and self.length else None


def digest_of(body: bytes, like: str) -> str | None:
    """The digest of a whole body by the algorithm of the digest `like`; None where that cannot be made here."""
    algorithm = like.partition(":")[0]
    return f"{algorithm}:{ALGORITHMS[algorithm](body).hexdigest()}" if algorithm in ALGORITHMS else None
