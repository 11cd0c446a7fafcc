"""The actors that write: blobs in chunks and in one piece, read back from the registry itself; and uploads given up."""

from __future__ import annotations

import hashlib
import shutil
import time
from typing import Final
from urllib.parse import urlsplit

from lab.registries import Registry

from .actor import Actor
from .ledger import Ledger
from .talk import ERRORS, Client, UnexpectedAnswer, close_somehow

UPLOADS: Final = "soak/uploads"
ABANDONED: Final = "soak/abandoned"
_SIZES: Final = (1, 4_000, 300_000, 1_500_000)
_ABANDONED_SIZE: Final = 400_000
_STORAGE: Final = "docker/registry/v2"
_OCTETS: Final = {"Content-Type": "application/octet-stream"}


def forget_repository(registry: Registry, repository: str) -> None:
    """Let the registry have nothing of a repository any more, so that the next push has to bring all of it."""
    shutil.rmtree(registry.storage / _STORAGE / "repositories" / repository, ignore_errors=True)


def _target(location: str) -> str:
    parts = urlsplit(location)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _begin_upload(client: Client, repository: str) -> str:
    response = client.send("POST", f"/v2/{repository}/blobs/uploads/", b"")
    client.expect(response, 202)
    return _target(response.headers["Location"])


class Uploader(Actor):
    """Uploads blobs, and reads each back from the registry itself."""

    pause = 0.05

    def __init__(self, name: str, ledger: Ledger, seed: int, port: int, registry: Registry) -> None:
        super().__init__(name, ledger, seed)
        self._registry = registry
        self._client = Client(name, port, ledger, restartable=False)

    def once(self) -> None:
        """One blob."""
        data = self.chance.randbytes(self.chance.choice(_SIZES))
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        pieces = self.chance.randint(1, 4)
        begin = time.monotonic()
        try:
            self._upload(data, digest, pieces)
        except (*ERRORS, UnexpectedAnswer) as error:
            self._client.failed(f"upload of {digest} in {pieces}", begin, f"{type(error).__name__}: {error}")
            return
        answer = self._registry.get(f"/v2/{UPLOADS}/blobs/{digest}")
        if answer.status == 200 and answer.body == data:
            self.ledger.did(self.name, len(data))
        else:
            self.ledger.got_wrong(self.name, f"the registry has {answer.status}, {len(answer.body)} bytes of {digest}")
        self._forget(digest)

    def _upload(self, data: bytes, digest: str, pieces: int) -> None:
        target = _begin_upload(self._client, UPLOADS)
        step = -(-len(data) // pieces)
        if pieces > 1:
            for start in range(0, len(data), step):
                piece = data[start : start + step]
                fields = _OCTETS | {"Content-Range": f"{start}-{start + len(piece) - 1}"}
                response = self._client.send("PATCH", target, piece, headers=fields)
                self._client.expect(response, 202)
                target = _target(response.headers["Location"])
            data = b""
        mark = "&" if "?" in target else "?"
        response = self._client.send("PUT", f"{target}{mark}digest={digest}", data, headers=_OCTETS)
        self._client.expect(response, 201)

    def _forget(self, digest: str) -> None:
        number = digest.partition(":")[2]
        blobs = self._registry.storage / _STORAGE / "blobs" / "sha256"
        shutil.rmtree(blobs / number[:2] / number, ignore_errors=True)
        links = self._registry.storage / _STORAGE / "repositories" / UPLOADS / "_layers" / "sha256"
        shutil.rmtree(links / number, ignore_errors=True)

    def close(self) -> None:
        """End the connection."""
        self._client.close()


class Abandoner(Actor):
    """Begins uploads and ends the connection in the middle."""

    pause = 0.3

    def __init__(self, name: str, ledger: Ledger, seed: int, port: int, registry: Registry) -> None:
        super().__init__(name, ledger, seed)
        self._registry = registry
        self._client = Client(name, port, ledger, restartable=False)

    def once(self) -> None:
        """One upload, half of it."""
        begin, half = time.monotonic(), _ABANDONED_SIZE // 2
        try:
            target = _begin_upload(self._client, ABANDONED)
            mark = "&" if "?" in target else "?"
            head = f"PUT {target}{mark}digest=sha256:{'0' * 64} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            head += f"User-Agent: soak-{self.name}\r\nContent-Length: {_ABANDONED_SIZE}\r\n\r\n"
            self._client.socket.sendall(head.encode() + self.chance.randbytes(half))
        except (*ERRORS, UnexpectedAnswer) as error:
            self._client.failed("half an upload", begin, f"{type(error).__name__}: {error}")
            return
        close_somehow(self._client, self.chance)
        self.ledger.did(self.name, half, left=1)
        if self.chance.random() < 0.02:
            forget_repository(self._registry, ABANDONED)
