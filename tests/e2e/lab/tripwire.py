"""Knows who tried to reach a source registry.

All names of source registries lead to the tripwire's address. Whoever connects there is recorded and gets no answer, so
a test can assert that nobody went to a registry behind the registry proxy's back.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from .network import TRIPWIRE_ADDRESS

PORTS = (80, 443, 5000)

_FIRST_BYTES = 512
_PATIENCE_SECONDS = 0.5


@dataclass(frozen=True)
class Touch:
    """One attempt to reach a source registry: from where, to which port, and the beginning of what was said."""

    peer: tuple[str, int]
    port: int
    first_bytes: bytes


class Tripwire:
    """A listener at the source registries' address that records connections and closes them."""

    def __init__(self, address: str = TRIPWIRE_ADDRESS, ports: Sequence[int] = PORTS) -> None:
        self._address = address
        self._listeners: list[socket.socket] = []
        self._own: set[tuple[str, int]] = set()
        self._touched: list[Touch] = []
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._selector = selectors.DefaultSelector()
        for port in ports:
            listener = socket.create_server((address, port), backlog=64)
            self._listeners.append(listener)
            self._selector.register(listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, name="tripwire", daemon=True)

    def start(self) -> Self:
        """Begin to record."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening."""
        self._stopping.set()
        with contextlib.suppress(OSError), socket.create_connection(self._listeners[0].getsockname(), timeout=1):
            pass
        self._thread.join()
        for listener in self._listeners:
            listener.close()
        self._selector.close()

    @property
    def touched(self) -> list[Touch]:
        """Everybody who connected so far, including those who connected just now."""
        for listener in self._listeners:
            self._catch_up(listener)
        with self._changed:
            return list(self._touched)

    def clear(self) -> None:
        """Forget what was recorded so far."""
        assert self.touched is not None
        with self._changed:
            self._touched.clear()

    def _catch_up(self, listener: socket.socket) -> None:
        # Connections wait in line until they are accepted, so once this one was, all earlier ones were too.
        with socket.socket() as own:
            own.bind((self._address, 0))
            name = own.getsockname()
            with self._changed:
                self._own.add(name)
            own.connect(listener.getsockname())
            with self._changed:
                seen = self._changed.wait_for(lambda: name not in self._own, timeout=20 * _PATIENCE_SECONDS)
        assert seen, "the tripwire does not accept connections any more"

    def _serve(self) -> None:
        while not self._stopping.is_set():
            for key, _ in self._selector.select():
                listener = key.fileobj
                assert isinstance(listener, socket.socket)
                connection, peer = listener.accept()
                with connection:
                    self._record(connection, peer, listener.getsockname()[1])

    def _record(self, connection: socket.socket, peer: tuple[str, int], port: int) -> None:
        with self._changed:
            if peer in self._own:
                self._own.remove(peer)
                self._changed.notify_all()
                return
        if self._stopping.is_set():
            return
        first_bytes = b""
        connection.settimeout(_PATIENCE_SECONDS)
        with contextlib.suppress(OSError):
            first_bytes = connection.recv(_FIRST_BYTES)
        with self._changed:
            self._touched.append(Touch(peer, port, first_bytes))
            self._changed.notify_all()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
