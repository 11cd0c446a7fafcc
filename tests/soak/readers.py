"""The actors that read: fast ones, one for long blobs, a slow one, and connections on which nothing happens."""

from __future__ import annotations

import socket
from typing import Final

from .actor import Actor
from .content import Content
from .ledger import Ledger
from .settings import MIB
from .talk import Client

_SLOW: Final = 100_000.0
_SLOW_BUFFER: Final = 1 << 15
_SLOW_PATIENCE: Final = 15.0
_IDLE_SECONDS: Final = 8.0


class Reader(Actor):
    """Reads small things over one connection, as fast as it can: manifests, tags, blobs; and asks for heads."""

    def __init__(self, name: str, ledger: Ledger, seed: int, port: int, content: Content) -> None:
        super().__init__(name, ledger, seed)
        self._content = content
        self.tally = "reader"
        self._client = Client(self.tally, port, ledger)

    def once(self) -> None:
        """One request."""
        image, kind = self.chance.choice(self._content.small), self.chance.random()
        if kind < 0.6:
            self._client.fetch(image.manifest)
        elif kind < 0.75:
            self._client.fetch(image.manifest, "HEAD")
        elif kind < 0.8:
            self._client.fetch(self._content.tags)
        else:
            self._client.fetch(self.chance.choice(image.blobs))
        if self.chance.random() < 0.01:
            self._client.close()

    def close(self) -> None:
        """End the connection."""
        self._client.close()


class BigReader(Actor):
    """Reads long blobs, one after the other."""

    pause = 0.2

    def __init__(self, name: str, ledger: Ledger, seed: int, port: int, content: Content) -> None:
        super().__init__(name, ledger, seed)
        self._blobs = content.big.blobs
        self._client = Client(name, port, ledger)

    def once(self) -> None:
        """One blob."""
        self._client.fetch(self.chance.choice(self._blobs))

    def close(self) -> None:
        """End the connection."""
        self._client.close()


class SlowReader(Actor):
    """Reads a long blob at 100 kB/s, and leaves it after a while, or a shorter one to its end."""

    def __init__(self, name: str, ledger: Ledger, seed: int, port: int, content: Content) -> None:
        super().__init__(name, ledger, seed)
        self._long = [blob for blob in content.big.blobs if blob.size > MIB]
        self._short = [blob for image in content.small for blob in image.blobs]
        self._client = Client(name, port, ledger, buffer=_SLOW_BUFFER)

    def once(self) -> None:
        """One blob, or some of it."""
        if self.chance.random() < 0.5:
            self._client.fetch(self.chance.choice(self._long), pace=_SLOW, patience=_SLOW_PATIENCE)
        else:
            self._client.fetch(self.chance.choice(self._short), pace=_SLOW)

    def close(self) -> None:
        """End the connection."""
        self._client.close()


class Idlers(Actor):
    """Connections that were used once or never, and stay; every now and then one of them is made anew."""

    def __init__(self, name: str, ledger: Ledger, seed: int, port: int, content: Content, number: int) -> None:
        super().__init__(name, ledger, seed)
        self._port = port
        self._things = [image.manifest for image in content.small]
        self._clients = [Client(name, port, ledger) for _ in range(number)]
        self._silent: list[socket.socket] = []
        self._at = 0
        self.pause = _IDLE_SECONDS / number

    def once(self) -> None:
        """One connection anew, used once; and another, not used at all."""
        client = self._clients[self._at % len(self._clients)]
        client.close()
        client.fetch(self.chance.choice(self._things))
        self._silent.append(socket.create_connection(("127.0.0.1", self._port), timeout=20))
        while len(self._silent) > len(self._clients):
            self._silent.pop(0).close()
        self._at += 1

    def close(self) -> None:
        """End the connections."""
        for client in self._clients:
            client.close()
        for connection in self._silent:
            connection.close()


class Newcomer(Actor):
    """Makes a connection for each request."""

    pause = 0.02

    def __init__(self, name: str, ledger: Ledger, seed: int, port: int, content: Content) -> None:
        super().__init__(name, ledger, seed)
        self._things = [image.manifest for image in content.small]
        self._client = Client(name, port, ledger)

    def once(self) -> None:
        """One request."""
        self._client.fetch(self.chance.choice(self._things))
        self._client.close()
