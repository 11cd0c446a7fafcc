"""The actor that goes away: in the middle of a blob, before the answer, in the middle of its own request."""

from __future__ import annotations

import time
from typing import Final

from .actor import Actor
from .content import Content
from .ledger import Ledger
from .talk import ERRORS, Client, UnexpectedAnswer, close_somehow

_MOST_READ: Final = 4_000_000


class Aborter(Actor):
    """Opens what it does not read, and ends the connection by FIN or RST."""

    pause = 0.05

    def __init__(self, name: str, ledger: Ledger, seed: int, port: int, content: Content) -> None:
        super().__init__(name, ledger, seed)
        self._content = content
        self._client = Client(name, port, ledger)

    def once(self) -> None:
        """One connection."""
        kind = self.chance.random()
        if kind < 0.6:
            self._in_the_body()
        elif kind < 0.8:
            self._say(f"GET {self.chance.choice(self._content.small).manifest.path} HTTP/1.1\r\nHost: x\r\n\r\n")
        else:
            self._say("GET /v2/soak/small/manifests/v1 HTT")

    def _in_the_body(self) -> None:
        begin, blob = time.monotonic(), self.chance.choice(self._content.big.blobs)
        try:
            response = self._client.answer_to("GET", blob.path)
            if response.status != 200:
                self._client.expect(response, 200)
            received = len(response.read(self.chance.randrange(1, _MOST_READ)))
        except (*ERRORS, UnexpectedAnswer) as error:
            self._client.failed(f"GET {blob.path}", begin, f"{type(error).__name__}: {error}")
            return
        close_somehow(self._client, self.chance)
        self.ledger.did(self.name, received, left=1)

    def _say(self, text: str) -> None:
        begin = time.monotonic()
        try:
            self._client.socket.sendall(text.encode())
        except OSError as error:
            self._client.failed("a connection", begin, f"{type(error).__name__}: {error}")
            return
        # Nobody knows whether it was heard before the connection ended.
        self.ledger.counted(self.name, maybe=int(text.endswith("\r\n\r\n")))
        close_somehow(self._client, self.chance)
        self.ledger.did(self.name, left=1)
